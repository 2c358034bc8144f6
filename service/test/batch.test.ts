// Orders that share a statement, on a real PostgreSQL: what holds for one of them must not reach the others.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { connect, createServer } from 'node:net';
import { after, test } from 'node:test';
import type { TestContext } from 'node:test';
import { openStore, StoreError } from '../database/store.ts';
import type { NewOrder, Store, StoreOptions } from '../database/store.ts';
import { holdInserts, openDatabase, openSession, storeOptions, until } from './database.ts';

const database = await openDatabase({ after });

async function open(t: TestContext, more: Partial<StoreOptions> = {}): Promise<Store> {
  const store = openStore(storeOptions(database.password, database.port, more));
  t.after(() => store.close(0));
  await until(() => store.readiness.check(), ({ up }) => up, 10_000);
  return store;
}

function newOrder(more: Partial<NewOrder> = {}): NewOrder {
  return { orderId: randomUUID(), symbol: 'BTC', side: 'buy', qty: '1', key: null, ...more };
}

/** The reason of each that failed, or null. */
async function outcomes(work: Promise<unknown>[]): Promise<(string | null)[]> {
  return Promise.all(work.map(one => one.then(() => null, (error: unknown) => {
    assert.ok(error instanceof StoreError, String(error));
    return `${error.kind} ${error.reason}`;
  })));
}

/** While one statement is held, everything else gathers behind it and then goes together. */
async function together<T>(
  t: TestContext, store: Store, orders: NewOrder[], act: (all: Promise<unknown>[]) => Promise<T>,
): Promise<T> {
  const { release, untilHeld } = await holdInserts(t, database);
  const first = store.place(newOrder());
  await untilHeld('1');
  const all = orders.map(order => store.place(order));
  const { batches } = store.stats();
  await release();
  await first;
  const result = await act(all);
  t.diagnostic(`${orders.length} orders in ${store.stats().batches - batches} statements`);
  return result;
}

const patient = { waitTimeoutMs: 20_000, statementTimeoutMs: 20_000, lockTimeoutMs: 1000, queryTimeoutMs: 30_000 };

test('orders that wait leave together, those with one key apart, each with its own answer', async t => {
  const store = await open(t, { ...patient, lockTimeoutMs: 19_000, writeConnections: 1 });
  const orders = Array.from(
    { length: 300 }, (_, at) => newOrder({ key: at < 200 ? `pair-${at % 100}` : null, qty: `${at + 1}` }),
  );
  const before = store.stats().batches;
  await together(t, store, orders, async all => {
    const placed = await Promise.all(all);
    assert.deepEqual(placed.slice(0, 100), placed.slice(100, 200));
    assert.deepEqual(placed.slice(200).map(order => (order as NewOrder).qty), orders.slice(200).map(({ qty }) => qty));
  });
  // 1 held, 300 behind it: 128 with keys of their own, then the rest
  assert.equal(store.stats().batches - before, 4);
});

for (const [what, spoil] of [
  ['a trigger refuses its symbol', { symbol: 'BAD' }],
  ['its id is taken by another key', { orderId: '00000000-0000-4000-8000-000000000001' }],
] as const) {
  test(`one bad row in a batch of 64 fails alone: ${what}`, async t => {
    const store = await open(t, { ...patient, lockTimeoutMs: 19_000, writeConnections: 1 });
    await store.place(newOrder({ orderId: '00000000-0000-4000-8000-000000000001', key: 'first' }));
    await database.psql(`create or replace function picky() returns trigger language plpgsql as
      $$ begin if new.symbol = 'BAD' then raise exception 'no'; end if; return new; end $$;
      create trigger picky before insert on orders for each row execute function picky()`);
    t.after(async () => {
      await database.psql('drop function picky cascade');
    });
    const orders = Array.from({ length: 64 }, (_, at) => newOrder(at === 30 ? spoil : {}));
    const failed = (await together(t, store, orders, outcomes)).map(
      (reason, at) => (reason === null ? null : `${at} ${reason}`),
    );
    assert.deepEqual(failed.filter(Boolean), ['30 bug unknown']);
    const ids = orders.filter((_, at) => at !== 30).map(({ orderId }) => `'${orderId}'`).join(',');
    assert.equal(await database.psql(`select count(*) from orders where order_id in (${ids})`), '63');
  });
}

