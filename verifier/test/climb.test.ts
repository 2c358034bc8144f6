// Climbing: order, blocking, skips, ids.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Broken, broken, climb } from '../checks/climb.ts';
import type { Check } from '../checks/climb.ts';
import type { Id } from '../results/point.ts';
import type { Stage } from '../results/registry.ts';

type Told = { name: string; id: Id; blockedBy: string | undefined; end: string; said: string[] };

// What node:test does with a test, without its report.
function openStage(): { stage: Stage; told: Told[] } {
  const told: Told[] = [];
  const stage: Stage = { test: async (name, { id, blockedBy, skip }, run) => {
    const said: string[] = [];
    const ran = () => run({ diagnostic: line => said.push(line) });
    const end = skip ? `skip ${skip}` : await ran().then(() => 'held', (error: unknown) => String(error));
    told.push({ name, id, blockedBy, end, said });
  } };
  return { stage, told };
}

const id = { node: 'node' };
const holds: Check = { id: 'good', claim: 'holds', run: async say => say('a word') };
const breaks: Check = { id: 'bad', claim: 'breaks', run: async () => { throw broken('a:1 low', 'x', 'y'); } };
const endsOf = (told: Told[]) => told.map(({ end }) => end);

test('rungs are climbed in order, each point has its ids, and what is said is reported', async () => {
  const { stage, told } = openStage();
  const rungs = [{ name: 'low', checks: [holds] }, { name: 'high', checks: [holds] }];
  assert.equal(await climb(stage, rungs, { id: { node: 'node', drill: 'd' } }), null);
  const common = { blockedBy: undefined, end: 'held', said: ['a word'] };
  assert.deepEqual(told, [
    { ...common, name: 'node low: holds', id: { node: 'node', drill: 'd', rung: 'low', check: 'good' } },
    { ...common, name: 'node high: holds', id: { node: 'node', drill: 'd', rung: 'high', check: 'good' } },
  ]);
});

test('a label takes the place of the node, and may be nothing', async () => {
  const { stage, told } = openStage();
  await climb(stage, [{ name: 'low', checks: [holds] }], { id, label: 'drill' });
  await climb(stage, [{ name: 'low', checks: [holds] }], { id, label: '' });
  assert.deepEqual(told.map(({ name }) => name), ['drill low: holds', 'low: holds']);
});

test('a broken check breaks its rung; the rung is finished, nothing above it runs', async () => {
  const { stage, told } = openStage();
  let ran = false;
  const run = async () => { ran = true; };
  const never: Check = { id: 'never', claim: 'never', run, skip: () => run().then(() => undefined) };
  const above = ['mid', 'high'].map(name => ({ name, checks: [never] }));
  const rungs = [{ name: 'low', checks: [breaks, holds] }, ...above];
  assert.equal(await climb(stage, rungs, { id }), 'low');
  const blocked = 'skip blocked by low';
  assert.deepEqual(endsOf(told), ['Error: a:1 low: wanted x, saw y', 'held', blocked, blocked]);
  assert.deepEqual(told.map(({ blockedBy }) => blockedBy), [undefined, undefined, 'low', 'low']);
  assert.equal(ran, false);
});

test('what was broken before the climb began blocks all of it, also when it is strict', async () => {
  const { stage, told } = openStage();
  const checks = [holds, { ...holds, skip: 'no engine' }];
  assert.equal(await climb(stage, [{ name: 'low', checks }], { id, blockedBy: 'ready', strict: true }), 'ready');
  const ends = told.map(({ blockedBy, end }) => [blockedBy, end]);
  assert.deepEqual(ends, checks.map(() => ['ready', 'skip blocked by ready']));
});

test('a skip has a reason; without one the check runs', async () => {
  const { stage, told } = openStage();
  const skips: Check['skip'][] = ['no engine', async () => 'asked late', '', async () => undefined];
  const checks = skips.map(skip => ({ ...holds, ...skip === undefined ? {} : { skip } }));
  assert.equal(await climb(stage, [{ name: 'low', checks }], { id }), null);
  assert.deepEqual(endsOf(told), ['skip no engine', 'skip asked late', 'held', 'held']);
});

test('strict takes no skip; what was not looked at is red and blocks nothing, and blocked stays blocked', async () => {
  const { stage, told } = openStage();
  const skipped = { ...holds, skip: 'no engine' };
  const named = (name: string, ...checks: Check[]) => ({ name, checks });
  const red = 'Error: not checked: no engine (STRICT=1 takes no skip)';
  assert.equal(await climb(stage, [named('low', skipped), named('high', holds)], { id, strict: true }), null);
  assert.deepEqual(endsOf(told.splice(0)), [red, 'held']);
  const rungs = [named('low', skipped), named('mid', breaks), named('high', skipped)];
  assert.equal(await climb(stage, rungs, { id, strict: true }), 'mid');
  assert.deepEqual(endsOf(told), [red, 'Error: a:1 low: wanted x, saw y', 'skip blocked by mid']);
});

test('a sight carries no stack', () => {
  assert.equal(new Broken('x').stack, '');
});
