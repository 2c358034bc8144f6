// RUNBOOK.md says what verify says of a red rung, and the times that drills are held to.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tellBudgets } from '../budgets.ts';
import { nextSteps } from '../checks/next-steps.ts';
import { ladder } from '../checks/rungs.ts';
import { ours } from '../client/ours.ts';
import { readPage } from './pages.ts';

const runbook = readPage('RUNBOOK.md');

test('it begins with a row for each rung, bottom first, with the next step that verify names', () => {
  const [, first = ''] = runbook.split('\n## ');
  assert.match(first, /^When `make verify` is red\n/);
  const rows = [...first.matchAll(/^\| `([a-z]+)` \| [^|]+ \| ([^|]+) \|$/gm)].map(([, rung, next]) => [rung, next]);
  const wanted = ladder.map(rung => [rung, nextSteps[rung]]);
  assert.deepEqual(rows.filter(([rung]) => ladder.some(name => name === rung)), wanted);
  assert.match(first, /^\| `journal` \|/m);
  assert.match(first, /^\| exit code 2 \|/m);
});

test('its times are those of the table of budgets', () => {
  assert.ok(runbook.includes(`\n\n${tellBudgets()}\n\n`), tellBudgets());
});

test('it says how our own orders are left out of a report', () => {
  assert.ok(runbook.includes(`where symbol not like '${ours}%'`));
});
