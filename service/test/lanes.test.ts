// Which lane is lent next, on a clock that the test turns. No lane is run, so nothing is connected.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openLanes } from '../database/lanes.ts';
import { storeOptions } from './database.ts';

function open() {
  let nowMs = 0;
  const told = { deaths: 0 };
  const lanes = openLanes(storeOptions('none', 1), () => { told.deaths += 1; }, () => nowMs);
  return { lanes, told, pass: (ms: number) => { nowMs += ms; } };
}

test('the lane given back last is lent first', () => {
  const { lanes } = open();
  const [first, second] = [lanes.take(), lanes.take()];
  lanes.giveBack(first);
  lanes.giveBack(second);
  assert.equal(lanes.take(), second);
  assert.equal(lanes.take(), first);
  assert.equal(lanes.stats().opened, 2);
});

test('a lane that stood idle for 30 s is ended, which is no death', () => {
  const { lanes, told, pass } = open();
  const old = lanes.take();
  lanes.giveBack(old);
  pass(29_999);
  assert.equal(lanes.take(), old);
  lanes.giveBack(old);
  pass(30_000);
  assert.notEqual(lanes.take(), old);
  assert.deepEqual([old.alive(), told.deaths, lanes.stats()], [false, 0, { open: 1, idle: 0, opened: 2, discarded: 0 }]);
});

test('a lane that is always busy is still replaced after 30 minutes', () => {
  const { lanes, pass } = open();
  const old = lanes.take();
  for (let minutes = 0; minutes < 30; minutes += 0.25) {
    lanes.giveBack(old);
    assert.equal(lanes.take(), old);
    pass(15_000);
  }
  lanes.giveBack(old);
  assert.notEqual(lanes.take(), old);
});

test('one deadline ends all idle lanes, and a dead lane is not taken back', () => {
  const { lanes, told } = open();
  const [first, second, third] = [lanes.take(), lanes.take(), lanes.take()];
  lanes.giveBack(first);
  lanes.giveBack(second);
  third.kill('DEADLINE');
  lanes.giveBack(third);
  assert.deepEqual([told.deaths, lanes.stats()], [3, { open: 0, idle: 0, opened: 3, discarded: 3 }]);
});
