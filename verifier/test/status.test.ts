// status as an operator reads it, and as a script takes its exit code.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Target } from '#infra/platform';
import { Misunderstood } from '#infra/platform';
import { serveControl } from './fake-control.ts';
import { openHonest } from './honest.ts';
import type { Honest } from './honest.ts';
import { start } from './program.ts';
import type { Ended } from './program.ts';

const program = fileURLToPath(new URL('status-program.js', import.meta.url));
type State = { node: string; line: string; runs: boolean; wanted?: boolean };
type World = { service: Honest; env: Record<string, string>; states: State[] | undefined | Error; up: Target[] };

async function openWorld(t: TestContext): Promise<World> {
  const service = await openHonest();
  const folder = await mkdtemp(join(tmpdir(), 'status-'));
  t.after(async () => {
    await service.close();
    await rm(folder, { recursive: true });
  });
  const { env } = await serveControl(t, folder, verb => {
    if (verb === 'targets') return world.up;
    if (world.states instanceof Error) throw world.states;
    return world.states;
  });
  const states = [{ node: 'control', line: 'control process up', runs: true, wanted: true }];
  const world: World = {
    service, states, up: [service.target],
    env: { ...env, PATH: process.env['PATH'] ?? '', ORDERS_STATE: folder, SCALE: '0.5' },
  };
  return world;
}

const run = ({ env }: World, args: string[] = []): Promise<Ended> => start(program, args, env).ended;

test('with all well it tells what runs and what it answers, and places no order', async t => {
  const world = await openWorld(t);
  const end = await run(world);
  const { host, port } = world.service.target;
  const lines = ['control process up', `control ${host}:${port}  tcp held · alive yes · ready yes · usable yes`, ''];
  assert.deepEqual([end.code, end.stdout, end.stderr], [0, lines.join('\n'), '']);
  assert.ok(world.service.asked.every(asked => asked.startsWith('GET ')));
});

test('with JSON=1 it tells the same as one object', async t => {
  const world = await openWorld(t);
  world.service.database = false;
  world.env['JSON'] = '1';
  const end = await run(world);
  assert.equal(end.code, 1);
  const { good, nodes, targets } = JSON.parse(end.stdout) as { good: boolean; nodes: unknown; targets: unknown[] };
  assert.deepEqual([good, nodes], [false, world.states]);
  assert.deepEqual(targets, [{
    ...world.service.target, tcp: 'held', alive: { good: true, saw: '200' },
    ready: { good: false, saw: 'connection_refused' }, usable: { good: false, saw: '503 database_unavailable' },
  }]);
  assert.equal((await run({ ...world, env: { ...world.env, JSON: 'yes' } })).code, 2);
});

test('nothing up is reported and ends it with 1, whether nothing was started or all was halted', async t => {
  const world = await openWorld(t);
  world.up = [];
  const halted = await run(world);
  world.states = undefined;
  for (const end of [halted, await run(world)]) {
    assert.equal(end.code, 1);
    assert.match(end.stdout, /^not up: /);
  }
});

test('a node that does not answer, or that its platform finds down, ends it with 1', async t => {
  const world = await openWorld(t);
  world.service.database = false;
  const unready = await run(world);
  assert.equal(unready.code, 1);
  const no = /alive yes · ready no \(connection_refused\) · usable no \(503 database_unavailable\)/;
  assert.match(unready.stdout, no);
  world.service.database = true;
  world.states = [{ node: 'control', line: 'control supervisor gone', runs: false, wanted: true }];
  assert.equal((await run(world)).code, 1);
  const stateless = { node: 'worker1', line: 'worker1  machine running  no stack', runs: true, wanted: false };
  world.states = [{ node: 'control', line: 'control up', runs: true, wanted: true }, stateless];
  assert.equal((await run(world)).code, 0, 'nothing was asked for there');
  world.states = [world.states[0] ?? stateless, { ...stateless, runs: false, wanted: true }];
  assert.equal((await run(world)).code, 1, 'a node that was asked for is gone, though another serves');
  world.states = [{ node: 'control', line: 'control up', runs: true }];
  world.up = [{ node: 'control', host: '127.0.0.1', port: 1 }];
  const closed = await run(world);
  assert.deepEqual([closed.code, closed.stdout], [1, 'control up\ncontrol 127.0.0.1:1  tcp refused\n']);
});

test('what it cannot understand ends it with 2, what it cannot see with 1, in one line', async t => {
  const world = await openWorld(t);
  world.env['SCALE'] = 'x';
  const misspelt = await run(world);
  assert.deepEqual([misspelt.code, misspelt.stdout], [2, '']);
  assert.match(misspelt.stderr, /^status: SCALE must be .*\n$/);
  world.env['SCALE'] = '1';
  assert.equal((await run(world, ['now'])).code, 2);
  world.states = new Misunderstood('no node "x"');
  assert.equal((await run(world)).code, 2);
  world.states = new Error('.state cannot be read');
  const blind = await run(world);
  assert.deepEqual([blind.code, blind.stderr], [1, 'status: .state cannot be read\n']);
});

test('a reader that hangs up early gets no stack trace', async t => {
  const world = await openWorld(t);
  const line = (i: number) => `line ${i} ${'x'.repeat(60)}`;
  world.states = Array.from({ length: 3_000 }, (_, i) => ({ node: 'control', line: line(i), runs: true }));
  const argv = ['-c', '"$0" "$1" | head -n 1', process.execPath, program];
  const said = await new Promise<string[]>(resolve => {
    const env = { ...world.env, COLUMNS: '20' };
    execFile('/bin/sh', argv, { env }, (_error, stdout, stderr) => resolve([stdout, stderr]));
  });
  assert.deepEqual(said, [`${line(0)}\n`, '']);
});