test('one key that another process holds costs its own order a 503, and the 63 beside it nothing', async t => {
  const store = await open(t, { waitTimeoutMs: 5000 });
  const other = openSession(t, database);
  await other(`begin; insert into orders values ('${randomUUID()}', 'BTC', 'buy', 1, 'held')`);
  // the first two take the two connections, so that the rest gathers
  const orders = [
    newOrder(), newOrder(), ...Array.from({ length: 64 }, (_, at) => newOrder(at === 20 ? { key: 'held' } : {})),
  ];
  const { batches, batched } = store.stats();
  const told = await outcomes(orders.map(order => store.place(order)));
  await other('rollback');
  assert.deepEqual(
    told.map((reason, at) => reason && `${at} ${reason}`).filter(Boolean), ['22 unavailable lock_timeout'],
  );
  assert.ok(
    store.stats().batched - batched > 2 * (store.stats().batches - batches) || store.stats().batches - batches > 64,
  );
  assert.equal(await database.psql("select count(*) from orders where idempotency_key = 'held'"), '0');
});

test('two processes write the same thousand keys in opposite order: no deadlock seen, a thousand orders', async t => {
  const stores = [await open(t, patient), await open(t, patient)];
  // Rows that take a moment, so that the statements of the two do overlap.
  await database.psql(`create function slow() returns trigger language plpgsql as
    $$ begin perform pg_sleep(0.0005); return new; end $$;
    create trigger slow before insert on orders for each row execute function slow()`);
  t.after(async () => {
    await database.psql('drop function slow cascade');
  });
  const placed: string[] = [];
  for (let round = 0; round < 10; round += 1) {
    const keys = Array.from({ length: 100 }, (_, number) => `opposite-${round}-${number}`);
    placed.push(...await Promise.all(stores.flatMap((store, at) => (at === 0 ? keys : keys.toReversed())
      .map(async key => `${key} ${(await store.place(newOrder({ key }))).orderId}`))));
  }
  assert.equal(new Set(placed).size, 1000);
  assert.equal(await database.psql("select count(*) from orders where idempotency_key like 'opposite-%'"), '1000');
  // Had they got in each other's way, the server would have refused statements, and rows would have been sent again.
  assert.deepEqual(stores.map(store => store.stats().batched), [1000, 1000]);
});

test('a table locked for 5 s: look-ups are answered, orders refused in time, and none of those is stored', async t => {
  const store = await open(t);
  const known = await store.place(newOrder());
  const other = openSession(t, database);
  await other('set idle_in_transaction_session_timeout = 0');
  await other('begin; lock table orders in exclusive mode');
  const endMs = performance.now() + 5000;
  const refused: string[] = [];
  while (performance.now() < endMs) {
    const orders = Array.from({ length: 20 }, () => newOrder());
    const startedMs = performance.now();
    const placing = outcomes(orders.map(order => store.place(order)));
    assert.deepEqual(await store.find(known.orderId), known);
    const told = await placing;
    assert.ok(performance.now() - startedMs < 4500);
    for (const [at, reason] of told.entries()) {
      assert.match(String(reason), /^(unavailable lock_timeout|overloaded overloaded)$/);
      refused.push(`'${orders[at]?.orderId}'`);
    }
  }
  await other('commit');
  await until(() => store.place(newOrder()).then(() => true, () => false), Boolean, 5000);
  assert.ok(refused.length >= 40, `${refused.length}`);
  assert.equal(await database.psql(`select count(*) from orders where order_id in (${refused.join(',')})`), '0');
});

test('a caller who leaves while the order waits: it is not written', async t => {
  const store = await open(t, { ...patient, lockTimeoutMs: 19_000, writeConnections: 1 });
  const { release, untilHeld } = await holdInserts(t, database);
  const first = store.place(newOrder());
  await untilHeld('1');
  const gone = newOrder();
  const leaving = outcomes([store.place(gone, () => true)]);
  const stays = store.place(newOrder());
  await release();
  await Promise.all([first, stays, leaving]);
  assert.equal(await database.psql(`select count(*) from orders where order_id = '${gone.orderId}'`), '0');
});

