// The routes over a store in memory: answers, problems, keys, media types, and the store's troubles as seen by callers.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { StoreError } from '../database/store.ts';
import { openFakeStore } from './fake-store.ts';
import type { FakeStore } from './fake-store.ts';
import { openLayer, realRoutes } from './layer.ts';

type Seen = { status: number; headers: Headers; body: Record<string, unknown> };
type Call = (method: string, path: string, headers?: Record<string, string>, body?: string) => Promise<Seen>;
const order = '/order?symbol=BTC&side=buy&qty=1.50';

async function open(t: TestContext, store: FakeStore = openFakeStore()): Promise<Call> {
  const { port } = await openLayer(t, realRoutes(store));
  return async (method, path, headers = {}, body) => {
    const answer = await fetch(
      `http://127.0.0.1:${port}${path}`,
      { method, headers, redirect: 'manual', ...(body === undefined ? {} : { body }) },
    );
    const text = await answer.text();
    return { status: answer.status, headers: answer.headers, body: text === '' ? {} : JSON.parse(text) };
  };
}

test('an order comes back from its Location with equal values', async t => {
  const call = await open(t);
  const placed = await call('POST', order);
  assert.equal(placed.status, 201);
  const { order_id, created_at, ...rest } = placed.body;
  assert.deepEqual(rest, { status: 'accepted', symbol: 'BTC', side: 'buy', qty: 1.5 });
  assert.equal(placed.headers.get('location'), `/orders/${order_id}`);
  assert.match(String(created_at), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  const read = await call('GET', `/orders/${order_id}`);
  assert.deepEqual([read.status, read.body], [200, placed.body]);
  assert.deepEqual(
    (await call('GET', `/orders/${String(order_id).toUpperCase()}`)).body, placed.body, 'RFC 9562: either case',
  );
});

test('the log of a placed order and of a look-up names the order', async t => {
  const { port, told } = await openLayer(t, realRoutes());
  const placed: { order_id: string } = JSON.parse(
    await (await fetch(`http://127.0.0.1:${port}${order}`, { method: 'POST' })).text(),
  );
  await (await fetch(`http://127.0.0.1:${port}/orders/${placed.order_id}`)).text();
  assert.deepEqual(told.map(({ note }) => note.orderId), [placed.order_id, placed.order_id]);
});

test('a problem without a type of its own has the phrase of its status as title', async t => {
  const call = await open(t);
  const { body } = await call('POST', '/order?symbol=BTC');
  assert.deepEqual(
    [body['type'], body['title'], body['status'], body['code']], ['about:blank', 'Bad Request', 400, 'invalid_order'],
  );
});

test('an unknown order is 404 whether or not its id looks like one', async t => {
  const call = await open(t);
  for (const id of ['00000000-0000-4000-8000-000000000000', 'x', '%27', '1', 'a'.repeat(4000)]) {
    const { status, body } = await call('GET', `/orders/${id}`);
    assert.deepEqual([status, body['code']], [404, 'order_not_found'], id);
  }
});

test('HEAD is where GET is, OPTIONS tells what is, anything else is 405 and says so too', async t => {
  const call = await open(t);
  for (const [path, allow] of [
    ['/health', 'GET, HEAD, OPTIONS'], ['/order', 'OPTIONS, POST'], ['/orders/x', 'GET, HEAD, OPTIONS'],
  ] as const) {
    const options = await call('OPTIONS', path);
    assert.deepEqual([options.status, options.headers.get('allow')], [204, allow]);
    const wrong = await call('DELETE', path);
    assert.deepEqual(
      [wrong.status, wrong.headers.get('allow'), wrong.body['code']], [405, allow, 'method_not_allowed'],
    );
  }
  const [head, full] = [await call('HEAD', '/health'), await call('GET', '/health')];
  assert.deepEqual([head.status, head.headers.get('content-length')], [200, full.headers.get('content-length')]);
  assert.equal((await call('GET', '/order')).status, 405);
  for (const path of ['/', '/Health', '/health/', '//health', '/%68ealth', '/orders', '/orders/a/b']) {
    assert.equal((await call('GET', path)).body['code'], 'not_found', path);
  }
});

test('a body must be JSON in UTF-8 where a body is taken at all', async t => {
  const call = await open(t);
  const json = '{"symbol":"BTC","side":"buy","qty":1}';
  for (const type of [
    'application/json', 'application/json; charset=utf-8', 'Application/JSON;charset="UTF-8"',
    'application/json\t;\t charset=utf-8',
    'application/json;', 'application/json; CHARSET="ut\\f-8"',
  ]) {
    assert.equal((await call('POST', '/order', { 'content-type': type }, json)).status, 201, type);
  }
  for (const type of [
    'text/plain', 'application/json; charset=latin1', 'application/x-www-form-urlencoded', 'application/jsonp', '',
    'appli cation/json',
    'application /json', 'application/json; charset = utf-8', 'application/json; charset=utf-8; charset=latin1',
    'application/json charset=utf-8',
  ]) {
    assert.equal(
      (await call('POST', '/order', { 'content-type': type }, json)).body['code'], 'unsupported_media_type', type,
    );
  }
  const coded = (coding: string): Promise<Seen> => call(
    'POST', '/order', { 'content-type': 'application/json', 'content-encoding': coding }, json,
  );
  const refused = await coded('gzip');
  assert.deepEqual([refused.status, refused.headers.get('accept-encoding')], [415, 'identity']);
  assert.equal((await coded('Identity')).status, 201);
  assert.equal(
    (await call('POST', '/order', { 'content-type': 'application/json' }, '{')).body['code'], 'invalid_json',
  );
});

test('the same key and order get the first answer again, bare or quoted; another order is 422', async t => {
  const store = openFakeStore();
  const call = await open(t, store);
  const first = await call('POST', order, { 'idempotency-key': 'k-1' });
  const again = await call('POST', '/order?symbol=BTC&side=buy&qty=1.5', { 'idempotency-key': '"k-1"' });
  assert.deepEqual(
    [again.status, again.body, again.headers.get('location')], [201, first.body, first.headers.get('location')],
  );
  for (const other of ['symbol=ETH&side=buy&qty=1.5', 'symbol=BTC&side=sell&qty=1.5', 'symbol=BTC&side=buy&qty=1.6']) {
    const refused = await call('POST', `/order?${other}`, { 'idempotency-key': 'k-1' });
    assert.deepEqual([refused.status, refused.body['code']], [422, 'idempotency_key_reused']);
  }
  assert.equal(store.orders.size, 1);
});

test('the id of an order placed without a key is not a key to it', async t => {
  const call = await open(t);
  const first = await call('POST', order);
  const second = await call('POST', order, { 'idempotency-key': String(first.body['order_id']) });
  assert.equal(second.status, 201);
  assert.notEqual(second.body['order_id'], first.body['order_id']);
});

test('a malformed key is 400 and places nothing', async t => {
  const store = openFakeStore();
  const call = await open(t, store);
  for (const key of [
    '', '""', '"a', 'a"', 'a b', 'a, b', '"a", "b"', '"\\a"', 'ü', 'a'.repeat(256), `"${'a'.repeat(256)}"`, 'a;b=c',
  ]) {
    const { status, body } = await call('POST', order, { 'idempotency-key': key });
    assert.deepEqual([status, body['code']], [400, 'invalid_idempotency_key'], key);
  }
  assert.equal(store.orders.size, 0);
  for (const key of ['a', '8e03978e-40d5-43dd-bc93-6894a57f9324', '"a b, c"', '"\\"\\\\"', 'a'.repeat(255)]) {
    assert.equal((await call('POST', order, { 'idempotency-key': key })).status, 201, key);
  }
});

test('a key is 409 while its first request runs, and free again when that has failed', async t => {
  const running: (() => void)[] = [];
  let fails = true;
  const call = await open(t, openFakeStore(async () => {
    await new Promise<void>(resolve => running.push(resolve));
    if (fails) throw new StoreError('unavailable', 'connection_refused', 'ECONNREFUSED');
  }));
  const first = call('POST', order, { 'idempotency-key': 'k' });
  while (running.length === 0) await new Promise(resolve => setImmediate(resolve));
  const second = await call('POST', order, { 'idempotency-key': '"k"' });
  assert.deepEqual([second.status, second.body['code']], [409, 'idempotency_key_in_use']);
  running.pop()?.();
  assert.equal((await first).status, 503);
  fails = false;
  const third = call('POST', order, { 'idempotency-key': 'k' });
  while (running.length === 0) await new Promise(resolve => setImmediate(resolve));
  running.pop()?.();
  assert.equal((await third).status, 201);
});

for (const [kind, placing, reading] of [
  ['unavailable', [503, 'database_unavailable'], [503, 'database_unavailable']],
  ['unknown', [503, 'outcome_unknown'], [503, 'database_unavailable']],
  ['overloaded', [503, 'overloaded'], [503, 'overloaded']], ['bug', [500, 'internal_error'], [500, 'internal_error']],
] as const) {
  test(`a store in trouble of the kind "${kind}" is answered without a word of the driver`, async t => {
    const call = await open(t, openFakeStore(() => {
      throw new StoreError(kind, 'connection_lost', 'XX000');
    }));
    for (const [path, method, wanted] of [
      [order, 'POST', placing], ['/orders/00000000-0000-4000-8000-000000000000', 'GET', reading],
    ] as const) {
      const { status, headers, body } = await call(method, path);
      assert.deepEqual([status, body['code']], wanted);
      assert.equal(headers.get('retry-after'), status === 503 ? '1' : null);
      assert.equal('order_id' in body, body['code'] === 'outcome_unknown');
      assert.ok(!JSON.stringify(body).includes('XX000'));
    }
  });
}

test('an unknown outcome names an order only without a key: with one, an earlier try may have stored it', async t => {
  const call = await open(t, openFakeStore(() => {
    throw new StoreError('unknown', 'connection_lost', 'XX000');
  }));
  assert.match(String((await call('POST', order)).body['order_id']), /^[0-9a-f-]{36}$/);
  const keyed = await call('POST', order, { 'idempotency-key': 'k' });
  assert.deepEqual([keyed.status, keyed.body['code'], keyed.body['order_id']], [503, 'outcome_unknown', undefined]);
});
