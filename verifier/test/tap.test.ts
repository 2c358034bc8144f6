// Supervision: whatever the child does, stdout is TAP and the exit code is true.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('tap-program.js', import.meta.url));

function run(kind: string): Promise<{ code: unknown; stdout: string; last: string | undefined }> {
  const { ORDERS_TAP_CHILD: _, ...env } = process.env;
  return new Promise(resolve => {
    execFile(process.execPath, [program, kind], { env: { ...env, NODE_TEST_CONTEXT: 'child-v8', NODE_USE_ENV_PROXY: '1' } }, (error, stdout) =>
      resolve({ code: error?.code ?? 0, stdout, last: stdout.trim().split('\n').at(-1) }));
  });
}

const ends: [kind: string, code: number, last: string, also?: RegExp][] = [
  ['green', 0, '# end: null', /^TAP version 13\n(.*\n)*ok 1 - a\n(.*\n)*1\.\.1\n/],
  ['red', 1, '# end: 1 of 1 checks broken'],
  ['zero', 1, '# end: zero checks run', /^TAP version 13\nnot ok 1 - something was looked at\n1\.\.1\n/],
  ['skips', 1, '# end: zero checks run, 1 skipped', /not ok 2 - something was looked at\n1\.\.2\n/],
  ['noisy', 0, '# end: null', /^# stray$/m],
  ['crash', 1, '# end: ended by SIGKILL before its plan'],
  ['throws', 1, '# end: zero checks run', /not ok 1 - something was looked at/],
  ['proxied', 0, '# end: null'],
];

describe('a supervised run', { concurrency: 3 }, () => {
  for (const [kind, code, last, also = /^TAP version 13\n/] of ends) {
    test(`that is ${kind} ends with ${code}`, async () => {
      const end = await run(kind);
      assert.deepEqual([end.code, end.last], [code, last], end.stdout);
      assert.match(end.stdout, also);
    });
  }

  test('that could not begin ends with 2 and an empty stdout', async () => {
    assert.deepEqual(await run('two'), { code: 2, stdout: '', last: '' });
  });
});
