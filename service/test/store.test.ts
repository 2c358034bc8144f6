// Orders in a real PostgreSQL: what is said to be stored is stored, once.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, test } from 'node:test';
import type { TestContext } from 'node:test';
import { Connection } from '../database/connection.ts';
import { openStore, StoreError } from '../database/store.ts';
import type { NewOrder, Store, StoreOptions } from '../database/store.ts';
import { openDatabase, storeOptions, until } from './database.ts';
import { openFaultyProxy } from './faulty-proxy.ts';

const database = await openDatabase({ after });
// How long the storm of cuts lasts. Longer finds rarer things: STORM_MS=60000.
const stormMs = Number(process.env['STORM_MS'] ?? 4000);

function open(t: TestContext, port: number, more: Partial<StoreOptions> = {}): Store {
  const store = openStore(storeOptions(database.password, port, more));
  t.after(() => store.close(0));
  return store;
}

function newOrder(more: Partial<NewOrder> = {}): NewOrder {
  return { orderId: randomUUID(), symbol: 'BTC', side: 'buy', qty: '1', key: null, ...more };
}

async function count(where: string): Promise<number> {
  return Number(await database.psql(`select count(*) from orders where ${where}`));
}

async function failure(work: Promise<unknown>): Promise<StoreError> {
  const error: unknown = await work.then(() => null, (thrown: unknown) => thrown);
  assert.ok(error instanceof StoreError, String(error));
  return error;
}

test('a store opens nothing until it is asked', async t => {
  const proxy = await openFaultyProxy(t, database.port);
  const store = open(t, proxy.port);
  assert.deepEqual([store.stats().opened, proxy.accepted()], [0, 0]);
  assert.equal(await store.find(randomUUID()), null);
  // one to see whose tables these are, one for the look-up
  assert.deepEqual([store.stats().opened, proxy.accepted()], [2, 2]);
});

test('eight stores that start at once on an empty database all make, or find, the tables', async t => {
  for (let round = 0; round < 3; round += 1) {
    await database.psql('drop table if exists orders, schema_version');
    const stores = Array.from({ length: 8 }, () => open(t, database.port, { writeConnections: 1 }));
    const placed = await Promise.all(stores.map(store => store.place(newOrder())));
    assert.equal(new Set(placed.map(({ orderId }) => orderId)).size, 8);
    assert.equal(await count('true'), 8);
    await Promise.all(stores.map(store => store.close(500)));
  }
  assert.equal(await database.psql('select string_agg(version::text, \',\') from schema_version'), '1');
});

