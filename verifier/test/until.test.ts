// Looking again: good at once, good later, late with the last sight.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Late, until } from '../client/until.ts';

test('the first good sight is returned, and no look is taken after it', async () => {
  let looks = 0;
  assert.equal(await until(async () => ++looks, seen => seen > 2, 5_000, 1), 3);
  assert.equal(looks, 3);
});

test('late is a failure with the last thing seen', async () => {
  await assert.rejects(until(async () => ({ status: 503 }), () => false, 50, 10), (error: unknown) => {
    assert.ok(error instanceof Late);
    assert.deepEqual(error.last, { status: 503 });
    assert.match(error.message, /^not within \d+ ms; last seen: {"status":503}$/);
    return true;
  });
});

test('a look that does not settle is late too', async () => {
  const began = performance.now();
  await assert.rejects(until(() => new Promise<never>(() => {}), () => true, 60), /last seen: nothing/);
  assert.ok(performance.now() - began < 1_000);
});

test('a look that throws is a bug, and is thrown', async () => {
  await assert.rejects(until(() => Promise.reject(new Error('bug')), () => true, 1_000), /^Error: bug$/);
});
