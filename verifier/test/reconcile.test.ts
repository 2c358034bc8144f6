// Writers and their reckoning, against stores that keep their word and stores that do not.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { Answer, NewOrder, Order } from '../client/api.ts';
import { until } from '../client/until.ts';
import { judge, openLoad } from '../experiment/load.ts';
import type { Attempt, Fate, Place } from '../experiment/load.ts';
import { reconcile } from '../experiment/reconcile.ts';

type Store = { rows: Map<string, Order>; place: Place; find: (id: string) => Promise<Answer<Order>> };

/** Keeps one order a key, as the service promises; without one each is an order of its own. */
function openStore(): Store {
  const rows = new Map<string, Order>();
  const place: Place = async (order, key = randomUUID()) => {
    const known = rows.get(key);
    if (known !== undefined && known.qty !== Number(order.qty)) return refused(422, 'idempotency_key_reused');
    const made = { ...order, qty: Number(order.qty), order_id: `id-of-${key}`, created_at: '2026-01-01T00:00:00Z' };
    const stored = known ?? made;
    rows.set(key, stored);
    return given(201, stored);
  };
  const find = async (id: string) => {
    const stored = [...rows.values()].find(row => row.order_id === id);
    return stored === undefined ? refused(404, 'order_not_found') : given(200, stored);
  };
  return { rows, place, find };
}

function given(status: number, value?: Order): Answer<Order> {
  const sight = { state: 'answered', status, headers: new Headers(), text: '', json: undefined, ms: 1 } as const;
  return value === undefined ? { sight, status } : { sight, status, value };
}

function refused(status: number, code: string, orderId?: string): Answer<Order> {
  return { ...given(status), problem: { status, code, field: undefined, ...orderId === undefined ? {} : { orderId } } };
}

const sent: NewOrder = { symbol: 'ZZDW1', side: 'buy', qty: '1.25' };

async function attempt(key: string | undefined, place: Place, fate?: Fate): Promise<Attempt> {
  const told = judge(await place(sent, key));
  if (fate === undefined || fate === told.fate) return { key, order: sent, ...told };
  return { key, order: sent, fate, said: 'made up', ms: 1 };
}

const nobody: Place = async () => refused(503, 'outcome_unknown');
const bare = ({ missing, changed, present, doubled, unresolved }: Awaited<ReturnType<typeof reconcile>>) => ({
  missing: missing.length, changed: changed.length, present: present.length, doubled: doubled.length,
  unresolved: unresolved.length,
});
const whole = { missing: 0, changed: 0, present: 0, doubled: 0, unresolved: 0 };

async function threeOfEach(store: Store): Promise<Attempt[]> {
  const attempts: Attempt[] = [];
  for (const n of [1, 2, 3]) {
    attempts.push(await attempt(`acked-${n}`, store.place));
    attempts.push(await attempt(`refused-${n}`, async () => refused(503, 'database_unavailable')));
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
  assert.deepEqual((await reconcile({ attempts, ...store })).missing, ['id-of-acked-2']);
});

test('a changed order is changed', async () => {
  const store = openStore();
  const attempts = await threeOfEach(store);
  const row = store.rows.get('acked-3');
  assert.ok(row);
  const find: Store['find'] = async id => {
    return id === row.order_id ? given(200, { ...row, qty: 2.25 }) : store.find(id);
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

test('of a key that was sent twice at once, a refusal and an order are no ghost, two orders are doubled', async () => {
  const store = openStore();
  const twice = [await attempt('twice', store.place), await attempt('twice', async () => refused(503, 'overloaded'))];
  assert.deepEqual(bare(await reconcile({ attempts: twice, ...store })), whole);
  const both = [await attempt('both', store.place), { ...await attempt('both', store.place), orderId: 'another' }];
  assert.deepEqual((await reconcile({ attempts: both, ...store })).doubled, ['id-of-both']);
});

test('an order without a key whose outcome is unknown is there as it was sent, or not there', async () => {
  const store = openStore();
  const [row, other] = [await store.place(sent, undefined), await store.place({ ...sent, qty: '7' }, undefined)];
  const unknown = (orderId = '') => attempt(undefined, async () => refused(503, 'outcome_unknown', orderId));
  const attempts = [await unknown(row.value?.order_id), await unknown('gone')];
  const reckoning = await reconcile({ attempts, ...store });
  assert.deepEqual(bare(reckoning), whole);
  assert.equal(reckoning.resolved, 2);
  const changed = await reconcile({ attempts: [await unknown(other.value?.order_id)], ...store });
  assert.deepEqual(changed.changed, [other.value?.order_id]);
});

test('only what certainly was not stored counts as refused', () => {
  const fate = (answer: Answer<Order>) => judge(answer).fate;
  const row = { ...sent, qty: 1.25, order_id: 'a', created_at: '2026-01-01T00:00:00Z' };
  const unanswered = (state: 'refused' | 'silent' | 'reset' | 'accepted_then_closed' | 'malformed' | 'unreachable') => (
    { sight: { state, ms: 1 }, status: 0 }
  );
  assert.equal(fate(given(201, row)), 'acked');
  assert.equal(fate(refused(503, 'database_unavailable')), 'refused');
  assert.equal(fate(unanswered('refused')), 'refused');
  const doubtful = [given(201), given(200), given(503), refused(503, 'outcome_unknown'), refused(500, 'a_bug')];
  for (const answer of doubtful) assert.equal(fate(answer), 'ambiguous', JSON.stringify(answer));
  for (const state of ['silent', 'reset', 'accepted_then_closed', 'malformed', 'unreachable'] as const) {
    assert.equal(fate(unanswered(state)), 'ambiguous');
  }
});

test('each order is in the log before it is sent, and its fate before the writer goes on', async t => {
  const file = join(await folder(t), 'log.jsonl');
  const store = openStore();
  const unlogged: string[] = [];
  const place: Place = async (order, key = '') => {
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
    return refused(503, 'draining');
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
