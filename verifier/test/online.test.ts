// The rung `online`: what verify says of machines, and that it is not there where nodes are none.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MachineFacts, Outcome } from '#infra/platform';
import { withFields } from './honest.ts';
import type { Lie } from './honest.ts';
import { fate, openHonestWorld, runVerify } from './running.ts';
import type { Run, World } from './running.ts';

const addresses: Record<string, string> = { control: '10.9.9.1', worker1: '10.9.9.2', worker2: '10.9.9.3' };

/** Three machines, of which control carries the service. */
function machines(world: World, instance: string, changes: Record<string, Partial<MachineFacts>> = {}): void {
  world.machine = (node): Outcome<MachineFacts> => ({ done: {
    node, address: addresses[node] ?? '', hostname: node, addresses: ['10.0.2.15', addresses[node] ?? ''],
    boot_id: `boot of ${node}`, reached: [{ node: 'control', status: 200, instance_id: instance }], ...changes[node],
  } });
}

test('machines that are as they are called are online, and each reaches the service', async t => {
  const { service, world } = await openHonestWorld(t);
  machines(world, service.identity['instance_id'] ?? '');
  const run = await runVerify(world.env);
  assert.equal(run.code, 0, run.stdout);
  assert.match(run.verdict, /^# verdict: online yes · listening skipped/);
  for (const node of Object.keys(addresses)) assert.equal(fate(run, `${node}/online/reaches-services`), 'held');
  assert.match(run.stdout, /^# worker2 reaches control$/m);
});

const lies: [check: string, node: string, change: Partial<MachineFacts>, saw: RegExp][] = [
  ['own-name', 'worker1', { hostname: 'localhost' }, /worker1 online: wanted the name worker1, saw localhost/],
  ['own-address', 'worker1', { addresses: [] }, /worker1 online: wanted 10\.9\.9\.2, saw no address/],
  ['own-boot', 'worker1', { boot_id: 'boot of control' }, /boot id of its own, saw boot of control on control too/],
  ['reaches-services', 'worker1', { reached: [{ node: 'control', trouble: 'refused' }] }, /on control, saw refused/],
  ['reaches-services', 'worker1', { reached: [{ node: 'control', status: 200, instance_id: 'x' }] }, /saw x/],
];

test('a machine that is another, or does not reach the service, is red at online and blocks no other', async t => {
  const { service, world } = await openHonestWorld(t);
  for (const [check, node, change, saw] of lies) {
    machines(world, service.identity['instance_id'] ?? '', { [node]: change });
    const run = await runVerify(world.env);
    assert.deepEqual([run.code, fate(run, `${node}/online/${check}`)], [1, 'broken'], run.stdout);
    assert.match(run.stdout, saw);
    assert.match(run.verdict, /^# verdict: online no · listening skipped · .* usable yes/);
    assert.match(run.stdout, /^# next: `make status`; `make up` boots every machine$/m);
  }
});

/** The host is not told which instance answers it. */
const hidden: Lie = (reply, { path }) => (
  path === '/version' ? withFields(reply, { instance_id: 7 }) : reply
);

test('a service that tells the host nothing is compared between machines; told to none, it is a skip', async t => {
  const { world } = await openHonestWorld(t, hidden);
  machines(world, 'one', { worker2: { reached: [{ node: 'control', status: 200, instance_id: 'other' }] } });
  const apart = await runVerify(world.env);
  assert.deepEqual(fates(apart), ['held', 'held', 'broken'], apart.stdout);
  assert.match(apart.stdout, /worker2 online: wanted instance one on control, saw other/);
  machines(world, '');
  const { machine } = world;
  world.machine = node => {
    const told = machine(node);
    return 'done' in told ? { done: { ...told.done, reached: [{ node: 'control', trouble: 'refused' }] } } : told;
  };
  const nowhere = await runVerify(world.env);
  assert.deepEqual(fates(nowhere), ['skipped', 'skipped', 'skipped'], nowhere.stdout);
  assert.match(nowhere.stdout, /# SKIP which instance is on control is told to nobody/);
  assert.deepEqual(fates(await runVerify({ ...world.env, STRICT: '1' })), ['broken', 'broken', 'broken']);
});

test('what a machine alone sees of its own service tells nobody the way there', async t => {
  const { world } = await openHonestWorld(t, hidden);
  const cut: Partial<MachineFacts> = { reached: [{ node: 'control', trouble: 'refused' }] };
  machines(world, 'one', { worker1: cut, worker2: cut });
  const run = await runVerify(world.env);
  assert.deepEqual(fates(run), ['skipped', 'skipped', 'skipped'], run.stdout);
});

function fates(run: Run): string[] {
  return Object.keys(addresses).map(node => fate(run, `${node}/online/reaches-services`));
}

test('with NODE=all every machine is looked at, also those on which nothing was asked for', async t => {
  const { service, world } = await openHonestWorld(t);
  machines(world, service.identity['instance_id'] ?? '');
  const { machine } = world;
  world.machine = node => node === 'worker2' ? { failed: 'worker2 is off' } : machine(node);
  const run = await runVerify({ ...world.env, NODE: 'all' });
  assert.deepEqual([run.code, fate(run, 'worker2/online/machine-answers')], [1, 'broken'], run.stdout);
});

test('a target whose own machine does not answer is blocked by online; NODE= leaves the others out', async t => {
  const { service, world } = await openHonestWorld(t);
  machines(world, service.identity['instance_id'] ?? '');
  const { machine } = world;
  world.machine = node => node === 'control' ? { failed: 'control does not answer over SSH' } : machine(node);
  service.asked.length = 0;
  const run = await runVerify(world.env);
  assert.equal(run.code, 1);
  assert.match(run.verdict, /^# verdict: online no · listening – · .* contained –/);
  assert.match(run.stdout, /control online: wanted a machine that answers, saw control does not answer over SSH/);
  assert.ok(run.points.filter(({ id }) => id.node === 'control' && id.check !== 'machine-answers')
    .every(({ blockedBy }) => blockedBy === 'online'));
  assert.deepEqual(service.asked, ['GET /version'], 'nothing but who answers there');
  world.env['NODE'] = 'control';
  world.machine = node => node === 'control' ? machine(node) : assert.fail(`${node} was asked`);
  assert.equal((await runVerify(world.env)).code, 0);
});

test('nothing is asked of a machine when nothing is up, and for addresses that were given', async t => {
  const { service, world } = await openHonestWorld(t);
  const { host, port } = service.target;
  for (const more of [{}, { TARGETS: `${host}:${port}` }]) {
    world.up = [];
    const run = await runVerify({ ...world.env, ...more });
    assert.match(run.verdict, /^# verdict: listening /);
  }
  assert.deepEqual(world.asked.filter(asked => asked.startsWith('machine')), []);
});