test('without the right to make tables, orders are taken as long as the tables are there', async t => {
  await (await open(t)).place(newOrder());
  await database.psql('revoke create on schema public from orders');
  t.after(async () => {
    await database.psql('grant create on schema public to orders');
  });
  const store = await open(t);
  assert.ok(await store.place(newOrder()));
});

test('ready again at once when a read-only time is over, and orders are taken', async t => {
  const store = await open(t);
  await store.place(newOrder());
  await database.psql('alter database orders set default_transaction_read_only = on', 'postgres');
  await database.psql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'orders-test'");
  await until(() => store.readiness.check(), ({ reason }) => reason === 'read_only', 5000);
  assert.deepEqual(await outcomes([store.place(newOrder())]), ['unavailable read_only']);
  await database.psql('alter database orders reset default_transaction_read_only', 'postgres');
  await until(() => store.readiness.check(), ({ up }) => up, 1000);
  assert.ok(await store.place(newOrder()));
});

test('whatever role and database are set to, commits are waited for', async t => {
  await database.psql(
    'alter role orders set synchronous_commit = off; alter database orders set synchronous_commit = off',
  );
  t.after(async () => {
    await database.psql('alter role orders reset synchronous_commit; alter database orders reset synchronous_commit');
  });
  await database.psql(`create table seen (setting text); grant insert on seen to orders;
    create function see() returns trigger language plpgsql as
    $$ begin insert into seen values (current_setting('synchronous_commit')); return null; end $$;
    create trigger see after insert on orders for each statement execute function see()`);
  t.after(async () => {
    await database.psql('drop function see cascade; drop table seen');
  });
  await (await open(t)).place(newOrder());
  assert.equal(await database.psql('select distinct setting from seen'), 'on');
});

test('behind a pooler that drops what is asked for, a database that waits for no commit is not ready', async t => {
  await database.psql('alter role orders set synchronous_commit = off');
  t.after(async () => {
    await database.psql('alter role orders reset synchronous_commit');
  });
  const pooler = createServer(client => {
    const server = connect(database.port, '127.0.0.1');
    client.on('data', bytes => {
      const text = bytes.toString('latin1').replace('synchronous_commit\0on\0', 'application_name\0abcd\0');
      server.write(Buffer.from(text, 'latin1'));
    });
    server.pipe(client);
    client.on('error', () => server.destroy()).on('close', () => server.destroy());
    server.on('error', () => client.destroy());
  });
  await new Promise<void>(resolve => pooler.listen(0, '127.0.0.1', resolve));
  t.after(() => pooler.close());
  const address = pooler.address();
  assert.ok(address !== null && typeof address === 'object');
  const store = openStore(storeOptions(database.password, address.port));
  t.after(() => store.close(0));
  assert.equal((await store.readiness.check()).reason, 'not_durable');
});

test('an order whose time ran out while tables were made is refused, and not stored after all', async t => {
  const store = await open(
    t, { connectTimeoutMs: 300, queryTimeoutMs: 1500, statementTimeoutMs: 1190, lockTimeoutMs: 1180 },
  );
  await store.place(newOrder());
  const [dropping, making] = [openSession(t, database), openSession(t, database)];
  await making('select pg_advisory_lock(7201, 1)');
  await dropping('begin; drop table orders');
  const startedMs = performance.now();
  const order = newOrder();
  const placing = outcomes([store.place(order)]);
  await until(() => performance.now() - startedMs, ms => ms > 700, 5000);
  await dropping('commit');
  assert.deepEqual(await placing, ['unavailable timeout']);
  await making('select pg_advisory_unlock(7201, 1)');
  const stored = () => database.psql(`select to_regclass('orders') is not null and not exists
    (select from pg_stat_activity where application_name = 'orders-test' and state = 'active')`);
  await until(stored, seen => seen === 't', 5000);
  await store.close(2000);
  assert.equal(await database.psql(`select count(*) from orders where order_id = '${order.orderId}'`), '0');
});
