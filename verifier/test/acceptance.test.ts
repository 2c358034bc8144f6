// The acceptance program on a fake system: it takes nothing of an operator's with it, and leaves nothing of its own.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Facts, MachineFacts, Outcome } from '#infra/platform';
import { until } from '../client/until.ts';
import { drillsOfTheList } from '../programs/specification.ts';
import { serveControl } from './fake-control.ts';
import { commit, openHonest } from './honest.ts';
import { start } from './program.ts';
import type { Ended } from './program.ts';
import { plainFacts } from './running.ts';

const program = fileURLToPath(new URL('acceptance-program.js', import.meta.url));

type World = {
  env: Record<string, string>;
  /** Acting verbs, as `up control`. */
  acts: string[];
  up: Set<string>;
  remembered: boolean;
  /** What happens at `up` instead; undefined leaves it to the fake. */
  onUp: () => Promise<Outcome> | undefined;
  /** On which machines the nodes run. */
  boots: Record<string, string>;
  machine: (node: string) => Outcome<MachineFacts>;
};

/** Nothing was started yet; there is a service for each of two nodes, which live as long as they are up. */
async function openWorld(t: TestContext): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'acceptance-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const { env } = await serveControl(t, folder, (verb, args) => play(verb, args));
  const services = new Map<string, Awaited<ReturnType<typeof openHonest>>>();
  t.after(() => stop([...services.keys()]));
  const stop = async (names: string[]) => {
    for (const name of names) {
      await services.get(name)?.close();
      services.delete(name);
    }
  };
  const world: World = {
    env: { ...env, PATH: process.env['PATH'] ?? '', ORDERS_STATE: join(folder, 'state'), SCALE: '0.5', COMMIT: commit },
    acts: [], up: new Set(), remembered: false, onUp: () => undefined,
    boots: { control: 'one', worker1: 'two' }, machine: () => ({ impossible: 'no machines' }),
  };
  const targets = (names: string[]) => [...services].filter(([name]) => names.includes(name))
    .map(([node, { target }]) => ({ ...target, node }));
  const play = async (verb: string, [first]: unknown[]): Promise<unknown> => {
    const names = Array.isArray(first) ? first.map(String) : ['control', 'worker1'];
    const given = Array.isArray(first) ? names : [];
    if (['up', 'halt', 'destroy'].includes(verb)) world.acts.push([verb, ...given].join(' '));
    switch (verb) {
      case 'memory': return world.remembered ? { platform: 'process', nodes: ['control'], targets: [] } : undefined;
      case 'chosenNodes': return names.includes('all') ? ['control', 'worker1', 'worker2'] : ['control'];
      case 'targets': return targets(names);
      case 'machine': return world.machine(String(first));
      case 'facts': return factsOn(String(first), world.boots);
      case 'faultsInPlace': return [];
      case 'up': {
        world.remembered = true;
        const other = world.onUp();
        if (other !== undefined) return other;
        for (const name of names) if (!services.has(name)) services.set(name, await openHonest());
        return { done: null };
      }
      case 'halt': await stop(names); return { done: null };
      case 'destroy':
        await stop(names);
        world.remembered = false;
        // with the orders goes what was remembered of them
        await rm(join(folder, 'state'), { recursive: true, force: true });
        return { done: null };
      default: throw new Error(`acceptance has no business with ${verb}`);
    }
  };
  return world;
}

function factsOn(node: string, boots: World['boots']): Outcome<Facts> {
  const plain = plainFacts(node);
  return 'done' in plain ? { done: { ...plain.done, boot_id: boots[node] ?? '' } } : plain;
}

const run = (env: Record<string, string>, args: string[] = []): Promise<Ended> => start(program, args, env).ended;

/** `start held`, `drills/port-closed skipped`: every point by its ids. */
function fates({ points }: Ended): string[] {
  return points.map(({ id: { rung, check }, held, skip, blockedBy }) => {
    const name = check === 'criterion' ? rung : `${rung}/${check}`;
    if (blockedBy !== undefined) return `${name} blocked by ${blockedBy}`;
    return `${name} ${skip !== undefined ? 'skipped' : held ? 'held' : 'broken'}`;
  });
}

const allMet = [
  'start held', 'verify held', 'tcp held', 'persistence held', 'hosts held',
  ...drillsOfTheList.map(name => `drills/${name} ${name === 'port-closed' ? 'skipped' : 'held'}`),
  'truth held', 'lifecycle held',
];

