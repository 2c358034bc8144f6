// A rollout is over when every service says so, and none is begun in the middle of another.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Context } from '../context.ts';
import { openLocal } from '../local.ts';
import { RolledBack } from '../platform.ts';
import { readSettings } from '../settings.ts';
import type { Fleet } from '../swarm/fleet.ts';
import type { Machine } from '../swarm/machine.ts';
import { rolloutsOf, settled, unhurried } from '../swarm/stack.ts';
import { root } from './stack.ts';

type Seen = { name: string; image?: string; tasks?: string; status?: { State: string; StartedAt: string } };
const at = (State: string, StartedAt = 'now') => ({ State, StartedAt, Message: State });

/** A swarm that shows one sight after the other, and then the last one. */
function showing(...sights: Seen[][]): { context: Context; fleet: Fleet; said: string[] } {
  const read = readSettings({ PLATFORM: 'swarm' }, root.replace(/\/$/, ''));
  if ('complaints' in read) throw new Error(read.complaints.join('; '));
  const said: string[] = [];
  const settings = { ...read.settings, scaled: (ms: number) => ms / 1000 };
  let [now = []] = sights;
  const ask: Fleet['ask'] = async argv => {
    if (argv[1] === 'stack') return '';
    if (argv[2] === 'ls') {
      now = sights.length > 1 ? sights.shift() ?? [] : sights[0] ?? [];
      return now.map(({ name, tasks = '3/3' }) => `orders_${name} ${tasks}\n`).join('');
    }
    return JSON.stringify(now.map(({ name, image = 'old', status }) => ({
      Spec: { Name: `orders_${name}`, Mode: { Global: {} }, TaskTemplate: { ContainerSpec: { Image: image } } },
      ...status === undefined ? {} : { UpdateStatus: status },
    })));
  };
  const impossible = async () => { throw new Error('not to be called'); };
  const fleet: Fleet = {
    kind: 'engines', scaled: settings.scaled, heartbeatMs: 5, needs: 'swarm', machines: [], on: async () => [], ask,
    manager: impossible, tell: impossible, sh: impossible, start: impossible, stop: impossible, assemble: impossible,
    disband: impossible, isRaised: impossible, awaitNodes: impossible,
  };
  return { context: { settings, local: openLocal(settings.env), say: line => said.push(line) }, fleet, said };
}

const before = [{ name: 'api' }, { name: 'router' }];
const until = async (...sights: Seen[][]) => {
  const former = await rolloutsOf(showing(before).fleet);
  return settled(showing(...sights), former);
};

test('the update of a service other than the api is waited for, and its rollback is told', async () => {
  const router = (more: object) => [{ name: 'api' }, { name: 'router', image: 'new', ...more }];
  await until(router({}), router({}), router({ status: at('updating') }), router({ status: at('completed') }));
  await assert.rejects(until(router({})), /not there in time: the update of orders_router/);
  await assert.rejects(until(router({ status: at('updating') })), /not there in time: the update of orders_router/);
  const back = [{ name: 'api' }, { name: 'router', status: at('rollback_completed') }];
  await assert.rejects(until(back), (error: Error) => (
    error instanceof RolledBack && /orders_router/.test(error.message)
  ));
  await assert.rejects(until(router({ status: at('paused') })), /stopped half way: orders_router/);
});

test('what is unchanged is not waited for, and what is missing is named', async () => {
  await until(before);
  await assert.rejects(until([{ name: 'api', tasks: '2/3' }]), /not there in time: orders_api 2 of 3/);
  await assert.rejects(until([]), /not there in time/);
});

test('nothing is begun while an update is under way: Swarm remembers one former build only', async () => {
  const busy = [{ name: 'api', status: at('rollback_started') }, { name: 'router', status: at('updating') }];
  const done = [{ name: 'api', status: at('rollback_completed') }, { name: 'router' }];
  const swarm = showing(busy, busy, done);
  assert.deepEqual((await unhurried(swarm)).map(({ state }) => state), ['rollback_completed', undefined]);
  assert.equal(swarm.said.length, 1);
  await assert.rejects(unhurried(showing(busy)), /does not end: orders_api \(rollback_started\), orders_router/);
});

test('the reason of a rollback is what failed since it began, in its own words', async () => {
  const shown = showing([{ name: 'api', status: at('rollback_completed') }]);
  const { assemble: impossible } = shown.fleet;
  const local = shown.context.local;
  const machine: Machine = {
    place: { node: { name: 'worker1', address: '', local: '' }, address: '' },
    host: { ...local, name: 'worker1' }, isOn: async () => true, cut: impossible, plug: impossible,
    isPlugged: async () => true, lend: (_, act) => act(file => file),
  };
  const [past, future] = ['2020-01-01T00:00:00.000Z', '2999-01-01T00:00:00.000Z'];
  const tasks = ['orders_api.1 on worker2: no node', 'orders_api.2 on worker2: no image', 'orders_db.1 on worker1: ']
    .map((line, i) => `${i} ${line}`).join('\n');
  const told = new Map([['stack', tasks], ['inspect', [past, future, future].join('\n')]]);
  const ask: Fleet['ask'] = async argv => told.get(argv[1] ?? '') ?? shown.fleet.ask(argv);
  const unready = 'orders_api exit 0, {"status":"unready"}';
  const sh: Fleet['sh'] = async () => `${past} orders_api exit 1, before\n${future} ${unready}\n`;
  const fleet: Fleet = { ...shown.fleet, machines: [machine], on: async () => [machine], ask, sh };
  const words = 'orders_api on worker1: exit 0, {"status":"unready"}; orders_api.2 on worker2: no image';
  await assert.rejects(settled({ ...shown, fleet }, await rolloutsOf(showing(before).fleet)), (error: Error) => (
    error.message.endsWith(`serves; ${words}`)
  ));
});
