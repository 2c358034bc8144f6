// Reading a run of TAP, and what it comes to.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findFault, readPoint, verdict, watchPoints } from '../report.ts';

const good = { code: 0, signal: null, planned: true };
const points = (...lines: string[]) => {
  const watch = watchPoints();
  for (const line of lines) watch.take(line);
  return watch.points;
};

test('points are read with their name, their skip and their depth', () => {
  const bare = { suite: false, skip: undefined, depth: 0 };
  assert.deepEqual(readPoint('ok 1 - a b'), { ...bare, held: true, name: 'a b' });
  assert.deepEqual(readPoint('        not ok 12 - a'), { ...bare, held: false, name: 'a', depth: 2 });
  assert.deepEqual(readPoint('ok 3 - a \\# b # SKIP blocked by x'), { ...bare, held: true, name: 'a # b', skip: 'blocked by x' });
  for (const line of ['# ok 1 - a', '1..3', '  error: not ok 1', 'okay 1']) assert.equal(readPoint(line), undefined, line);
});

test('a run that held has no fault', () => {
  assert.equal(findFault(points('ok 1 - a', 'ok 2 - b # SKIP x'), good), null);
});

test('zero checks, only skips, and a suite of skips are red', () => {
  assert.equal(findFault([], good), 'zero checks run');
  assert.equal(findFault(points('ok 1 - a # SKIP x'), good), 'zero checks run, 1 skipped');
  assert.equal(findFault(points('    ok 1 - a # SKIP x', '    1..1', 'ok 1 - suite'), good), 'zero checks run, 1 skipped');
});

test('a broken check, an early end, a signal and a bad exit are red', () => {
  assert.equal(findFault(points('ok 1 - a', 'not ok 2 - b'), { ...good, code: 1 }), '1 of 2 checks broken');
  assert.equal(findFault(points('ok 1 - a'), { ...good, planned: false }), 'ended before its plan');
  assert.equal(findFault(points('ok 1 - a'), { code: null, signal: 'SIGINT', planned: false }), 'ended by SIGINT before its plan');
  assert.equal(findFault(points('ok 1 - a'), { ...good, code: 7 }), 'ended with 7 although every check held');
});

test('what is no TAP becomes a comment, and a block of details is left alone', () => {
  const watch = watchPoints();
  const lines = ['TAP version 13', 'stray', 'ok 1 - a', '  ---', '  x: 1', '  free text', '  ...', '1..1', '# tests 1'];
  assert.deepEqual(lines.flatMap(watch.take), ['TAP version 13', '# stray', ...lines.slice(2)]);
});

test('a plan over nothing that was looked at is written with a red point', () => {
  const watch = watchPoints();
  assert.deepEqual(['ok 1 - a # SKIP x', '1..1'].flatMap(watch.take), ['ok 1 - a # SKIP x', 'not ok 2 - something was looked at', '1..2']);
});

test('the verdict says yes, no, skipped, and – for what was not looked at', () => {
  const seen = points('ok 1 - a reachable: x', 'ok 2 - a alive: x', 'ok 3 - b alive: x', 'not ok 4 - a ready: x', 'ok 5 - b ready: y', 'ok 6 - a usable: x # SKIP blocked by ready',
    'ok 7 - b usable: x', 'ok 8 - a contained: x # SKIP plain');
  assert.equal(verdict(seen, 'ready'), 'verdict: reachable yes · alive yes · versioned – · ready no · usable – · lasting – · contained skipped');
  assert.match(verdict([], 'unready'), /^verdict: reachable – .* · EXPECT=unready$/);
});
