// The queue: who gets in, who waits, who is sent away.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openQueue } from '../database/queue.ts';

const sizes = { poolSize: 2, queueSize: 3, waitTimeoutMs: 50 };

test('beyond the queue callers are refused at once, and within it after the wait', async () => {
  const queue = openQueue(sizes);
  await queue.enter();
  await queue.enter();
  const startedMs = performance.now();
  const waiting = [1, 2, 3].map(() => assert.rejects(queue.enter(), { code: 'QUEUE_TIMEOUT', maybeApplied: false }));
  await assert.rejects(queue.enter(), { code: 'QUEUE_FULL' });
  assert.ok(performance.now() - startedMs < 40);
  await Promise.all(waiting);
  assert.ok(performance.now() - startedMs >= 49);
  assert.deepEqual({ ...queue.stats(), waitMsTotal: 0 }, { busy: 2, waiting: 0, shed: 4, waitMsTotal: 0 });
});

test('a permit goes to whoever waited longest', async () => {
  const queue = openQueue({ ...sizes, poolSize: 1, waitTimeoutMs: 5000 });
  await queue.enter();
  const order: number[] = [];
  const waiting = [1, 2, 3].map(async number => {
    await queue.enter();
    order.push(number);
    queue.leave();
  });
  queue.leave();
  await Promise.all(waiting);
  assert.deepEqual(order, [1, 2, 3]);
  assert.equal(queue.stats().busy, 0);
});

test('closing sends the waiting away and waits for those inside, but not longer than the grace', async () => {
  const queue = openQueue({ ...sizes, poolSize: 1, waitTimeoutMs: 5000 });
  await queue.enter();
  const waiting = assert.rejects(queue.enter(), { code: 'CLOSING' });
  const startedMs = performance.now();
  await queue.close(60);
  assert.ok(performance.now() - startedMs >= 59);
  await waiting;
  await assert.rejects(queue.enter(), { code: 'CLOSING' });
  const closed = queue.close(5000);
  queue.leave();
  await closed;
});
