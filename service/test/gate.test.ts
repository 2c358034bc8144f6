// The gate, on a clock that the test turns.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { watchGate } from '../gate.ts';

function openGate() {
  let nowMs = 0;
  const gate = watchGate(200, () => nowMs);
  return { gate, pass: (ms: number) => { nowMs += ms; } };
}

test('the gate stays open after a single refusal and closes after the second, with its code', () => {
  const { gate } = openGate();
  assert.equal(gate.admit(), null);
  gate.refused('28P01', true);
  assert.equal(gate.admit(), null);
  gate.refused('28P01', true);
  assert.equal(gate.admit(), '28P01');
});

test('a closed gate lets one attempt through per interval', () => {
  const { gate, pass } = openGate();
  gate.refused('ECONNREFUSED', true);
  gate.refused('ECONNREFUSED', true);
  const admitted = Array.from({ length: 1000 }, () => {
    pass(1);
    return gate.admit() === null;
  }).filter(Boolean).length;
  assert.equal(admitted, 5);
});

test('peers that hang up without a word close the gate only after four in a row', () => {
  const { gate } = openGate();
  for (let count = 0; count < 3; count += 1) gate.refused('CONNECTION_CLOSED', false);
  assert.equal(gate.admit(), null);
  gate.refused('CONNECTION_CLOSED', false);
  assert.equal(gate.admit(), 'CONNECTION_CLOSED');
});

test('one connection that works opens the gate for all', () => {
  const { gate } = openGate();
  gate.refused('57P03', true);
  gate.refused('57P03', true);
  gate.proven();
  assert.equal(gate.admit(), null);
  gate.refused('57P03', true);
  assert.equal(gate.admit(), null);
});
