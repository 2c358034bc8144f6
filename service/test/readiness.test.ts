// Readiness over a store whose answers the test decides.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { watchReadiness } from '../database/readiness.ts';
import type { Probe } from '../database/store.ts';

const up: Probe = { up: true, latencyMs: 1, since: '2026-01-01T00:00:00.000Z' };
const down: Probe = { up: false, reason: 'connection_refused', latencyMs: 1, since: '2026-01-01T00:00:00.000Z' };

function openStore(answer: () => Promise<Probe>) {
  let doubt = () => {};
  const seen = { probes: 0 };
  const store = {
    probe: () => { seen.probes += 1; return answer(); },
    onDoubt: (listener: () => void) => { doubt = listener; },
  };
  return { store, seen, doubt: () => doubt() };
}

test('five hundred askers at once cost one probe', async () => {
  const { store, seen } = openStore(async () => up);
  const readiness = watchReadiness(store, { timeoutMs: 800, maxAgeMs: 250 });
  assert.equal(readiness.last(), null);
  const answers = await Promise.all(Array.from({ length: 500 }, () => readiness.check()));
  assert.ok(answers.every(answer => answer === up));
  assert.equal(seen.probes, 1);
  assert.equal(readiness.last(), up);
});

test('an answer is used again until it is too old', async () => {
  const { store, seen } = openStore(async () => up);
  const readiness = watchReadiness(store, { timeoutMs: 800, maxAgeMs: 10_000 });
  await readiness.check();
  await readiness.check();
  assert.equal(seen.probes, 1);
  const ageless = watchReadiness(store, { timeoutMs: 800, maxAgeMs: 0 });
  await ageless.check();
  await ageless.check();
  assert.equal(seen.probes, 3);
});

test('an "up" is forgotten when a connection dies, a "down" is kept for its time', async () => {
  const { store, seen, doubt } = openStore(async () => (seen.probes < 2 ? up : down));
  const readiness = watchReadiness(store, { timeoutMs: 800, maxAgeMs: 10_000 });
  await readiness.check();
  doubt();
  assert.equal(await readiness.check(), down);
  doubt();
  assert.equal(await readiness.check(), down);
  assert.equal(seen.probes, 2);
});

test('a doubt that comes while a probe runs makes its "up" good for those who asked before, and nobody else', async () => {
  const { store, seen, doubt } = openStore(async () => up);
  const readiness = watchReadiness(store, { timeoutMs: 800, maxAgeMs: 10_000 });
  const first = readiness.check();
  doubt();
  await first;
  await readiness.check();
  assert.equal(seen.probes, 2);
});

test('a store that never answers is a timeout, in time', async () => {
  const { store } = openStore(() => new Promise(() => {}));
  const readiness = watchReadiness(store, { timeoutMs: 60, maxAgeMs: 250 });
  const startedMs = performance.now();
  const answer = await readiness.check();
  assert.deepEqual([answer.up, answer.reason], [false, 'timeout']);
  assert.ok(performance.now() - startedMs < 500);
});
