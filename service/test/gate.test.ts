// The gate, on a clock that the test turns.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { watchGate } from '../database/gate.ts';

function openGate() {
  let nowMs = 0;
  const gate = watchGate(200, () => nowMs);
  return { gate, pass: (ms: number) => { nowMs += ms; } };
}

test('the gate stays open after a single refusal and closes after the second, with its code', () => {
  const { gate } = openGate();
  assert.equal(gate.admit(), null);
  gate.refused('28P01');
  assert.equal(gate.admit(), null);
  gate.refused('28P01');
  assert.equal(gate.admit(), '28P01');
});

test('a closed gate lets one attempt through per interval', () => {
  const { gate, pass } = openGate();
  gate.refused('ECONNREFUSED');
  gate.refused('ECONNREFUSED');
  const admitted = Array.from({ length: 1000 }, () => {
    pass(1);
    return gate.admit() === null;
  }).filter(Boolean).length;
  assert.equal(admitted, 5);
});

test('peers that hang up without a word close the gate only after eight in a row', () => {
  const { gate } = openGate();
  for (let count = 0; count < 7; count += 1) gate.hungUp('CONNECTION_CLOSED');
  assert.equal(gate.admit(), null);
  gate.hungUp('CONNECTION_CLOSED');
  assert.equal(gate.admit(), 'CONNECTION_CLOSED');
});

test('a connection that is cut while a server speaks does not count, and clears those that hung up', () => {
  const { gate } = openGate();
  for (let count = 0; count < 100; count += 1) {
    gate.hungUp('ECONNRESET');
    if (count % 7 === 6) gate.lost();
  }
  assert.equal(gate.admit(), null);
});

test('one connection that works opens the gate for all', () => {
  const { gate } = openGate();
  gate.refused('57P03');
  gate.refused('57P03');
  gate.proven();
  assert.equal(gate.admit(), null);
  gate.refused('57P03');
  assert.equal(gate.admit(), null);
});
