// The backoff of the dialer, on a clock that the test turns.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { watchBackoff } from '../database/dialer.ts';

function openBackoff() {
  let nowMs = 0;
  const backoff = watchBackoff(200, () => nowMs);
  return { backoff, pass: (ms: number) => { nowMs += ms; } };
}

test('connecting goes on after a single refusal and pauses after the second, with its code', () => {
  const { backoff } = openBackoff();
  assert.equal(backoff.admit(), null);
  backoff.refused('28P01');
  assert.equal(backoff.admit(), null);
  backoff.refused('28P01');
  assert.equal(backoff.admit(), '28P01');
});

test('a pause lets one attempt through per interval', () => {
  const { backoff, pass } = openBackoff();
  backoff.refused('ECONNREFUSED');
  backoff.refused('ECONNREFUSED');
  const admitted = Array.from({ length: 1000 }, () => {
    pass(1);
    return backoff.admit() === null;
  }).filter(Boolean).length;
  assert.equal(admitted, 5);
});

test('peers that hang up without a word pause connecting only after eight in a row', () => {
  const { backoff } = openBackoff();
  for (let count = 0; count < 7; count += 1) backoff.hungUp('CONNECTION_CLOSED');
  assert.equal(backoff.admit(), null);
  backoff.hungUp('CONNECTION_CLOSED');
  assert.equal(backoff.admit(), 'CONNECTION_CLOSED');
});

test('a connection that is cut while a server speaks does not count, and clears those that hung up', () => {
  const { backoff } = openBackoff();
  for (let count = 0; count < 100; count += 1) {
    backoff.hungUp('ECONNRESET');
    if (count % 7 === 6) backoff.lost();
  }
  assert.equal(backoff.admit(), null);
});

test('one connection that works ends the pause for all', () => {
  const { backoff } = openBackoff();
  backoff.refused('57P03');
  backoff.refused('57P03');
  backoff.proven();
  assert.equal(backoff.admit(), null);
  backoff.refused('57P03');
  assert.equal(backoff.admit(), null);
});
