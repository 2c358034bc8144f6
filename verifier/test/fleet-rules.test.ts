// The rules for a fleet: an honest one holds every rule, and each way to weaken one task is seen by its own rules.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SwarmFacts, Task } from '#infra/platform';
import { rules } from '../checks/container-rules.ts';
import { fleetRules, reachDatabase, sameTasks } from '../checks/fleet-rules.ts';
import { recorded } from './recorded.ts';

const target = { host: '198.18.0.10', port: 8000 };
const image = (name: string, digit: string) => `${name}:sha256-${digit.repeat(64)}`;
const wanted = { service: image('orders', 'a'), database: image('cluster', 'b'), router: image('router', 'c') };
const kinds = [
  { kind: 'api', is: wanted.service, networks: ['orders_private'], data: '' },
  { kind: 'router', is: wanted.router, networks: ['orders_database', 'orders_front', 'orders_private'], data: '' },
  { kind: 'db', is: wanted.database, networks: ['orders_consensus', 'orders_database'], data: 'postgresql/data' },
  { kind: 'etcd', is: image('etcd', 'd'), networks: ['orders_consensus'], data: 'etcd' },
];
const nodes = ['control', 'worker1', 'worker2'];

function honest(): SwarmFacts {
  const tasks = nodes.flatMap(node => kinds.map(({ kind, is, networks, data }): Task => {
    const service = data === '' ? kind : `${kind}-${node}`;
    const at = `Mounts./var/lib/${data}`;
    return {
      service, node, id: `${kind}${node}`, way_to_database: kind === 'api' ? 'connected' : null,
      values: data === '' ? {} : { [`${at}.Type`]: 'volume', [`${at}.Name`]: `orders_${service}` },
      box: {
        ...structuredClone(recorded.api), image: is, image_id: `sha256:${is.slice(-64)}`, networks,
        health: kind === 'api' ? 'healthy' : null, published: kind === 'router' ? ['0.0.0.0:8000'] : [],
      },
    };
  }));
  const names = [...new Set(tasks.map(({ service }) => service))];
  return {
    platform: 'swarm', containers: 'tasks', node: 'control', boot_id: recorded.boot_id, disk_mb: null,
    durability: recorded.durability, access: recorded.stack.access, wanted, tasks, leaders: ['db-control'],
    services: names.map(name => {
      const many = tasks.filter(({ service }) => service === name).length;
      return { name, running: many, wanted: many };
    }),
    api: { pid: null, state: 'running', restart_count: 0, started_at: null, listening: null },
    db: { pid: null, state: 'running', restart_count: 0, started_at: null, listening: null },
  };
}

const brokenBy = (facts: SwarmFacts) =>
  Object.entries(fleetRules).filter(([, judge]) => judge(facts, target) !== null).map(([id]) => id).sort();

test('an honest fleet holds every rule, and every rule for one stack has one for a fleet', () => {
  assert.deepEqual(brokenBy(honest()), []);
  assert.deepEqual(Object.keys(fleetRules).sort(), rules.map(({ id }) => id).sort());
});

const on = (service: string, change: (task: Task) => void) => (facts: SwarmFacts) => {
  const task = facts.tasks.findLast(one => one.service === service);
  if (task === undefined) throw new Error(`no task ${service}`);
  change(task);
};
const ways: [way: string, red: string[], change: (facts: SwarmFacts) => void][] = [
  ['one replica of root', ['api-user'], on('api', ({ box }) => { box.uid = 0; })],
  ['one router that can write its root', ['api-root'], on('router', ({ box }) => { box.read_only = false; })],
  ['a member with a capability', ['db-capabilities'],
    on('db-worker2', ({ box }) => { box.cap_bnd = '1'.padStart(16, '0'); })],
  ['an etcd that can gain privileges', ['db-privileges'],
    on('etcd-control', ({ box }) => { box.no_new_privileges = false; })],
  ['a replica without a limit', ['api-settings'], on('api', ({ box }) => { box.memory = 0; })],
  ['a member without a limit', ['db-settings'], on('db-control', ({ box }) => { box.pids_limit = null; })],
  ['a replica of another build', ['api-image'], on('api', ({ box }) => { box.image_id = `sha256:${'e'.repeat(64)}`; })],
  ['a member of another image', ['db-image'], on('db-worker1', ({ box }) => { box.image = wanted.router; })],
  ['a replica on no pinned base', ['api-base'], on('api', ({ box }) => { box.base.digest = ''; })],
  ['a member on no pinned base', ['db-base'], on('db-control', ({ box }) => { box.base.digest = ''; })],
  ['a replica that was never ready', ['preflight-settings'], on('api', ({ box }) => { box.health = 'starting'; })],
  ['a replica that listens elsewhere', ['api-listening'],
    on('api', ({ box }) => { box.listening = ['127.0.0.1:8000']; })],
  ['a router that publishes more', ['api-published'],
    on('router', ({ box }) => { box.published.push('0.0.0.0:5432'); })],
  ['a member that is published', ['db-published'],
    on('db-control', ({ box }) => { box.published = ['0.0.0.0:5432']; })],
  ['a replica that is published', ['others-published'], on('api', ({ box }) => { box.published = ['0.0.0.0:80']; })],
  ['a replica with a way out', ['networks', 'no-way-out'],
    on('api', ({ box }) => { box.networks = ['orders_front', 'orders_private']; })],
  ['data in no volume', ['data-volume'], on('db-worker1', task => { task.values = {}; })],
  ['a task too few', ['known-containers'], facts => { facts.tasks = facts.tasks.slice(0, -1); }],
  ['a service that wants more', ['known-containers'], facts => { (facts.services[0] ?? { wanted: 0 }).wanted = 4; }],
  ['a stranger', ['known-containers', 'networks'],
    facts => { facts.tasks.push({ ...facts.tasks[0] as Task, service: 'x' }); }],
  ['commits that are not kept', ['durability'],
    facts => { facts.durability = { ...facts.durability as object, fsync: 'off' } as never; }],
  ['a superuser with a password', ['superuser'], facts => { facts.access?.with_password.push('postgres'); }],
];
for (const [way, red, change] of ways) {
  test(`${way} is seen`, () => {
    const facts = honest();
    facts.access = structuredClone(facts.access);
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
});
