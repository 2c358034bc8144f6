// Supervision of plain processes: what the supervisor starts again, what it stops, and that nothing outlives it.
import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { everyProcess, readArguments, readProcess, runs } from '../process/proc.ts';
import { mainOf } from '../process/service.ts';
import { openSupervision } from '../process/supervision.ts';
import type { Program, ProgramStatus, Supervision } from '../process/supervision.ts';
import { freePort, root } from './stack.ts';
import { until } from './until.ts';

const env = { PATH: process.env['PATH'] ?? '' };
const open = (folder: string): Supervision => openSupervision({ folder, env, scaled: ms => ms });

type Node = {
  folder: string;
  supervision: Supervision;
  script: (text: string, more?: Partial<Program>) => Program;
  log: () => Promise<string>;
};

async function openNode(t: TestContext, name = 'node'): Promise<Node> {
  const parent = await realpath(await mkdtemp(join(tmpdir(), 'orders-supervisor-')));
  const folder = join(parent, name);
  await mkdir(folder, { recursive: true });
  const supervision = open(folder);
  t.after(async () => {
    await supervision.end();
    await rm(parent, { recursive: true });
    const left = () => everyProcess().filter(({ pid }) => readArguments(pid).includes(folder));
    await until(left, seen => seen.length === 0);
  });
  const script = (text: string, more: Partial<Program> = {}): Program => ({
    argv: ['/bin/sh', '-c', text], env, cwd: folder, signal: 'SIGTERM', graceMs: 5_000,
    log: join(folder, 'log'), tag: 'one', ...more,
  });
  return { folder, supervision, script, log: () => readFile(join(folder, 'log'), 'utf8') };
}

async function look(supervision: Supervision, name = 'one'): Promise<ProgramStatus> {
  const status = await supervision.status();
  assert.ok(status?.programs[name], JSON.stringify(status));
  return status.programs[name];
}

/** The pid of a program that runs. */
async function running(supervision: Supervision, name = 'one'): Promise<number> {
  const { pid } = await until(() => look(supervision, name), seen => seen.pid !== null);
  return Number(pid);
}

const gone = (...pids: number[]) => until(() => pids.filter(runs), left => left.length === 0);

test('a program is started once, started again when killed, and stopped with the signal that it wants', async t => {
  const { supervision, script, log } = await openNode(t);
  assert.equal(await supervision.status(), undefined, 'no supervisor yet');
  const program = script('trap "echo asked; exit 0" INT; while :; do sleep 0.02; done', { signal: 'SIGINT' });
  await supervision.start('one', program);
  const first = await running(supervision);
  await supervision.start('one', { ...program, tag: 'two' });
  assert.deepEqual([(await look(supervision)).pid, (await look(supervision)).tag], [first, 'one']);

  process.kill(first, 'SIGKILL');
  const again = await until(() => look(supervision), seen => seen.pid !== null && seen.pid !== first);
  assert.equal(again.restarts, 1);
  assert.deepEqual(again.exit, { pid: first, code: null, signal: 'SIGKILL' });
  await until(() => readArguments(Number(again.pid)), seen => seen[0] === '/bin/sh');

  assert.deepEqual(await supervision.stop('one'), { killed: [] });
  assert.match(await log(), /ended with SIGKILL, starting it again in 0\.1 s\n(.*\n)*asked\n/);
  const { state, pid, exit } = await look(supervision);
  assert.deepEqual([state, pid, exit?.code], ['stopped', null, 0]);
});

test('pauses double, a start in between comes at once, and a refused configuration is never repeated', async t => {
  const { supervision, script, log } = await openNode(t);
  await supervision.start('one', script('exit 7'));
  await until(() => look(supervision), ({ restarts }) => restarts >= 3);
  const pauses = [...(await log()).matchAll(/ended with 7, starting it again in ([\d.]+) s/g)];
  assert.deepEqual(pauses.slice(0, 3).map(([, s]) => s), ['0.1', '0.2', '0.4']);

  await until(() => look(supervision), ({ state }) => state === 'waiting');
  const before = performance.now();
  await supervision.start('one', script('sleep 60'));
  await running(supervision);
  assert.ok(performance.now() - before < 600, 'not after the pause');

  await supervision.start('refused', script('exit 78'));
  const refused = await until(() => look(supervision, 'refused'), ({ state }) => state === 'stopped');
  assert.equal(refused.exit?.code, 78);
  assert.equal((await supervision.status())?.programs['refused']?.restarts, 0);
});

test('what does not end within its grace is killed with all that descends from it, and that is said', async t => {
  const { supervision, script, folder } = await openNode(t);
  const stubborn = script('trap "" TERM; sleep 300 & echo $! > child; wait', { graceMs: 100 });
  await supervision.start('one', stubborn);
  const child = Number(await until(() => readFile(join(folder, 'child'), 'utf8').catch(() => ''), Boolean));
  const pid = await running(supervision);
  assert.equal(await supervision.signal('one', 'SIGSTOP', true), true);
  await until(() => [pid, child].map(one => readProcess(one)?.state), seen => seen.every(state => state === 'T'));
  assert.deepEqual(await supervision.stop('one'), { killed: ['one'] });
  await gone(pid, child);
  assert.equal(await supervision.signal('one', 'SIGTERM'), false, 'it does not run');
});

