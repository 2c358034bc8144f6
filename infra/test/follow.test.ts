// Logs that are followed: every line once, in order, whatever is asked for again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Control } from '../control.ts';
import { followLogs, newLines } from '../follow.ts';
import { readSettings } from '../settings.ts';

test('what is new is what follows the longest common piece, and all of it when nothing is common', () => {
  assert.deepEqual(newLines(['a', 'b', 'c'], ['b', 'c', 'd']), ['d']);
  assert.deepEqual(newLines(['a', 'a'], ['a', 'a', 'a']), ['a']);
  assert.deepEqual(newLines(['a', 'b'], ['a', 'b']), []);
  assert.deepEqual(newLines([], ['a']), ['a']);
  assert.deepEqual(newLines(['a', 'b'], ['x', 'y']), ['x', 'y']);
});

test('it begins with the last lines, follows each log, and ends when nobody reads or nothing is up', async () => {
  const looks = [
    ['n api | 1', 'n api | 2', 'n db | a'],
    ['n api | 1', 'n api | 2', 'n api | 3', 'n db | a', 'n db | b'],
  ];
  let asked = 0;
  const read = readSettings({ LINES: '1' }, '/house');
  assert.ok('settings' in read);
  const logs: Control['logs'] = async write => {
    const look = looks[asked++];
    look?.forEach(write);
    return look === undefined ? { failed: 'not up' } : { done: undefined };
  };
  const control = { settings: read.settings, logs };
  const told: string[] = [];
  assert.deepEqual(await followLogs(control, line => told.push(line) > 0, []), { failed: 'not up' });
  assert.deepEqual(told, ['n api | 2', 'n db | a', 'n api | 3', 'n db | b']);
  asked = 0;
  assert.deepEqual(await followLogs(control, () => false, []), { done: undefined });
});
