// Sabotaged builds of the real service: each mutation still changes it, and one of them is seen; make sabotage: all.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mutations } from './mutations.ts';
import { compiled, mutate, openSabotaged } from './sabotaged.ts';

test('every mutation replaces a text that is there exactly once, and each has a name of its own', () => {
  for (const mutation of mutations) assert.notEqual(mutate(compiled(mutation.file), mutation), compiled(mutation.file));
  assert.equal(new Set(mutations.map(({ name }) => name)).size, mutations.length);
  assert.ok(mutations.length >= 30, `${mutations.length}`);
});

test('a build that drops idempotency keys is seen at that check', async t => {
  const stack = await openSabotaged({ DRAIN_GRACE_MS: '100' });
  t.after(stack.remove);
  const dropped = mutations.find(({ name }) => name === 'keys are dropped');
  assert.deepEqual(await stack.judge(dropped, []), { by: 'verify: usable idempotency-key', trouble: undefined });
});
