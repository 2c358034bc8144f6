// The faults inside plain processes, on one stack: starting and removing one takes longest.
import test from 'node:test';
import { breakInside } from './inner-faults.ts';
import { openStack } from './stack.ts';

test('faults inside plain processes', async t => {
  const stack = await openStack(t);
  await breakInside(t, { ...stack, more: [], made: async () => '' });
});