for (const [how, more] of [['as they are', {}], ['in other words', { REWORDED: '1' }]] as const) {
  test(`with claims ${how}, a system that is as specified is accepted, and nothing of it is left`, async t => {
    const world = await openWorld(t);
    const end = await run({ ...world.env, ...more });
    assert.deepEqual([end.code, fates(end)], [0, allMet], end.stdout + end.stderr);
    assert.match(end.stdout, /# verdict: acceptance met\n$/);
    assert.deepEqual(world.acts, ['up control', 'up worker1', 'halt', 'destroy']);
    assert.equal(world.remembered, false);
    const truth = end.points.find(({ id }) => id.rung === 'truth');
    assert.equal(truth?.said.length, 4);
    const drilled = end.points.find(({ id }) => id.check === 'mid-flight');
    assert.ok(drilled?.said.includes('saw ready-503'), 'what the checks of a drill said is said again');
  });
}

test('two nodes on one machine are one host: that is a rehearsal, and not met', async t => {
  const world = await openWorld(t);
  world.boots['worker1'] = 'one';
  const end = await run(world.env);
  assert.equal(end.code, 0, end.stdout);
  assert.deepEqual(fates(end).filter(fate => fate.startsWith('hosts')), ['hosts skipped']);
  assert.match(end.stdout, /# verdict: acceptance rehearsed, not met\n$/);
  assert.deepEqual(world.acts, ['up control', 'up worker1', 'halt', 'destroy'], 'whatever can be shown is looked at');
});

test('a drill that did not see what it should is not met, whatever else held', async t => {
  const world = await openWorld(t);
  const end = await run({ ...world.env, BROKEN: 'db-down health-200' });
  assert.deepEqual([end.code, fates(end).at(-1)], [1, 'lifecycle blocked by drills']);
  const broken = end.points.filter(({ held }) => !held);
  assert.deepEqual(broken.map(({ id }) => id.check), ['db-down']);
  assert.match(broken[0]?.error ?? '', /wanted exit 0, saw 1: db-down health-200: seen otherwise$/);
  assert.equal(world.remembered, false);
});

test('with STRICT=1 a drill that is not possible here is red', async t => {
  const world = await openWorld(t);
  const end = await run({ ...world.env, STRICT: '1' });
  assert.equal(end.code, 1);
  // already once it was restarted: plain processes have skips of their own
  assert.deepEqual(fates(end).slice(1, 4), ['verify held', 'tcp held', 'persistence broken']);
});

test('a system in use is refused untouched, and so are settings it cannot take', async t => {
  const world = await openWorld(t);
  world.remembered = true;
  const used = await run(world.env);
  assert.equal(used.code, 2);
  assert.match(used.stderr, /platform process is in use.*make destroy first/);
  assert.match(used.stdout, /^TAP version 13\nBail out! platform process is in use/);
  for (const more of [{ NODE: 'worker1' }, { TARGETS: '127.0.0.1:1' }, { STRICT: 'yes' }]) {
    assert.equal((await run({ ...world.env, ...more })).code, 2, JSON.stringify(more));
  }
  assert.equal((await run(world.env, ['now'])).code, 2);
  assert.deepEqual(world.acts, []);
});

test('a start that fails is red, proves nothing else, and what it made is destroyed', async t => {
  const world = await openWorld(t);
  world.onUp = async () => ({ failed: 'no engine' });
  const end = await run(world.env);
  assert.equal(end.code, 1);
  assert.match(end.stdout, /^not ok 1 - start: The system starts from a clean state via the golden path$/m);
  assert.equal(end.points[0]?.error, 'up failed: no engine');
  assert.ok(end.points.slice(1).every(({ blockedBy }) => blockedBy === 'start'), end.stdout);
  assert.match(end.stdout, /# verdict: acceptance not met\n$/);
  assert.equal(world.acts.at(-1), 'destroy');
});

test('an up that brings its own machine online, and the others only later, has not started the system', async t => {
  const world = await openWorld(t);
  world.machine = node => node === 'control' || world.acts.includes('up worker1') ? { done: {
    node, address: '', hostname: node, addresses: [], boot_id: node, reached: [],
  } } : { failed: 'its machine is off' };
  const end = await run(world.env);
  assert.deepEqual([end.code, fates(end)[0]], [1, 'start broken'], end.stdout);
  assert.equal(end.points[0]?.error, 'up is done, yet worker1 is not online: its machine is off');
});

test('interrupted, it lets what is under way end, destroys what it made, and says so', async t => {
  const world = await openWorld(t);
  let finish = () => {};
  world.onUp = () => new Promise(resolve => { finish = () => resolve({ failed: 'too late' }); });
  const running = start(program, [], world.env);
  await until(async () => world.acts.includes('up control'), Boolean, 20_000, 10);
  running.child.kill('SIGINT');
  await until(async () => running.said(), said => said.includes('SIGINT: destroying'), 5_000, 10);
  assert.ok(!world.acts.includes('destroy'));
  finish();
  const end = await running.ended;
  assert.equal(end.code, 130);
  assert.match(end.stderr, /what was made is destroyed/);
  assert.deepEqual(world.acts, ['up control', 'destroy']);
});
