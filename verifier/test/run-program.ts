// A program of tests, for tests: its argument says what kind of run it is.
import { test } from 'node:test';
import { stageOf } from '../results/registry.ts';
import { cannotRun, isTestProgram, runTests } from '../results/run.ts';

const { argv, env } = process;
const stage = stageOf({ test });
const id = { node: 'n', rung: 'r', check: 'c' };

const kinds: Record<string, () => void> = {
  green: () => void stage.test('a', { id }, async t => t.diagnostic('a word')),
  red: () => void stage.test('a', { id }, async () => { throw new Error('no'); }),
  zero: () => {},
  skips: () => void stage.test('a', { id, skip: 'why' }, async () => {}),
  noisy: () => void stage.test('a', { id }, async () => { process.stdout.write('stray\nok 7 - stray\n'); }),
  crash: () => void stage.test('a', { id }, async () => { process.kill(process.pid, 'SIGKILL'); }),
  throws: () => { throw new Error('before the first point'); },
  odd: () => {
    void stage.test('a', { id }, async () => {});
    process.exitCode = 7;
  },
  leaves: () => void stage.test('a', { id }, async () => process.exit(0)),
  mute: () => void stage.test('a', { id }, async () => process.disconnect()),
  two: () => {
    cannotRun('there is nothing to run on\nas was said');
    process.exitCode = 2;
  },
  twins: () => void Promise.all([1, 2].map(() => stage.test('a', { id }, async () => {}))),
  proxied: () => void stage.test('a', { id }, async () => {
    if (env['NODE_USE_ENV_PROXY'] ?? env['NODE_TEST_CONTEXT'] ?? env['NODE_OPTIONS']) throw new Error('inherited');
  }),
  hangs: () => void stage.test('a', { id }, () => new Promise(() => { setInterval(() => undefined, 1_000); })),
  stays: () => {
    process.on('SIGTERM', () => undefined);
    kinds['hangs']?.();
  },
  short: () => void stage.test('a', { id }, async () => {}),
  talks: () => void stage.test('a', { id }, async () => {
    for (let i = 0; i < 30; i += 1) {
      process.stderr.write('talk\n');
      await new Promise(resolve => { setTimeout(resolve, 10); });
    }
  }),
  many: () => {
    for (let i = 0; i < 300; i += 1) {
      const more = { node: 'n', rung: 'r', check: `c${i}` };
      void stage.test(`check ${i}`, { id: more }, async t => t.diagnostic('x'.repeat(2_000)));
    }
  },
};

if (isTestProgram(env)) kinds[argv[2] ?? '']?.();
else {
  const onEnd = ({ fault }: { fault: string | null }) => [`end: ${fault}`];
  const kind = argv[2] ?? '';
  const missing = () => kind === 'short' ? ['n r other'] : [];
  const limit = ['hangs', 'stays'].includes(kind) ? { limitMs: () => 1_500 } : {};
  process.exitCode = (await runTests(import.meta.url, argv.slice(2), { env, onEnd, missing, ...limit })).exit;
}
