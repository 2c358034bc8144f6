// Climbing: order, blocking, skips.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Broken, broken, climb } from '../ladder.ts';
import type { Check, Stage } from '../ladder.ts';

type Told = { name: string; end: string; said: string[] };

// What node:test does with a test, without its report.
function openStage(): { stage: Stage; told: Told[] } {
  const told: Told[] = [];
  const stage: Stage = { test: async (name, { skip }, run) => {
    const said: string[] = [];
    const context = { test: stage.test, diagnostic: (line: string) => { said.push(line); } };
    const end = skip ? `skip ${skip}` : await run(context).then(() => 'held', (error: unknown) => String(error));
    told.push({ name, end, said });
  } };
  return { stage, told };
}

const holds: Check = { claim: 'holds', run: async say => say('a word') };
const breaks: Check = { claim: 'breaks', run: async () => { throw broken('a:1 low', 'x', 'y'); } };

test('rungs are climbed in order, and what is said is told', async () => {
  const { stage, told } = openStage();
  assert.equal(await climb(stage, [{ name: 'low', checks: [holds] }, { name: 'high', checks: [holds] }], { label: 'node' }), null);
  assert.deepEqual(told, [{ name: 'node low: holds', end: 'held', said: ['a word'] }, { name: 'node high: holds', end: 'held', said: ['a word'] }]);
});

test('a broken check breaks its rung; the rung is finished, nothing above it runs', async () => {
  const { stage, told } = openStage();
  let ran = false;
  const never: Check = { claim: 'never', skip: async () => { ran = true; return undefined; }, run: async () => { ran = true; } };
  assert.equal(await climb(stage, [{ name: 'low', checks: [breaks, holds] }, { name: 'mid', checks: [never] }, { name: 'high', checks: [never] }]), 'low');
  assert.deepEqual(told.map(({ end }) => end), ['Error: a:1 low: wanted x, saw y', 'held', 'skip blocked by low', 'skip blocked by low']);
  assert.equal(ran, false);
});

test('a skip has a reason; without one the check runs', async () => {
  const { stage, told } = openStage();
  const checks = [{ ...holds, skip: 'no engine' }, { ...holds, skip: async () => 'asked late' }, { ...holds, skip: '' }, { ...holds, skip: async () => undefined }];
  assert.equal(await climb(stage, [{ name: 'low', checks }]), null);
  assert.deepEqual(told.map(({ end }) => end), ['skip no engine', 'skip asked late', 'held', 'held']);
});

test('strict takes no skip, but blocked stays blocked', async () => {
  const { stage, told } = openStage();
  const skipped = { ...holds, skip: 'no engine' };
  assert.equal(await climb(stage, [{ name: 'low', checks: [skipped] }, { name: 'high', checks: [skipped] }], { strict: true }), 'low');
  assert.deepEqual(told.map(({ end }) => end), ['Error: not checked: no engine (STRICT=1 takes no skip)', 'skip blocked by low']);
});

test('a sight carries no stack', () => {
  assert.equal(new Broken('x').stack, '');
});
