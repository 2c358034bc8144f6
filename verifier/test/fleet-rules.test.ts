// The rules for a fleet: an honest one holds every rule, and each way to weaken one task is seen by its own rules.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json, SwarmFacts, Task } from '#infra/platform';
import { rules } from '../checks/container-rules.ts';
import { fleetRules, reachDatabase, sameTasks } from '../checks/fleet-rules.ts';
import { recordedFleet } from './recorded.ts';

const target = { host: '198.18.0.10', port: 8000 };
const honest = (): SwarmFacts => structuredClone(recordedFleet);
const { wanted } = honest();

const brokenBy = (facts: SwarmFacts) =>
  Object.entries(fleetRules).filter(([, { judge }]) => judge(facts, target) !== null).map(([id]) => id).sort();

test('an honest fleet holds every rule, and every rule for one stack has one for a fleet', () => {
  assert.deepEqual(brokenBy(honest()), []);
  assert.deepEqual(Object.keys(fleetRules).sort(), rules.map(({ id }) => id).sort());
});

test('a newer engine, and a slow machine whose times are wider, are honest too; other times are not', () => {
  const slow = (pace: number): SwarmFacts => {
    const facts = honest();
    facts.settings = { ...facts.settings, ORDERS_PACE: '5' };
    for (const { values } of facts.tasks) {
      values['HostConfig.NetworkMode'] = 'bridge';
      const wider = (name: string) => {
        const value = values[name];
        if (value === undefined) return;
        values[name] = typeof value === 'string' ? String(Number(value) * pace) : Number(value) * pace;
      };
      ['Interval', 'Timeout'].forEach(name => wider(`Config.Healthcheck.${name}`));
      ['HEARTBEAT_INTERVAL', 'ELECTION_TIMEOUT'].forEach(name => wider(`Config.Env.ETCD_${name}`));
    }
    return facts;
  };
  assert.deepEqual(brokenBy(slow(5)), []);
  assert.deepEqual(brokenBy(slow(3)), ['api-settings', 'db-settings']);
});

