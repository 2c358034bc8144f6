// A program under supervision, for tests: its argument says what kind of run it is.
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isSupervised, superviseTap } from '../tap.ts';

const kinds: Record<string, () => void> = {
  green: () => void test('a', () => {}),
  red: () => void test('a', () => { throw new Error('no'); }),
  zero: () => {},
  skips: () => void test('a', { skip: 'why' }, () => {}),
  noisy: () => void test('a', () => { process.stdout.write('stray\n'); }),
  crash: () => void test('a', () => { process.kill(process.pid, 'SIGKILL'); }),
  throws: () => { throw new Error('before the first point'); },
  two: () => { process.exitCode = 2; },
  proxied: () => void test('a', () => { if (process.env['NODE_USE_ENV_PROXY'] ?? process.env['NODE_TEST_CONTEXT']) throw new Error('inherited'); }),
};

if (isSupervised(process.env)) kinds[process.argv[2] ?? '']?.();
else process.exitCode = await superviseTap(fileURLToPath(import.meta.url), process.argv.slice(2), { env: process.env, onEnd: ({ fault }) => [`end: ${fault}`] });
