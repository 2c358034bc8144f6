// The ledger on disk, and what is asked of it.
import assert from 'node:assert/strict';
import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { Answer, Order } from '../client/api.ts';
import { choose, compare, countOlder } from '../checks/lasting.ts';
import { appendLedger, readLedger } from '../checks/ledger.ts';
import type { Promised } from '../checks/ledger.ts';

const created_at = '2026-01-02T03:04:05.000Z';
const order = (id: number): Promised => ({ order_id: `id-${id}`, symbol: 'BTC', side: 'buy', qty: '0.10', created_at });

async function file(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ledger-'));
  t.after(() => rm(folder, { recursive: true }));
  return join(folder, 'deep', 'ledger.jsonl');
}

test('no file is no promise', async t => {
  assert.deepEqual(await readLedger(await file(t)), { promised: [], torn: 0, unreadable: 0 });
});

test('promises come back in order', async t => {
  const path = await file(t);
  for (const id of [1, 2]) await appendLedger(path, order(id));
  assert.deepEqual(await readLedger(path), { promised: [order(1), order(2)], torn: 0, unreadable: 0 });
});

test('promises of two runs at once do not mix', async t => {
  const path = await file(t);
  await Promise.all(Array.from({ length: 20 }, (_, id) => appendLedger(path, order(id))));
  const { promised, unreadable } = await readLedger(path);
  assert.deepEqual([new Set(promised.map(({ order_id }) => order_id)).size, unreadable], [20, 0]);
});

test('a line that a crash tore is counted as that, last or not, and does not swallow the next', async t => {
  const path = await file(t);
  await appendLedger(path, order(1));
  await appendFile(path, '{"order_id":"id-2","sym');
  assert.deepEqual(await readLedger(path), { promised: [order(1)], torn: 1, unreadable: 0 });
  await appendLedger(path, order(3));
  await appendLedger(path, order(4));
  assert.deepEqual(await readLedger(path), { promised: [order(1), order(3), order(4)], torn: 1, unreadable: 0 });
});

test('a line that is no promise is counted', async t => {
  const path = await file(t);
  await appendLedger(path, order(1));
  await appendFile(path, `null\n7\n{}\n${JSON.stringify({ ...order(2), qty: 1 })}\n\n`);
  assert.deepEqual(await readLedger(path), { promised: [order(1)], torn: 0, unreadable: 4 });
  assert.equal((await readFile(path, 'utf8')).split('\n')[0], JSON.stringify(order(1)));
});

test('older than a start is what was promised before it, also if the clock was set back or forward meanwhile', () => {
  const at = (...times: string[]) => times.map(time => ({ created_at: `2026-01-02T${time}:00.000Z` }));
  const start = '2026-01-02T12:00:00.000Z';
  assert.equal(countOlder(at('10:00', '11:59'), start), 2);
  assert.equal(countOlder(at('10:00', '12:00', '13:00'), start), 1);
  // set back by an hour after the third
  assert.equal(countOlder(at('10:00', '11:00', '12:10', '11:15', '12:30'), start), 2);
  assert.equal(countOlder(at('13:30', '12:40'), start), 0);
  assert.deepEqual([countOlder([], start), countOlder(at('10:00'))], [0, undefined]);
});

test('of a short ledger every order is asked for, of a long one the newest and an even sample', () => {
  const all = Array.from({ length: 5_000 }, (_, id) => order(id));
  assert.deepEqual(choose(all.slice(0, 300), 0.5), all.slice(0, 300));
  for (const shift of [0, 0.999]) {
    const chosen = choose(all, shift);
    assert.deepEqual([chosen.length, new Set(chosen).size], [300, 300]);
    assert.deepEqual(chosen.slice(-200), all.slice(-200));
  }
  assert.notDeepEqual(choose(all, 0), choose(all, 0.5));
});

test('an answer is equal when every value is, qty as a number', () => {
  const value: Order = { ...order(1), qty: 0.1 };
  const sight = { state: 'silent', ms: 1 } as const;
  const answer = (changes: Partial<Order>): Answer<Order> => ({ sight, status: 200, value: { ...value, ...changes } });
  assert.equal(compare(order(1), answer({})), null);
  assert.equal(compare(order(1), answer({ qty: 0.2, side: 'sell' })), 'side sell for buy, qty 0.2 for 0.1');
  assert.equal(compare(order(1), { sight: { state: 'silent', ms: 1 }, status: 0 }), 'silent');
});