const on = (service: string, change: (task: Task) => void) => (facts: SwarmFacts) => {
  const task = facts.tasks.findLast(one => one.service === service);
  if (task === undefined) throw new Error(`no task ${service}`);
  change(task);
};
const network = (name: string, change: (values: Record<string, Json>) => void) => (facts: SwarmFacts) => {
  change(facts.networks.findLast(one => one.name === name)?.values ?? {});
};
const ways: [way: string, red: string[], change: (facts: SwarmFacts) => void][] = [
  ['one replica of root', ['api-user'], on('api', ({ box }) => { box.uid = 0; })],
  ['one router that can write its root', ['api-root'], on('router', ({ box }) => { box.read_only = false; })],
  ['a member with a capability', ['db-capabilities'],
    on('db-worker2', ({ box }) => { box.cap_bnd = '1'.padStart(16, '0'); })],
  ['a router with a capability', ['api-capabilities'], on('router', ({ box }) => { box.cap_add = ['NET_ADMIN']; })],
  ['a replica whose system calls are not filtered', ['api-privileges'], on('api', ({ box }) => { box.seccomp = 0; })],
  ['an etcd of root', ['db-user'], on('etcd-control', ({ box }) => { box.user = 'root'; })],
  ['a member that can write its root', ['db-root'], on('db-worker1', ({ box }) => { box.read_only = false; })],
  ['an etcd that can gain privileges', ['db-privileges'],
    on('etcd-control', ({ box }) => { box.no_new_privileges = false; })],
  ['a replica with more memory', ['api-settings'],
    on('api', ({ values }) => { values['HostConfig.Memory'] = 2 ** 30; })],
  ['a member without a limit', ['db-settings'],
    on('db-control', ({ values }) => { delete values['HostConfig.PidsLimit']; })],
  ['a replica that sees the processes of its machine', ['api-settings'],
    on('api', ({ values }) => { values['HostConfig.PidMode'] = 'host'; })],
  ['a replica on the network of its machine', ['api-settings'],
    on('api', ({ values }) => { values['HostConfig.NetworkMode'] = 'host'; })],
  ['a replica with another variable', ['api-settings'],
    on('api', ({ values }) => { values['Config.Env.NODE_OPTIONS'] = '--inspect'; })],
  ['a router with a folder of its machine', ['api-settings'],
    on('router', ({ values }) => { values['Mounts./var/run/docker.sock.Type'] = 'bind'; })],
  ['an etcd with another cluster', ['db-settings'],
    on('etcd-worker1', ({ values }) => { values['Config.Env.ETCD_INITIAL_CLUSTER'] = 'other=http://other:2380'; })],
  ['a replica of another build', ['api-image'], on('api', ({ box }) => { box.image_id = `sha256:${'e'.repeat(64)}`; })],
  ['a member of another image', ['db-image'], on('db-worker1', ({ box }) => { box.image = String(wanted.router); })],
  ['an etcd of another image', ['db-image'], on('etcd-worker1', ({ box }) => { box.image = String(wanted.database); })],
  ['images whose recipe has changed', ['api-image', 'db-image'],
    facts => { facts.wanted = { ...facts.wanted, database: undefined, etcd: undefined, router: undefined }; }],
  ['a replica on no pinned base', ['api-base'], on('api', ({ box }) => { box.base.digest = ''; })],
  ['a member that does not say what it is made of', ['db-base'],
    on('db-control', ({ box }) => { box.base.made_of = ''; })],
  ['a replica that is not healthy', ['preflight-settings'], on('api', ({ box }) => { box.health = 'starting'; })],
  ['a replica that listens elsewhere', ['api-listening'],
    on('api', ({ box }) => { box.listening = ['127.0.0.1:8000']; })],
  ['a router that publishes more', ['api-published'],
    on('router', ({ box }) => { box.published.push('0.0.0.0:5432'); })],
  ['a member that is published', ['db-published'],
    on('db-control', ({ box }) => { box.published = ['0.0.0.0:5432']; })],
  ['a replica that is published', ['others-published'], on('api', ({ box }) => { box.published = ['0.0.0.0:80']; })],
  ['a replica on a network that leads out', ['networks', 'no-way-out'],
    on('api', ({ box }) => { box.networks = ['orders_front', 'orders_private']; })],
  ['a network that has a way out', ['networks', 'no-way-out'],
    network('orders_database', values => { delete values['Internal']; })],
  ['a network that anybody may join', ['networks'],
    network('orders_private', values => { values['Attachable'] = true; })],
  ['a stranger on a network', ['networks'],
    network('orders_consensus', values => { values['Members'] = [...values['Members'] as Json[], 'x']; })],
  ['a network that no engine tells of', ['networks', 'no-way-out'],
    facts => { facts.networks = facts.networks.filter(({ name }) => name !== 'orders_private'); }],
  ['data in no volume', ['data-volume', 'db-settings'],
    on('db-worker1', ({ values }) => { values['Mounts./var/lib/postgresql/data.Type'] = 'tmpfs'; })],
  ['a task too few', ['known-containers', 'networks'], facts => { facts.tasks = facts.tasks.slice(0, -1); }],
  ['a paused task', ['known-containers'], on('etcd-worker2', ({ box }) => { box.state = 'paused'; })],
  ['a service that wants more', ['known-containers'], facts => { (facts.services[0] ?? { wanted: 0 }).wanted = 4; }],
  ['one replica, by a constraint', ['known-containers', 'networks'], facts => {
    facts.tasks = facts.tasks.filter(({ service, node }) => service !== 'api' || node === 'control');
    facts.services = facts.services.map(one => one.name === 'api' ? { ...one, running: 1, wanted: 1 } : one);
  }],
  ['two replicas on one machine', ['known-containers', 'networks'], on('api', task => { task.node = 'control'; })],
  ['a member that was removed with its service', ['known-containers', 'networks'], facts => {
    facts.tasks = facts.tasks.filter(({ service }) => service !== 'db-worker2');
    facts.services = facts.services.filter(({ name }) => name !== 'db-worker2');
  }],
  ['a service of a stranger', ['known-containers'],
    facts => { facts.services.push({ name: 'x', running: 0, wanted: 0 }); }],
  ['a stranger', ['known-containers', 'networks', 'others-published'],
    facts => { facts.tasks.push({ ...facts.tasks[0] as Task, service: 'x' }); }],
  ['commits that are not kept', ['durability'],
    facts => { facts.durability = { ...facts.durability as object, fsync: 'off' } as never; }],
  ['commits that nobody confirms', ['durability'], facts => { facts.synchronous = ''; }],
  ['a leader that does not tell who confirms', ['durability'], facts => { facts.synchronous = null; }],
  ['two leaders', ['durability'], facts => { facts.leaders.push('db-control'); }],
  ['no leader', ['durability'], facts => { facts.leaders = []; }],
  ['a leader that Patroni does not know', ['durability'], facts => { facts.leaders = ['db-control']; }],
  ['members that nobody tells of', ['durability'], facts => { facts.members = null; }],
  ['no member that confirms', ['durability'],
    facts => { facts.members?.forEach(one => { if (one.role === 'confirms') one.role = 'follows'; }); }],
  ['a member that is not there yet', ['durability'],
    facts => { facts.members?.forEach(one => { if (one.role === 'follows') one.streams = false; }); }],
  ['a member that confirms and is not there', ['durability'],
    facts => { facts.members?.forEach(one => { if (one.role === 'confirms') one.streams = false; }); }],
  ['a superuser with a password', ['superuser'], facts => { facts.access?.with_password.push('postgres'); }],
];
for (const [way, red, change] of ways) {
  test(`${way} is seen`, () => {
    const facts = honest();
    change(facts);
    assert.deepEqual(brokenBy(facts), red);
  });
}

test('one replica that does not reach the database is seen, and one task in the place of another', () => {
  assert.equal(reachDatabase(honest(), target), null);
  const cut = honest();
  on('api', task => { task.way_to_database = 'ECONNREFUSED'; })(cut);
  assert.match(reachDatabase(cut, target)?.saw ?? '', /ECONNREFUSED of api on worker2/);
  assert.equal(sameTasks(honest(), honest()), null);
  const replaced = honest();
  on('api', task => { task.id = 'another'; })(replaced);
  assert.match(sameTasks(honest(), replaced)?.saw ?? '', /another/);
  const still = honest();
  on('router', ({ box }) => { box.state = 'paused'; })(still);
  assert.match(sameTasks(still, still)?.saw ?? '', /router .* paused/);
});
