// verify as an operator ends it, or as it ends itself before it began.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { appendFile, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { until } from '../client/until.ts';
import { start } from './program.ts';
import { openHonestWorld, program, promisesOf, runVerify } from './running.ts';

test('what it cannot understand ends it with 2, Bail out! and a line that says what would be right', async t => {
  const { world } = await openHonestWorld(t);
  const bad = { EXPECT: 'red', STRICT: 'yes', SCALE: '0', TARGETS: ',', NODE: 'Control!', PLATFORM: 'podman' };
  for (const [name, value] of Object.entries(bad)) {
    const run = await runVerify({ ...world.env, [name]: value });
    const [, why = ''] = /^verify: (.*)\n$/.exec(run.stderr) ?? [];
    assert.match(why, new RegExp(`^${name} must be .*, not "${value}"$`));
    assert.deepEqual([run.code, run.stdout], [2, `TAP version 13\nBail out! ${why}\n`], name);
  }
  assert.match((await runVerify(world.env, ['now'])).stderr, /^verify: no arguments are taken.*\n$/);
});

test('a control that cannot tell what is up ends it with 2 and its reason', async t => {
  const { world } = await openHonestWorld(t);
  world.up = new Error('no node "wroker1" in vagrant/nodes.txt');
  const run = await runVerify(world.env);
  assert.deepEqual([run.code, run.points, run.cannotRun], [2, [], 'no node "wroker1" in vagrant/nodes.txt']);
  assert.equal(run.stderr, 'verify: no node "wroker1" in vagrant/nodes.txt\n');
  assert.match(run.stdout, /^TAP version 13\nBail out! no node "wroker1" in vagrant\/nodes\.txt\n/);
});

test('a reader that hangs up early causes neither crash nor hang', async t => {
  const { world } = await openHonestWorld(t);
  const line = ['-c', '"$0" "$1" 2>&1 | head -n 3', process.execPath, program];
  const run = await shell(line, world.env);
  assert.deepEqual([run.code, run.stderr], [0, '']);
  assert.equal(run.stdout.trim().split('\n').length, 3);
  assert.equal((await promisesOf(world)).length, 15);
});

test('a promise that does not fit on the disk ends it with 2 and its path: that is no fault of the system', async t => {
  const { world } = await openHonestWorld(t);
  const ledger = join(world.folder, 'state/ledger/process-control.jsonl');
  assert.equal((await runVerify(world.env)).code, 0);
  const before = await readFile(ledger, 'utf8');
  // a file may have 4096 bytes; the next line fits in part, which a write calls a success
  await appendFile(ledger, `${'x'.repeat(4_096 - 40 - before.length)}\n`);
  const line = ['-c', 'ulimit -f 8; exec "$0" "$1"', process.execPath, program];
  const run = await shell(line, world.env);
  assert.equal(run.code, 2, run.stdout);
  const file = /\S+process-control\.jsonl: only 39 of \d+ bytes fit/.source;
  assert.match(run.stdout, new RegExp(`^Bail out! the promise of order \\S+ cannot be written to ${file}`, 'm'));
  assert.match(run.stdout, /# verdict: none, it could not run\n$/);
  assert.doesNotMatch(run.stdout, /^not ok/m);
  assert.match(run.stderr, /^verify: the promise of order/);
  assert.ok((await readFile(ledger, 'utf8')).startsWith(before));
});

test('a state folder that is a file, or in which nothing can be made, ends it with 2 and its path', async t => {
  const { world } = await openHonestWorld(t);
  const file = join(world.folder, 'file');
  await appendFile(file, '');
  const state = join(world.folder, 'state');
  await mkdir(state);
  await appendFile(join(state, 'ledger'), '');
  for (const ORDERS_STATE of [file, join(file, 'below'), '/proc/nope', state]) {
    const run = await runVerify({ ...world.env, ORDERS_STATE });
    assert.equal(run.code, 2, `${ORDERS_STATE}: ${run.stdout}`);
    assert.match(run.stdout, new RegExp(`^Bail out! .*${ORDERS_STATE}`, 'm'));
    assert.doesNotMatch(run.stdout, /^not ok/m);
  }
});

test('a report that does not fit on the disk is no good run: exit 2, with the reason on stderr', async t => {
  const { world } = await openHonestWorld(t);
  const run = await shell(['-c', 'exec "$0" "$1" >/dev/full', process.execPath, program], world.env);
  assert.equal(run.code, 2);
  assert.match(run.stderr, /^verify: stdout cannot be written: ENOSPC/);
});

for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143]] as const) {
  test(`${signal} ends it and all that it started, with ${code}`, async t => {
    const { service, world } = await openHonestWorld(t, (reply, { path }) => (path === '/ready' ? 'silence' : reply));
    const { child, ended } = start(program, [], { ...world.env, SCALE: '10' });
    await until(async () => service.asked.at(-1), last => last === 'GET /ready', 10_000, 20);
    child.kill(signal);
    const run = await ended;
    assert.equal(run.code, code);
    assert.match(run.stdout, new RegExp(`# ended by ${signal} before its plan`));
    await until(async () => service.open(), open => open === 0, 5_000);
  });
}

test('killed hard, it leaves nothing running', async t => {
  const { service, world } = await openHonestWorld(t, (reply, { path }) => (path === '/ready' ? 'silence' : reply));
  // its stderr is nobody's, since the one who keeps it open is what this test is about
  const child = spawn(process.execPath, [program], { env: { ...world.env, SCALE: '10' }, stdio: 'ignore' });
  await until(async () => service.asked.at(-1), last => last === 'GET /ready', 10_000, 20);
  child.kill('SIGKILL');
  await until(async () => service.open(), open => open === 0, 5_000);
});

type Said = { code: unknown; stdout: string; stderr: string };

function shell(args: string[], env: Record<string, string>): Promise<Said> {
  return new Promise(resolve => {
    execFile('/bin/sh', args, { env }, (error, stdout, stderr) => resolve({ code: error?.code ?? 0, stdout, stderr }));
  });
}

test('what makes a run easier stands at the head of its report, whether or not a file gives the reason', async t => {
  const { world } = await openHonestWorld(t);
  const run = await runVerify({ ...world.env, SCALE: '2', WATCHDOG_MS: '9000' });
  const head = '# relaxed: SCALE=2, given for this run\n# relaxed: WATCHDOG_MS=9000, given for this run\n';
  assert.ok(run.stdout.startsWith(`TAP version 13\n${head}`), run.stdout);
});
