// Rows of skips as one line: numbered and planned as what is written, at every nesting; nothing else is touched.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fold } from '../results/fold.ts';
import type { Event } from '../results/fold.ts';
import { register } from '../results/registry.ts';

/** `NAME` held, `NAME # REASON` skipped, `NAME!` failed, `1..N` a plan; two blanks in front are a nesting. */
async function* play(lines: string[]): AsyncGenerator<Event> {
  const numbers: number[] = [];
  for (const line of lines) {
    const nesting = line.startsWith('  ') ? 1 : 0;
    const [, name = '', skip] = /^([^#]*?)(?: # (.*))?$/.exec(line.trim()) ?? [];
    if (name.startsWith('1..')) {
      yield { type: 'test:plan', data: { nesting, count: Number(name.slice(3)) } };
      numbers[nesting] = 0;
      continue;
    }
    const testNumber = numbers[nesting] = (numbers[nesting] ?? 0) + 1;
    yield { type: 'test:dequeue', data: { nesting, name } };
    yield { type: 'test:start', data: { nesting, name } };
    const type = name.endsWith('!') ? 'test:fail' : 'test:pass';
    const details = { duration_ms: 1 };
    yield { type, data: { nesting, name, testNumber, details, ...skip === undefined ? {} : { skip } } };
  }
}

/** What is written of it: `1 NAME # REASON`, `1..N`, and `> NAME` for what is announced. */
async function foldedOf(...lines: string[]): Promise<string[]> {
  const told: string[] = [];
  for await (const { type, data: { nesting, name, testNumber, skip, count } } of fold(play(lines))) {
    const margin = '  '.repeat(nesting);
    if (type === 'test:start') told.push(`${margin}> ${name}`);
    if (type === 'test:plan') told.push(`${margin}1..${count}`);
    if (testNumber !== undefined && type !== 'test:start') {
      told.push(`${margin}${testNumber} ${name}${skip === undefined ? '' : ` # ${skip}`}`);
    }
  }
  return told.filter(line => !line.trim().startsWith('>'));
}

for (const [node, rung, check] of [
  ['a', 'low', 'one'], ['a', 'low', 'two'], ['a', 'high', 'three'], ['b', 'low', 'four'],
] as const) register(check, { id: { node, rung, check } });

test('checks of a node that are skipped for one reason are one line, and the next is counted from there', async () => {
  assert.deepEqual(
    await foldedOf('zero', 'one # no engine', 'two # no engine', 'three # no engine', 'last!', '1..5'),
    ['1 zero', '2 a low, high: 3 checks # no engine', '3 last!', '1..3'],
  );
});

test('another reason, another node or a look in between is another line; a single skip keeps its words', async () => {
  assert.deepEqual(
    await foldedOf('one # x', 'two # y', 'three # y', 'four # y', 'seen', 'one # y', '1..6'),
    ['1 one # x', '2 a low, high: 2 checks # y', '3 four # y', '4 seen', '5 one # y', '1..5'],
  );
});

test('the checks inside a drill are counted by themselves', async () => {
  assert.deepEqual(
    await foldedOf('  one # x', '  two # x', '  1..2', 'first', '  one # x', '  1..1', 'second', '1..2'),
    ['  1 a low: 2 checks # x', '  1..1', '1 first', '  1 one # x', '  1..1', '2 second', '1..2'],
  );
});
