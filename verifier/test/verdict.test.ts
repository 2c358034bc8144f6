// What points come to: held or at fault, and the verdict in one line. By ids only.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tellBroken } from '../results/point.ts';
import type { Point } from '../results/point.ts';
import { findFault } from '../results/run.ts';
import { verdict } from '../results/verdict.ts';

const good = { code: 0, signal: null, planned: true };

/** `rung held`, `rung broken`, `rung skipped`, `rung blocked`; every claim says something else. */
function points(...texts: string[]): Point[] {
  return texts.map(text => {
    const [rung = '', end] = text.split(' ');
    return {
      id: { node: 'n', rung, check: 'c' },
      claim: 'reachable: yes # SKIP blocked by alive',
      held: end !== 'broken',
      skip: end === 'skipped' || end === 'blocked' ? 'why' : undefined,
      blockedBy: end === 'blocked' ? 'ready' : undefined,
      error: undefined,
      said: [],
    };
  });
}

function drillOf(point: Point, whole: Partial<Point> = {}): Point[] {
  const drill = { ...point, ...whole, id: { node: 'n', drill: 'd' } };
  return [{ ...point, id: { ...point.id, drill: 'd' } }, drill];
}

test('a run that held has no fault', () => {
  assert.equal(findFault(points('a held', 'b skipped'), good), null);
});

test('zero checks, only skips, and a drill of skips are red', () => {
  assert.equal(findFault([], good), 'zero checks run');
  const [skipped] = points('a skipped');
  assert.ok(skipped);
  assert.equal(findFault([skipped], good), 'zero checks run, 1 skipped');
  assert.equal(findFault(drillOf(skipped, { skip: undefined }), good), 'zero checks run, 1 skipped');
});

test('a broken check, an early end, a signal and a bad exit are red', () => {
  assert.equal(findFault(points('a held', 'b broken'), { ...good, code: 1 }), '1 of 2 checks broken');
  assert.equal(findFault(points('a held'), { ...good, planned: false }), 'ended before its plan');
  const interrupted = { code: null, signal: 'SIGINT', planned: false };
  assert.equal(findFault(points('a held'), interrupted), 'ended by SIGINT before its plan');
  assert.equal(findFault(points('a held'), { ...good, code: 7 }), 'ended with 7 although every check held');
});

test('a drill that breaks with its check is counted once, and told once', () => {
  const [point] = points('a broken');
  assert.ok(point);
  const broken = drillOf({ ...point, claim: 'a thing', error: 'saw another' }, { error: '1 subtest failed' });
  assert.equal(findFault(broken, { ...good, code: 1 }), '1 of 1 checks broken');
  assert.equal(tellBroken(broken), 'a thing: saw another');
});

test('the verdict says yes, no, skipped, and – for what was not looked at', () => {
  const seen = points(
    'reachable held', 'alive held', 'alive held', 'ready broken', 'ready held', 'usable blocked', 'usable held',
    'contained skipped',
  );
  const states = 'reachable yes · alive yes · versioned – · ready no · usable – · lasting – · contained skipped';
  assert.equal(verdict(seen, 'ready'), `verdict: listening – · published – · ${states}`);
  assert.match(verdict([], 'unready'), /^verdict: listening – .* · EXPECT=unready$/);
});
