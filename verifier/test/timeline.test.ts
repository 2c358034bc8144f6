// The timeline: what its measures say about samples, and that it probes on time.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../client/until.ts';
import {
  detectedMs, edges, longestGapMs, probeNames, recoveredMs, stripChart, watchTimeline, within,
} from '../experiment/timeline.ts';
import type { ProbeName, Sample } from '../experiment/timeline.ts';
import type { Grade } from '../results/watched.ts';

const row = (probe: ProbeName, grades: Grade[]): Sample[] =>
  grades.map((grade, i) => ({ probe, grade, word: grade, fromMs: i * 100, toMs: i * 100 + 10 }));
const ready = row('ready', ['good', 'good', 'refused', 'bad', 'refused', 'good', 'good']);

test('detected is the first sample that is not good after the fault', () => {
  assert.equal(detectedMs(ready, 'ready', 105), 105);
  assert.equal(detectedMs(row('ready', ['good', 'good']), 'ready', 0), null);
});

test('recovered counts from the last sample that was not good, so a flicker is no recovery', () => {
  assert.equal(recoveredMs(ready, 'ready', 300), 210);
  assert.equal(recoveredMs(row('ready', ['refused', 'good', 'refused']), 'ready', 0), null);
  assert.equal(recoveredMs(row('ready', ['good', 'refused', 'good', 'refused', 'good']), 'ready', 0), 410);
});

test('the longest gap is from one good answer to the next, counted from before the moment that is asked for', () => {
  assert.equal(longestGapMs(ready, 'ready', 150), 400);
  assert.equal(longestGapMs(ready, 'ready', 550), 100);
  assert.equal(longestGapMs(row('ready', ['good', 'bad']), 'ready', 50), 0, 'one that has not ended has no length');
});

test('edges tell each change of a probe, once', () => {
  assert.deepEqual(edges(ready, 'ready').map(edge => `${edge.atMs} ${edge.from} ${edge.to}`),
    ['210 good refused', '310 refused bad', '410 bad refused', '510 refused good']);
});

test('a probe that began before a span or ended after it says nothing about the span', () => {
  assert.deepEqual(within(ready, 'ready', [200, 405]).map(sample => sample.fromMs), [200, 300]);
});

test('the strip chart shows the worst of each cell and where the marks are', () => {
  const chart = stripChart({ samples: ready, marks: new Map([['inject', 200]]) });
  assert.ok(chart.includes('ready  |==oxo==|'), chart.join('\n'));
  assert.ok(chart.includes('          ^ inject'), chart.join('\n'));
});

test('every probe is made again and again, a slow one never twice at a time', async t => {
  let slow = 0;
  let slowest = 0;
  const good = async () => ({ grade: 'good' as const, word: '200' });
  const write = async () => {
    slowest = Math.max(slowest, slow += 1);
    await new Promise(resolve => { setTimeout(resolve, 60); });
    slow -= 1;
    return { grade: 'bad' as const, word: 'silent' };
  };
  const timeline = watchTimeline({ tcp: good, health: good, ready: good, read: good, write }, 20);
  t.after(() => timeline.stop());
  await until(async () => timeline.samples.length, length => length > 40, 5_000);
  await timeline.stop();
  const ended = timeline.samples.length;
  assert.deepEqual([...new Set(timeline.samples.map(({ probe }) => probe))].sort(), [...probeNames].sort());
  assert.equal(slowest, 1);
  assert.equal(timeline.samples.length, ended);
});

test('probes under way are given up without a sample when they are renewed, and new ones follow', async t => {
  const good = async () => ({ grade: 'good' as const, word: '200' });
  let asked = 0;
  const read = () => (asked += 1) === 1 ? new Promise<never>(() => {}) : good();
  const timeline = watchTimeline({ tcp: good, health: good, ready: good, read, write: good }, 10);
  t.after(() => timeline.stop());
  await until(async () => timeline.samples.filter(({ probe }) => probe === 'tcp').length, count => count > 3, 5_000);
  assert.deepEqual(timeline.samples.filter(({ probe }) => probe === 'read'), []);
  const renewedMs = timeline.mark('renewed');
  timeline.renew();
  const own = () => timeline.samples.filter(({ probe }) => probe === 'read');
  await until(async () => own().length, count => count > 3, 5_000);
  assert.ok(own().every(({ grade, fromMs }) => grade === 'good' && fromMs >= renewedMs));
});

test('a probe that throws is reported to whoever stops the timeline', async () => {
  const good = async () => ({ grade: 'good' as const, word: '200' });
  const ready = () => Promise.reject(new Error('boom'));
  const timeline = watchTimeline({ tcp: good, health: good, ready, read: good, write: good });
  await assert.rejects(timeline.stop(), /boom/);
});
