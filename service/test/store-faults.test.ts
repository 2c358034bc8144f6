// The store while the database or the way to it fails: every answer in time, no false one, nothing left over.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, test } from 'node:test';
import type { TestContext } from 'node:test';
import { openStore, StoreError } from '../database/store.ts';
import type { NewOrder, Store, StoreOptions } from '../database/store.ts';
import { holdInserts, openDatabase, openSession, storeOptions, until } from './database.ts';
import { openFaultyProxy } from './faulty-proxy.ts';

const database = await openDatabase({ after });
const short = {
  waitTimeoutMs: 300, connectTimeoutMs: 300, statementTimeoutMs: 300, lockTimeoutMs: 250, queryTimeoutMs: 700,
};
// What a machine that is busy with other things may add to a deadline.
const slackMs = 1000;

async function open(t: TestContext, more: Partial<StoreOptions> = {}) {
  const proxy = await openFaultyProxy(t, database.port);
  const store = openStore(storeOptions(database.password, proxy.port, { ...short, ...more }));
  t.after(() => store.close(0));
  return { proxy, store };
}

function newOrder(): NewOrder {
  return { orderId: randomUUID(), symbol: 'BTC', side: 'buy', qty: '1', key: null };
}

async function failure(work: Promise<unknown>): Promise<{ kind: string; reason: string; ms: number }> {
  const startedMs = performance.now();
  const error: unknown = await work.then(() => null, (thrown: unknown) => thrown);
  assert.ok(error instanceof StoreError, String(error));
  return { kind: error.kind, reason: error.reason, ms: performance.now() - startedMs };
}

function sockets(store: Store): number {
  const { writes, reads, readiness } = store.stats().connections;
  return writes + reads + readiness;
}

async function isUp(store: Store): Promise<void> {
  await until(() => store.readiness.check(), ({ up }) => up, 10_000);
}

const patient = { queryTimeoutMs: 30_000, statementTimeoutMs: 29_000, lockTimeoutMs: 28_000 };

test('an order whose connection dies while it is stored is answered by the second try as its own', async t => {
  const { proxy, store } = await open(t, patient);
  await isUp(store);
  const { release, untilHeld } = await holdInserts(t, database);
  const order = newOrder();
  const placing = store.place(order);
  await untilHeld('1');
  proxy.cut('rst');
  await untilHeld('2');
  await release();
  assert.equal((await placing).orderId, order.orderId);
  assert.equal(await database.psql(`select count(*) from orders where order_id = '${order.orderId}'`), '1');
});

test('an order that may have been stored is repeated for as long as there is time, and settled by its key', async t => {
  const { proxy, store } = await open(t, patient);
  await isUp(store);
  const { release, untilHeld } = await holdInserts(t, database);
  const order = newOrder();
  const placing = store.place(order);
  await untilHeld('1');
  await proxy.mode('refuse');
  await until(() => store.stats().retries, retries => retries > 2, 5000);
  await proxy.mode('pass');
  await release();
  assert.equal((await placing).orderId, order.orderId);
  assert.equal(await database.psql(`select count(*) from orders where order_id = '${order.orderId}'`), '1');
});

test('an order that may have been stored by the first try stays unknown when all others are refused', async t => {
  const { proxy, store } = await open(t, { ...patient, connectTimeoutMs: 300, queryTimeoutMs: 1500 });
  await isUp(store);
  const { release, untilHeld } = await holdInserts(t, database);
  const order = newOrder();
  const placing = failure(store.place(order));
  await untilHeld('1');
  await proxy.mode('refuse');
  const { kind, reason } = await placing;
  await release();
  assert.deepEqual({ kind, reason }, { kind: 'unknown', reason: 'connection_refused' });
  await until(
    () => database.psql(`select count(*) from orders where order_id = '${order.orderId}'`), seen => seen === '1', 5000,
  );
  await proxy.mode('pass');
  await isUp(store);
  assert.equal((await store.find(order.orderId))?.orderId, order.orderId);
});

for (const [name, freeze, thaw] of [
  ['a frozen server', async () => database.cluster('freeze'), async () => database.cluster('thaw')],
  ['a network that swallows everything', null, null],
] as const) {
  test(`${name} is given up at each deadline, and everything heals when it returns`, async t => {
    const { proxy, store } = await open(t);
    t.after(async () => { await database.cluster('thaw'); });
    await isUp(store);
    await Promise.all(Array.from({ length: 8 }, () => store.place(newOrder())));
    await (freeze?.() ?? proxy.mode('silent'));
    const [placed, found, probe] = await Promise.all(
      [failure(store.place(newOrder())), failure(store.find(randomUUID())), store.readiness.check()],
    );
    assert.deepEqual(
      [placed.kind, placed.reason, found.kind, found.reason], ['unknown', 'timeout', 'unavailable', 'timeout'],
    );
    assert.deepEqual([probe.up, probe.reason], [false, 'timeout']);
    assert.ok(
      Math.max(placed.ms, found.ms) < 700 + slackMs && probe.latencyMs < 400 + slackMs,
      JSON.stringify({ placed, found, probe }),
    );
    const crowd = await Promise.all(Array.from({ length: 60 }, () => failure(store.place(newOrder()))));
    assert.ok(crowd.every(({ ms }) => ms < 300 + 700 + slackMs), JSON.stringify(crowd));
    await (thaw?.() ?? proxy.mode('pass'));
    const startedMs = performance.now();
    await isUp(store);
    assert.ok(await store.place(newOrder()));
    assert.ok(performance.now() - startedMs < 2000 + slackMs);
    await until(() => proxy.open() - sockets(store), left => left === 0, 5000);
  });
}

