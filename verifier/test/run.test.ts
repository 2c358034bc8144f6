// A run of tests: whatever the child does, stdout is TAP, the exit code is true, and points come as data.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { start } from './program.ts';
import type { Ended } from './program.ts';

const program = fileURLToPath(new URL('run-program.js', import.meta.url));
const options = '--no-warnings --test-reporter=spec';
const inherited = { NODE_TEST_CONTEXT: 'child-v8', NODE_USE_ENV_PROXY: '1', NODE_OPTIONS: options };
const env = { PATH: process.env['PATH'] ?? '', ...inherited };
const run = (kind: string): Promise<Ended> => start(program, [kind], env).ended;

const red = /^TAP version 13\nnot ok 1 - something was looked at\n1\.\.1\n/;
const ends: [kind: string, code: number, last: string, also?: RegExp][] = [
  ['green', 0, '# end: null', /^TAP version 13\n(.*\n)*ok 1 - a\n(.*\n)*1\.\.1\n/],
  ['red', 1, '# end: 1 of 1 checks broken'],
  ['zero', 1, '# end: zero checks run', red],
  ['skips', 1, '# end: zero checks run, 1 skipped', /not ok 2 - something was looked at\n(.*\n)*1\.\.2\n/],
  ['noisy', 0, '# end: null'],
  ['crash', 1, '# end: ended by SIGKILL before its plan'],
  ['throws', 1, '# end: zero checks run', red],
  ['odd', 1, '# end: ended with 7 although every check held'],
  ['leaves', 1, '# end: zero checks run', red],
  ['mute', 1, '# end: zero checks run', red],
  ['proxied', 0, '# end: null'],
  ['short', 1, '# end: 1 planned check did not run: n r other'],
  ['hangs', 1, '# end: not finished within 1500 ms; what was looked at: a'],
  ['stays', 1, '# end: not finished within 1500 ms; what was looked at: a'],
];

describe('a run of tests', { concurrency: 3 }, () => {
  for (const [kind, code, last, also = /^TAP version 13\n/] of ends) {
    test(`that is ${kind} ends with ${code}`, async () => {
      const end = await run(kind);
      assert.deepEqual([end.code, end.stdout.trim().split('\n').at(-1)], [code, last], end.stdout + end.stderr);
      assert.match(end.stdout, also);
    });
  }

  test('that could not begin says Bail out! with its reason, and ends with 2', async () => {
    const end = await run('two');
    assert.deepEqual([end.code, end.cannotRun], [2, 'there is nothing to run on']);
    assert.match(end.stdout, /^TAP version 13\nBail out! there is nothing to run on\n/);
  });

  test('keeps what the program writes itself off stdout', async () => {
    const end = await run('noisy');
    assert.doesNotMatch(end.stdout, /stray/);
    assert.match(end.stderr, /stray\nok 7 - stray\n/);
  });

  test('is judged to its end when nobody reads its stderr any more', async () => {
    const { child, ended } = start(program, ['talks'], env);
    child.stderr?.destroy();
    const end = await ended;
    assert.deepEqual([end.code, end.points.length], [0, 1], end.stdout);
  });

  test('has its points as data: ids, claim, what was said, why it broke or was skipped', async () => {
    const id = { node: 'n', rung: 'r', check: 'c' };
    assert.deepEqual((await run('green')).points, [{ id, claim: 'a', held: true, said: ['a word'] }]);
    assert.deepEqual((await run('red')).points, [{ id, claim: 'a', held: false, error: 'no', said: [] }]);
    const [skipped] = (await run('skips')).points;
    assert.deepEqual(skipped, { id, claim: 'a', held: true, skip: 'why', said: [] });
  });

  test('loses none of many points', async () => {
    const end = await run('many');
    assert.equal(end.code, 0, end.stderr);
    assert.equal(end.points.filter(({ said }) => said[0]?.length === 2_000).length, 300);
    assert.match(end.stdout, /\n1\.\.300\n/);
  });

  test('with two tests of one name is red: they could not be distinguished', async () => {
    const end = await run('twins');
    assert.equal(end.code, 1);
    // who catches it first depends on the version of Node
    assert.match(end.stdout + end.stderr, /two tests are named "a"/);
  });
});
