// Writers and their reckoning, against stores that keep their word and stores that do not.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { HttpSight } from '../client/http.ts';
import { until } from '../client/until.ts';
import { judge, openLoad } from '../experiment/load.ts';
import type { Attempt, Draft, Fate, Place } from '../experiment/load.ts';
import { reconcile } from '../experiment/reconcile.ts';

type Stored = Draft & { order_id: string; key: string };
type Store = { rows: Map<string, Stored>; place: Place; find: (id: string) => Promise<HttpSight> };

/** Keeps one order a key, as the service promises. */
function openStore(): Store {
  const rows = new Map<string, Stored>();
  const place: Place = async (order, key) => {
    const known = rows.get(key);
    if (known !== undefined && (known.qty !== order.qty || known.symbol !== order.symbol)) {
      return answered(422, { code: 'idempotency_key_reused' });
    }
    const stored = known ?? { ...order, key, order_id: `id-of-${key}` };
    rows.set(key, stored);
    return answered(201, stored);
  };
  const find = async (id: string) => {
    const stored = [...rows.values()].find(row => row.order_id === id);
    return stored === undefined ? answered(404, { code: 'order_not_found' }) : answered(200, stored);
  };
  return { rows, place, find };
}

function answered(status: number, json: object): HttpSight {
  return { state: 'answered', status, headers: new Headers(), text: JSON.stringify(json), json, ms: 1 };
}

async function attempt(key: string, place: Place, fate?: Fate): Promise<Attempt> {
  const order: Draft = { symbol: 'W1', side: 'buy', qty: 1.25 };
  const told = judge(await place(order, key));
  if (fate === undefined || fate === told.fate) return { key, order, ...told };
  return { key, order, fate, said: 'made up', ms: 1 };
}

const nobody: Place = async () => answered(503, { code: 'outcome_unknown' });
const bare = ({ missing, changed, present, doubled, unresolved }: Awaited<ReturnType<typeof reconcile>>) => ({
  missing: missing.length, changed: changed.length, present: present.length, doubled: doubled.length,
  unresolved: unresolved.length,
});
const whole = { missing: 0, changed: 0, present: 0, doubled: 0, unresolved: 0 };

async function threeOfEach(store: Store): Promise<Attempt[]> {
  const attempts: Attempt[] = [];
  for (const n of [1, 2, 3]) {
    attempts.push(await attempt(`acked-${n}`, store.place));
    attempts.push(await attempt(`refused-${n}`, async () => answered(503, { code: 'database_unavailable' })));
    // one of these was stored and two were not: nobody knows which
    attempts.push(await attempt(`ambiguous-${n}`, n === 1 ? store.place : nobody, 'ambiguous'));
  }
  return attempts;
}

test('a store that keeps its word is whole, and every ambiguous order is resolved by its key', async () => {
  const store = openStore();
  const reckoning = await reconcile({ attempts: await threeOfEach(store), ...store });
  assert.deepEqual(bare(reckoning), whole);
  assert.deepEqual([reckoning.acked, reckoning.refused, reckoning.ambiguous, reckoning.resolved], [3, 3, 3, 3]);
});

test('a lost order is missing, although the repeated key would bring it back', async () => {
  const store = openStore();
  const attempts = await threeOfEach(store);
  store.rows.delete('acked-2');
  assert.deepEqual((await reconcile({ attempts, ...store })).missing, ['acked-2']);
});

test('a changed order is changed', async () => {
  const store = openStore();
  const attempts = await threeOfEach(store);
  const row = store.rows.get('acked-3');
  assert.ok(row);
  const find: Store['find'] = async id => {
    return id === row.order_id ? answered(200, { ...row, qty: 2.25 }) : store.find(id);
  };
  assert.deepEqual(bare(await reconcile({ attempts, place: store.place, find })), { ...whole, changed: 1 });
});

test('a refused order that was stored after all is present', async () => {
  const store = openStore();
  const attempts = await threeOfEach(store);
  await attempt('refused-1', store.place);
  assert.deepEqual((await reconcile({ attempts, ...store })).present, ['refused-1']);
});

test('a store that makes a new order of a repeated key has doubled it', async () => {
  const store = openStore();
  const attempts = await threeOfEach(store);
  const place: Place = (order, key) => store.place(order, `${key}-${randomUUID()}`);
  assert.deepEqual((await reconcile({ attempts, place, find: store.find })).doubled.length, 6);
});

test('one id given to two orders is doubled', async () => {
  const store = openStore();
  const attempts = await threeOfEach(store);
  const same = attempts.map(one => one.fate === 'acked' ? { ...one, orderId: attempts[0]?.orderId ?? '' } : one);
  assert.ok((await reconcile({ attempts: same, ...store })).doubled.length >= 2);
});

test('an order whose key never gets an answer stays unresolved', async () => {
  const store = openStore();
  const attempts = [await attempt('stuck', nobody)];
  assert.deepEqual((await reconcile({ attempts, place: nobody, find: store.find })).unresolved, ['stuck']);
});

test('only what certainly was not stored counts as refused', () => {
  const fate = (answer: HttpSight) => judge(answer).fate;
  assert.equal(fate(answered(201, { order_id: 'a' })), 'acked');
  assert.equal(fate(answered(503, { code: 'database_unavailable' })), 'refused');
  assert.equal(fate({ state: 'refused', ms: 1 }), 'refused');
  const doubtfuls = [
    answered(201, {}), answered(200, { order_id: 'a' }), answered(503, {}), answered(503, { code: 'outcome_unknown' }),
    answered(500, {}),
  ];
  for (const doubtful of doubtfuls) {
    assert.equal(fate(doubtful), 'ambiguous', JSON.stringify(doubtful));
  }
  for (const state of ['silent', 'reset', 'accepted_then_closed', 'malformed', 'unreachable'] as const) {
    assert.equal(fate({ state, ms: 1 }), 'ambiguous');
  }
});

test('each order is in the log before it is sent, and its fate before the writer goes on', async t => {
  const file = join(await folder(t), 'log.jsonl');
  const store = openStore();
  const unlogged: string[] = [];
  const place: Place = async (order, key) => {
    if (!(await readFile(file, 'utf8')).includes(`"key":"${key}"`)) unlogged.push(key);
    return store.place(order, key);
  };
  const load = openLoad(place, file);
  t.after(load.stop);
  await load.start();
  await until(async () => load.attempts.length, count => count > 200, 20_000);
  await load.stop();
  const lines = (await readFile(file, 'utf8')).trim().split('\n').map(line => JSON.parse(line) as Attempt);
  assert.deepEqual(unlogged, []);
  assert.equal(lines.filter(line => line.fate === 'acked').length, load.attempts.length);
  assert.equal(new Set(load.attempts.map(one => one.key)).size, load.attempts.length);
});

test('writers that may not write wait, and stop when told', async t => {
  let asked = 0;
  const place: Place = async () => {
    asked += 1;
    return answered(503, { code: 'draining' });
  };
  let looks = 0;
  const load = openLoad(place, join(await folder(t), 'log.jsonl'));
  t.after(load.stop);
  await load.start({ writers: 2, mayWrite: () => {
    looks += 1;
    return false;
  } });
  await until(async () => looks, count => count > 6, 5_000);
  await load.stop();
  assert.equal(asked, 0);
});

async function folder(t: TestContext): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'orders-writers-'));
  t.after(() => rm(made, { recursive: true }));
  return made;
}
