// What is looked at now: a line on a terminal that goes again, and nothing anywhere else.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openProgress } from '../results/terminal.ts';
import type { Screen } from '../results/terminal.ts';

function openScreen(isTTY: boolean, columns = 40): { screen: Screen; written: string[] } {
  const written: string[] = [];
  return { screen: { isTTY, columns, write: text => written.push(text) }, written };
}

test('on a terminal the line tells what and for how long, fits, and is erased at the end', () => {
  const { screen, written } = openScreen(true);
  const progress = openProgress(screen, { TERM: 'xterm' });
  progress.show('control ready: readiness is 200');
  progress.show(`control usable: ${'x'.repeat(80)}`);
  progress.close();
  const erase = '\r\u001b[2K';
  assert.equal(written[0], `${erase}control ready: readiness is 200 · 0 s`);
  assert.match(written[1] ?? '', /… · 0 s$/);
  assert.ok(written.every(text => text.length - erase.length < 40), JSON.stringify(written));
  assert.equal(written.at(-1), erase);
  assert.equal(written.length, 3);
});

test('nothing is written where there is no terminal, or one that cannot erase a line', () => {
  for (const [isTTY, env] of [[false, { TERM: 'xterm' }], [true, { TERM: 'dumb' }], [true, {}]] as const) {
    const { screen, written } = openScreen(isTTY);
    const progress = openProgress(screen, env);
    progress.show('control ready');
    progress.hide();
    progress.close();
    assert.deepEqual(written, []);
  }
});
