// What a swarm's manager prints becomes values, or is refused with its text; and no two state folders share a place.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { placesOf } from '../swarm/places.ts';
import { parseRollouts, parseServices, serviceOf } from '../swarm/texts.ts';

test('how many tasks of each service run and how many it wants is read from the list of services', () => {
  assert.deepEqual(parseServices('orders_api 3/3\norders_router 2/3 (max 1 per node)\n'), [
    { name: 'orders_api', running: 3, wanted: 3 }, { name: 'orders_router', running: 2, wanted: 3 },
  ]);
  assert.deepEqual(parseServices(''), []);
  for (const text of ['orders_api', 'orders_api ?/3', 'orders_api 3']) {
    assert.throws(() => parseServices(text), /docker service ls/, text);
  }
});

test('what became of each update is read from the services, and one that was never updated has none', () => {
  const service = (more: object) => ({
    Spec: {
      Name: 'orders_api', Mode: { Global: {} },
      TaskTemplate: { ContainerSpec: { Image: 'orders:sha256-ab', Env: ['PORT=8000', 'A=b=c', 'UNSET'] } },
    },
    ...more,
  });
  const status = { State: 'rollback_completed', StartedAt: '2026-11-28T16:25:42Z', Message: 'rollback completed' };
  const single = { Name: 'orders_db-control', Mode: { Replicated: { Replicas: 1 } } };
  const [fresh, back, other, ...more] = parseRollouts(JSON.stringify([
    service({}), service({ UpdateStatus: status }), { Spec: { ...service({}).Spec, ...single } },
  ]));
  assert.ok(fresh !== undefined && back !== undefined && other !== undefined);
  assert.deepEqual(more, []);
  assert.deepEqual([fresh.image, fresh.state, fresh.startedAt], ['orders:sha256-ab', undefined, undefined]);
  assert.deepEqual(fresh.env, { PORT: '8000', A: 'b=c', UNSET: '' });
  assert.deepEqual([back.state, back.startedAt, back.message], Object.values(status));
  assert.equal(back.spec, fresh.spec);
  assert.deepEqual([fresh, other].map(({ name, isOnEach }) => [name, isOnEach]), [
    ['orders_api', true], ['orders_db-control', false],
  ]);
  const text = JSON.stringify([service({})]);
  for (const spoilt of ['', '{}', '[{}]', text.replace('Image', 'Picture'), text.replace('Name', 'Title')]) {
    assert.throws(() => parseRollouts(spoilt), /docker service inspect/, spoilt);
  }
});

test('a task names its service, whether its slot is a number or a node; another container is none of ours', () => {
  const task = 'bog2ufmtr7gnzu6r9d2sf4yt0';
  assert.equal(serviceOf(`orders_api.2.${task}`, 'orders'), 'api');
  assert.equal(serviceOf(`orders_db-control.lyeglwli4bbasswr4cf9vsfid.${task}`, 'orders'), 'db-control');
  for (const name of ['orders_api', `other_api.1.${task}`, 'orders-api-1']) {
    assert.throws(() => serviceOf(name, 'orders'), /no task of orders/, name);
  }
});

test('each state folder has names and a network of its own, which the kernel takes', () => {
  const nodes = ['control', 'worker1', 'worker2'].map((name, i) => ({ name, address: '', local: `127.0.0.${i + 1}` }));
  const [one, other] = [placesOf('/a/.state', nodes), placesOf("/a b'c/.state", nodes)];
  assert.deepEqual(placesOf('/a/.state', nodes), one);
  for (const { bridge, places, subnet } of [one, other]) {
    // a device's name has at most 15 letters
    for (const name of [bridge, ...places.map(({ link }) => link)]) assert.match(name, /^[a-z0-9-]{1,15}$/);
    assert.match(subnet, /^198\.1[89]\.\d+\.0\/24$/);
  }
  assert.notEqual(one.bridge, other.bridge);
  assert.notEqual(one.subnet, other.subnet);
});
