// Readiness over a look whose answers the test decides: nothing is connected.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConnectionError } from '../database/connection.ts';
import { openReadiness } from '../database/readiness.ts';
import type { Readiness } from '../database/readiness.ts';
import { storeOptions } from './database.ts';

function open(maxAgeMs: number, look: (probes: number) => Promise<void>, timeoutMs = 800) {
  const seen = { probes: 0, changes: [] as (string | null)[] };
  const readiness: Readiness = openReadiness(storeOptions('none', 1), { timeoutMs, maxAgeMs }, {
    look: () => {
      seen.probes += 1;
      return look(seen.probes);
    },
    onUp: () => {},
    onChange: reason => void seen.changes.push(reason),
  });
  return { readiness, seen };
}

const well = async (): Promise<void> => {};
const refused = async (): Promise<void> => {
  throw new ConnectionError('ECONNREFUSED', false);
};

test('five hundred askers at once cost one probe', async () => {
  const { readiness, seen } = open(250, well);
  assert.equal(readiness.last(), null);
  const answers = await Promise.all(Array.from({ length: 500 }, () => readiness.check()));
  assert.ok(answers.every(answer => answer.up && answer === readiness.last()));
  assert.equal(seen.probes, 1);
});

test('an answer is used again until it is too old', async () => {
  const { readiness, seen } = open(10_000, well);
  await readiness.check();
  await readiness.check();
  assert.equal(seen.probes, 1);
  const ageless = open(0, well);
  await ageless.readiness.check();
  await ageless.readiness.check();
  assert.equal(ageless.seen.probes, 2);
});

test('an "up" is forgotten when a connection dies, a "down" is kept for its time', async () => {
  const { readiness, seen } = open(10_000, probes => (probes < 2 ? well() : refused()));
  assert.equal((await readiness.check()).up, true);
  readiness.suspect();
  assert.equal((await readiness.check()).reason, 'connection_refused');
  readiness.suspect();
  assert.equal((await readiness.check()).up, false);
  assert.equal(seen.probes, 2);
});

test('a doubt that comes while a probe runs makes its "up" good for those who asked before only', async () => {
  const { readiness, seen } = open(10_000, well);
  const first = readiness.check();
  readiness.suspect();
  await first;
  await readiness.check();
  assert.equal(seen.probes, 2);
});

test('a look that never ends is a timeout, in time', async () => {
  const { readiness } = open(250, () => new Promise(() => {}), 60);
  const startedMs = performance.now();
  const answer = await readiness.check();
  assert.deepEqual([answer.up, answer.reason], [false, 'timeout']);
  assert.ok(performance.now() - startedMs < 500);
});

test('a change is reported once, with its cause, and since says when the state began', async () => {
  const { readiness, seen } = open(0, probes => (probes === 2 || probes === 3 ? refused() : well()));
  const since = [];
  for (let probe = 0; probe < 5; probe += 1) since.push((await readiness.check()).since);
  assert.deepEqual(seen.changes, [null, 'connection_refused', null]);
  assert.equal(since[1], since[2]);
  assert.equal(since[3], since[4]);
});
