// verify as an operator ends it, or as it ends itself before it began.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { until } from '../until.ts';
import { openHonest } from './honest.ts';
import type { Honest } from './honest.ts';
import { collect, openWorld, program, promisesOf, runVerify, startVerify } from './running.ts';
import type { World } from './running.ts';

async function honestWorld(t: TestContext, ...args: Parameters<typeof openHonest>): Promise<{ service: Honest; world: World }> {
  const service = await openHonest(...args);
  t.after(() => service.close());
  return { service, world: await openWorld(t, [service.target]) };
}

test('what it cannot understand ends it with 2 and one line that says what would be right', async t => {
  const { world } = await honestWorld(t);
  const bad = { EXPECT: 'red', STRICT: 'yes', SCALE: '0', TARGETS: ',', NODE: 'Control!', PLATFORM: 'podman' };
  for (const [name, value] of Object.entries(bad)) {
    const run = await runVerify({ ...world.env, [name]: value });
    assert.deepEqual([run.code, run.stdout], [2, ''], name);
    assert.match(run.stderr, new RegExp(`^verify: ${name} must be .*, not "${value}"\\n$`));
  }
  assert.match((await runVerify(world.env, ['now'])).stderr, /^verify: no arguments are taken.*\n$/);
});

test('a control that cannot be run or does not answer ends it with 2', async t => {
  const { world } = await honestWorld(t);
  const missing = await runVerify({ ...world.env, CONTROL: '/nowhere/control' });
  assert.deepEqual([missing.code, missing.stdout], [2, '']);
  assert.match(missing.stderr, /^verify: \/nowhere\/control targets .*ENOENT\n$/);
});

test('a reader that hangs up early causes neither crash nor hang', async t => {
  const { world } = await honestWorld(t);
  const child = spawn('/bin/sh', ['-c', '"$0" "$1" | head -n 3', process.execPath, program], { env: { PATH: process.env['PATH'], ...world.env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const run = await collect(child);
  assert.deepEqual([run.code, run.stderr], [0, '']);
  assert.equal(run.stdout.trim().split('\n').length, 3);
  assert.equal((await promisesOf(world)).length, 3);
});

for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143]] as const) {
  test(`${signal} ends it and all that it started, with ${code}`, async t => {
    const { service, world } = await honestWorld(t, (reply, { path }) => (path === '/ready' ? 'silence' : reply));
    const child = startVerify({ ...world.env, SCALE: '10' });
    const ended = collect(child);
    await until(async () => service.asked.at(-1), last => last === 'GET /ready', 10_000, 20);
    child.kill(signal);
    const run = await ended;
    assert.equal(run.code, code);
    assert.match(run.stdout, new RegExp(`# ended by ${signal} before its plan`));
    await until(async () => service.open(), open => open === 0, 5_000);
  });
}