test('when the supervisor is killed its programs end with it, and the next start begins again', async t => {
  const { supervision, script } = await openNode(t);
  await supervision.start('one', script('exec sleep 300'));
  await supervision.start('two', script('trap "" TERM INT HUP; while :; do sleep 0.02; done'));
  const pids = [await running(supervision), await running(supervision, 'two')];
  await until(() => pids.map(pid => readArguments(pid)[0]), seen => !seen.includes('setpriv'));
  process.kill(Number((await supervision.status())?.pid), 'SIGKILL');
  await gone(...pids);
  assert.equal(await supervision.status(), undefined, 'its socket is there and refuses');
  await supervision.start('one', script('exec sleep 300'));
  assert.ok(await running(supervision));
});

for (const [what, lose] of [
  ['removed', (folder: string) => rm(folder, { recursive: true })],
  ['moved', (folder: string) => rename(folder, `${folder}-moved`)],
] as const) {
  test(`when its folder is ${what} the supervisor stops its programs and ends`, async t => {
    const { supervision, script, folder } = await openNode(t);
    await supervision.start('one', script('exec sleep 300'));
    const pids = [await running(supervision), Number((await supervision.status())?.pid)];
    await lose(folder);
    await gone(...pids);
  });
}

test('a copy of the folder reaches nothing of the original', async t => {
  const { supervision, script, folder } = await openNode(t);
  await supervision.start('one', script('exec sleep 300'));
  const pid = await running(supervision);
  const copy = open(`${folder}-copy`);
  // as cp -a does it: the socket is there, and dead
  await cp(folder, `${folder}-copy`, { recursive: true, filter: async path => !(await stat(path)).isSocket() });
  await writeFile(join(`${folder}-copy`, 'control'), '');
  assert.equal(await copy.status(), undefined);
  assert.deepEqual([await copy.stop('one'), await copy.end()], [{ killed: [] }, { killed: [] }]);
  assert.ok(runs(pid));
});

test('a folder may have a path longer than any socket, with spaces, quotes and letters of all kinds', async t => {
  const { supervision, script } = await openNode(t, `${'long '.repeat(30)}/o'ö"$HOME`);
  await supervision.start('one', script('exec sleep 300'));
  assert.ok(await running(supervision));
});

test('a log of 10 MiB is moved aside when its program is started', async t => {
  const { supervision, script, folder } = await openNode(t);
  await writeFile(join(folder, 'log'), Buffer.alloc(10 * 1024 * 1024));
  await supervision.start('one', script('exec sleep 300'));
  assert.equal((await stat(join(folder, 'log.1'))).size, 10 * 1024 * 1024);
  assert.equal((await stat(join(folder, 'log'))).size, 0);
});

test('one that is ending is waited for, and two starts at once make one program', async t => {
  const { supervision, script, folder } = await openNode(t);
  await supervision.start('one', script('trap "sleep 0.5; exit 0" TERM; while :; do sleep 0.02; done'));
  await running(supervision);
  await until(() => look(supervision), seen => readArguments(Number(seen.pid))[0] === '/bin/sh');
  const start = open(folder).start('one', script('exec sleep 300', { tag: 'new' }));
  const [killed] = await Promise.all([supervision.end(), start]);
  assert.deepEqual(killed, { killed: [] });
  assert.equal((await look(supervision)).tag, 'new');

  await supervision.stop('one');
  await supervision.start('one', script('trap "sleep 0.5; exit 0" TERM; while :; do sleep 0.02; done'));
  await until(() => look(supervision), seen => readArguments(Number(seen.pid))[0] === '/bin/sh');
  await Promise.all([supervision.stop('one'), supervision.start('one', script('exec sleep 300', { tag: 'anew' }))]);
  assert.deepEqual((({ tag, state }) => [tag, state])(await look(supervision)), ['anew', 'running']);

  await supervision.end();
  await Promise.all(['a', 'b', 'c'].map(tag => open(folder).start('one', script('exec sleep 300', { tag }))));
  const pid = await running(supervision);
  await until(() => everyProcess().filter(one => readArguments(one.pid).includes(folder)).length, seen => seen === 1);
  assert.ok(runs(pid));
});

test('a service whose event loop hangs ends by its own watchdog, is started again, and answers', async t => {
  const { supervision, script, log } = await openNode(t);
  const port = String(await freePort());
  const hang = 'data:text/javascript,process.on("SIGUSR2", () => { for (;;); })';
  await supervision.start('one', script('', {
    argv: [process.execPath, '--import', hang, mainOf(root)],
    env: {
      ...env, HOST: '127.0.0.1', PORT: port, DATABASE_HOST: '127.0.0.1', DATABASE_PORT: '1', DATABASE_NAME: 'orders',
      DATABASE_USER: 'orders', DATABASE_PASSWORD: 'none', WATCHDOG_MS: '1000',
    },
  }));
  const health = () => fetch(`http://127.0.0.1:${port}/health`).then(({ status }) => status, () => 0);
  await until(health, status => status === 200);
  await supervision.signal('one', 'SIGUSR2');
  const { exit } = await until(() => look(supervision), ({ restarts, pid }) => restarts === 1 && pid !== null);
  assert.equal(exit?.signal, 'SIGKILL');
  await until(health, status => status === 200);
  assert.match(await log(), /"event":"event_loop_hung","ms":1000\}\nsupervise: one ended with SIGKILL/);
});