for (const fault of ['fin', 'rst', 'garbage', 'refuse', 'silent', 'wrong password'] as const) {
  test(`under load, a peer with the fault "${fault}" sees under 50 connections a second, all are answered`, async t => {
    const { proxy, store } = await open(t, fault === 'wrong password' ? { password: 'wrong' } : {});
    if (fault !== 'wrong password') await proxy.mode(fault);
    const startedMs = performance.now();
    const answers: Promise<{ kind: string; ms: number }>[] = [];
    while (performance.now() - startedMs < 1500) {
      answers.push(failure(store.place(newOrder())), failure(store.find(randomUUID())));
      await Promise.all(
        [new Promise(resolve => setTimeout(resolve, 10)), answers.length % 10 ? null : store.readiness.check()],
      );
    }
    const told = await Promise.all(answers);
    const perSecond = store.stats().opened / ((performance.now() - startedMs) / 1000);
    t.diagnostic(`${told.length} callers, ${perSecond.toFixed(1)} connections a second`);
    assert.ok(perSecond < 50, `${perSecond}`);
    assert.deepEqual(
      [...new Set(told.map(({ kind }) => kind))].filter(kind => kind !== 'unavailable' && kind !== 'overloaded'), [],
    );
    assert.ok(told.every(({ ms }) => ms < 300 + 700 + slackMs));
    if (fault !== 'wrong password') {
      await proxy.mode('pass');
      await isUp(store);
      assert.ok(await store.place(newOrder()));
    }
    await store.close(500);
    await until(proxy.open, count => count === 0, 5000);
  });
}

test('a stream that breaks off after any number of bytes gives an answer, and none that is false', async t => {
  const { proxy, store } = await open(t);
  await isUp(store);
  for (let bytes = 1; bytes < 1500; bytes += 61) {
    proxy.cutAfter(Infinity);
    await isUp(store);
    proxy.cutAfter(bytes);
    proxy.cut('rst');
    const order = newOrder();
    const answer = await store.place(order).catch((error: unknown) => error);
    if (answer instanceof StoreError) assert.match(answer.kind, /^(unknown|unavailable)$/);
    else assert.equal(await database.psql(`select count(*) from orders where order_id = '${order.orderId}'`), '1');
  }
});

test('while orders wait for a lock: ready, look-ups and the queue bounded, the lock given as the reason', async t => {
  const { store } = await open(t, { queueSize: 30 });
  await isUp(store);
  await store.place(newOrder());
  const session = openSession(t, database);
  await session('begin; lock table orders in exclusive mode');
  const crowd = Array.from({ length: 60 }, () => failure(store.place(newOrder())));
  assert.deepEqual([store.stats().busy, store.stats().waiting], [2, 30]);
  assert.equal((await store.readiness.check()).up, true);
  assert.equal(await store.find(randomUUID()), null, 'a look-up waits for no insert');
  const told = await Promise.all(crowd);
  const seen = [...new Set(told.map(({ kind, reason }) => `${kind} ${reason}`))].sort();
  assert.deepEqual(seen, ['overloaded overloaded', 'unavailable lock_timeout']);
  assert.equal(store.stats().discarded, 0);
  await session('commit');
});

test('a probe whose own connection is well sees that no other can be made', async t => {
  const { store } = await open(t);
  t.after(async () => { await database.psql('alter role orders connection limit -1'); });
  await isUp(store);
  await store.place(newOrder());
  await database.psql('alter role orders connection limit 0');
  await database.psql(`select pg_terminate_backend(pid) from pg_stat_activity
    where application_name = 'orders-test' and query not like '%transaction_read_only%'`);
  const probe = await until(() => store.readiness.check(), ({ up }) => !up, 5000);
  assert.equal(probe.reason, 'too_many_connections');
});

test('closing lets a running order finish, and does not wait longer than the grace for a frozen server', async t => {
  const { proxy, store } = await open(t, patient);
  await isUp(store);
  const { release, untilHeld } = await holdInserts(t, database);
  const placing = store.place(newOrder());
  await untilHeld('1');
  const closing = store.close(10_000);
  await release();
  await closing;
  assert.ok(await placing);
  assert.equal((await failure(store.place(newOrder()))).reason, 'closing');
  const other = openStore(storeOptions(database.password, proxy.port));
  await isUp(other);
  await proxy.mode('silent');
  const stuck = failure(other.place(newOrder()));
  const startedMs = performance.now();
  await other.close(200);
  assert.ok(performance.now() - startedMs < 200 + slackMs);
  assert.match((await stuck).kind, /^(unknown|unavailable)$/);
});
