// The tables move on, in a real PostgreSQL: forward in one transaction, and nobody serves what a newer build made.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, beforeEach, test } from 'node:test';
import type { TestContext } from 'node:test';
import { steps } from '../database/schema.ts';
import { openStore, StoreError } from '../database/store.ts';
import type { NewOrder, Store } from '../database/store.ts';
import { openDatabase, storeOptions, until } from './database.ts';
import { get, post } from './http-cases.ts';
import { talk } from './raw.ts';
import { required, startService } from './running.ts';

const database = await openDatabase({ after });
const { psql, port, password } = database;
const second = [...steps, "alter table orders add column note text not null default '';"];

beforeEach(() => psql('drop table if exists orders, schema_version'));

function open(t: TestContext, own: readonly string[] = steps, events: string[] = []): Store {
  const store = openStore({ ...storeOptions(password, port), steps: own, onEvent: event => void events.push(event) });
  t.after(() => store.close(0));
  return store;
}

const newOrder = (): NewOrder => ({ orderId: randomUUID(), symbol: 'BTC', side: 'buy', qty: '1', key: null });
const reason = async (store: Store): Promise<string> => (await store.readiness.check()).reason ?? 'up';
const versions = () => psql("select string_agg(version::text, ',' order by version) from schema_version");
const has = (column: string) => psql(`select count(*) from information_schema.columns where column_name = '${column}'`);

async function refusal(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(() => null, (thrown: unknown) => thrown);
  return error instanceof StoreError ? `${error.kind} ${error.reason}` : String(error);
}

test('version 1, then 2, then the old build: it says so, takes no order, touches nothing, and heals', async t => {
  const old = open(t);
  const order = await old.place(newOrder());
  assert.deepEqual([await reason(old), await versions()], ['up', '1']);
  const events: string[] = [];
  const next = open(t, second, events);
  assert.deepEqual([await reason(next), await versions(), await has('note')], ['up', '1,2', '1']);
  assert.deepEqual(events, ['schema_created', 'database_up']);
  assert.deepEqual(await next.find(order.orderId), order);
  const later = await next.place(newOrder());

  // one that serves meanwhile, and one that begins now and is asked for nothing but an order
  assert.equal(await reason(old), 'schema_newer');
  const stranger = open(t);
  const before = await psql('select count(*) from orders');
  for (const store of [old, stranger]) {
    assert.equal(await refusal(store.place(newOrder())), 'unavailable schema_newer');
    assert.equal(await refusal(store.find(later.orderId)), 'unavailable schema_newer');
  }
  assert.deepEqual([await versions(), await psql('select count(*) from orders')], ['1,2', before]);
  // a table that is missing is not this build's to make
  await psql('alter table orders rename to others');
  for (const store of [old, stranger]) assert.equal(await reason(store), 'schema_newer');
  assert.equal(await psql("select to_regclass('orders') is null"), 't');
  await psql('alter table others rename to orders');
  assert.deepEqual(await open(t, second).find(later.orderId), later);

  await psql('delete from schema_version where version = 2; alter table orders drop column note');
  assert.equal(await reason(old), 'up');
  assert.ok(await old.place(newOrder()));
});

test('old and new builds that begin at once, eight of each, all find one row a version', async t => {
  const stores = Array.from({ length: 16 }, (_, at) => open(t, at % 2 ? second : steps));
  const seen = await Promise.all(stores.map(async store => {
    await until(() => reason(store), word => ['up', 'schema_newer'].includes(word), 10_000);
  }));
  assert.equal(seen.length, 16);
  assert.deepEqual([await versions(), await has('note')], ['1,2', '1']);
  for (const [at, store] of stores.entries()) assert.equal(await reason(store), at % 2 ? 'up' : 'schema_newer');
});

for (const [what, step] of [
  ['fails half way', 'alter table orders add column note text; perform 1 / 0;'],
  ['takes longer than an order may', 'alter table orders add column note text; perform pg_sleep(5);'],
] as const) {
  test(`a step that ${what} leaves nothing, is told as schema_failed, and the old build serves`, async t => {
    const old = open(t);
    const order = await old.place(newOrder());
    const broken = open(t, [...steps, step]);
    await until(() => reason(broken), word => word === 'schema_failed', 5000);
    assert.deepEqual([await versions(), await has('note')], ['1', '0']);
    assert.equal(await reason(old), 'up');
    assert.deepEqual(await old.find(order.orderId), order);
    assert.ok(await old.place(newOrder()));
  });
}

test('tables that were dropped are made up to the newest version again', async t => {
  const store = open(t, second);
  await store.place(newOrder());
  await psql('drop table orders');
  assert.ok(await store.place(newOrder()));
  assert.deepEqual([await versions(), await has('note')], ['1,2', '1']);
});

test('a service over newer tables answers /ready and orders with 503, and /health with 200', async t => {
  const given = { DATABASE_PORT: String(port), DATABASE_PASSWORD: password, READY_MAX_AGE_MS: '0' };
  const service = await startService(t, { ...required, ...given });
  const ask = async (bytes: string) => (await talk({ port: service.port, bytes })).answers[0];
  const ready = () => ask(get('/ready', 'Connection: close'));
  const order = () => ask(post(['Connection: close', 'Content-Length: 0'], '', '/order?symbol=BTC&side=buy&qty=1'));
  assert.equal((await until(ready, answer => answer?.status === 200, 5000))?.status, 200);
  assert.equal((await order())?.status, 201);
  await psql('insert into schema_version (version) values (2)');
  assert.match((await ready())?.body ?? '', /"reason":"schema_newer"/);
  const refused = await order();
  assert.equal(refused?.status, 503);
  assert.match(refused?.body ?? '', /"code":"database_unavailable".*schema_newer/);
  assert.equal((await ask(get('/health', 'Connection: close')))?.status, 200);
  await psql('delete from schema_version where version = 2');
  assert.equal((await ready())?.status, 200);
  assert.equal((await order())?.status, 201);
});