test('an order comes back with the values it was placed with, and quantities are exact', async t => {
  const store = open(t, database.port);
  for (const [qty, stored] of [
    ['1', '1'], ['0.5', '0.5'], ['12.2500', '12.25'], ['999999999999999', '999999999999999'],
    ['0.00000000000001', '0.00000000000001'], ['100', '100'],
  ]) {
    const order = newOrder({ qty: qty ?? '', side: 'sell', symbol: 'A.B-9' });
    const placed = await store.place(order);
    const { createdAt, ...rest } = placed;
    assert.deepEqual(rest, { orderId: order.orderId, symbol: 'A.B-9', side: 'sell', qty: stored });
    assert.match(createdAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.deepEqual(await store.find(order.orderId), placed);
  }
});

test('the same key gives the first order again, also to an order with other values', async t => {
  const store = open(t, database.port);
  const first = await store.place(newOrder({ key: 'again' }));
  const second = await store.place(newOrder({ key: 'again', symbol: 'ETH', qty: '7' }));
  assert.deepEqual(second, first);
  assert.equal(await count("idempotency_key = 'again'"), 1);
});

test('a thousand keys, each placed three times in parallel, make a thousand orders', async t => {
  const store = open(t, database.port, { waitTimeoutMs: 60_000, queryTimeoutMs: 20_000 });
  const keys = Array.from({ length: 1000 }, (_, number) => `thousand-${number}`);
  const placed = await Promise.all(
    keys.flatMap(key => [1, 2, 3].map(async () => `${key} ${(await store.place(newOrder({ key }))).orderId}`)),
  );
  assert.equal(new Set(placed).size, 1000);
  assert.equal(await count("idempotency_key like 'thousand-%'"), 1000);
});

test('an insert that gives no row back is never taken for done', async t => {
  const store = open(t, database.port);
  await store.readiness.check();
  await database.psql(`create function swallow() returns trigger language plpgsql as $$ begin return null; end $$;
    create trigger swallow before insert on orders for each row execute function swallow()`);
  t.after(async () => { await database.psql('drop function swallow cascade'); });
  const error = await failure(store.place(newOrder()));
  assert.deepEqual([error.kind, error.code], ['unknown', 'NO_ROW']);
});

test('a statement given to a connection in the moment of its reset is refused, not reported as done', async t => {
  const proxy = await openFaultyProxy(t, database.port);
  let late: Promise<string> | undefined;
  const connection = new Connection(storeOptions(database.password, proxy.port), dying => {
    late = dying.run(sql => sql`select 1 as one`, 1000).then(rows => `done with ${rows.length} rows`, () => 'refused');
  });
  await connection.run(sql => sql`select 1 as one`, 1000);
  proxy.cut('rst');
  await until(() => late !== undefined, Boolean, 2000);
  assert.equal(await late, 'refused');
});

test('a dropped table is made again by the next order, which is logged, and a reader of it finds nothing', async t => {
  const events: string[] = [];
  const store = open(t, database.port, { onEvent: event => void events.push(event) });
  const order = await store.place(newOrder());
  events.length = 0;
  await database.psql('drop table orders');
  assert.equal(await store.find(order.orderId), null);
  await database.psql('drop table orders');
  assert.ok(await store.place(newOrder()));
  assert.deepEqual(events, ['schema_created', 'schema_created']);
});

for (const how of ['rst', 'fin'] as const) {
  test(`under a cut (${how}) every 10 ms each order said to be stored is stored, and none twice`, async t => {
    const proxy = await openFaultyProxy(t, database.port);
    const store = open(t, proxy.port);
    const said = { created: new Set<string>(), not: new Set<string>(), unknown: 0 };
    const cutter = setInterval(() => proxy.cut(how, 'one'), 10);
    t.after(async () => clearInterval(cutter));
    const startedMs = performance.now();
    // On a machine that is busy with other things the storm goes on until it has hit something.
    const goesOn = () => performance.now() - startedMs < (said.created.size < 100 ? 20_000 : stormMs / 2);
    await Promise.all(Array.from({ length: 32 }, async () => {
      while (goesOn()) {
        const order = newOrder({ key: `storm-${how}-${randomUUID()}` });
        const askedMs = performance.now();
        const answer = await store.place(order).catch((error: unknown) => error);
        assert.ok(performance.now() - askedMs < 4500);
        if (!(answer instanceof StoreError)) said.created.add(order.orderId);
        else if (answer.kind === 'unknown') said.unknown += 1;
        else said.not.add(order.orderId);
      }
    }));
    clearInterval(cutter);
    const stored = new Set(
      (await database.psql(`select order_id from orders where idempotency_key like 'storm-${how}-%'`)).split('\n'),
    );
    const { retries, discarded, batched, batches } = store.stats();
    const size = (batched / batches).toFixed(1);
    const each = `${size} orders a statement, ${retries} of them under ${discarded} connections that died`;
    t.diagnostic(each);
    assert.ok(retries > discarded, `more than one order in flight when the cut came: ${each}`);
    const fates = `created ${said.created.size}, refused ${said.not.size}, unknown ${said.unknown}`;
    t.diagnostic(`${fates}, connections ${proxy.accepted()}`);
    assert.ok(said.created.size >= 100 && proxy.accepted() > 50);
    assert.deepEqual([...said.created].filter(id => !stored.has(id)), []);
    assert.deepEqual([...said.not].filter(id => stored.has(id)), []);
    assert.ok(stored.size <= said.created.size + said.unknown);
  });
}
