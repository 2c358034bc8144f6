// A process stack for one test: state folder and ports of its own, removed with the test.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, realpath, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { ProcessFacts } from '../platform.ts';

export const root = fileURLToPath(new URL('../../..', import.meta.url));

export type Run = { code: number | null; stdout: string; stderr: string };
export type Stack = {
  env: NodeJS.ProcessEnv;
  state: string;
  port: number;
  dbPort: number;
  run: (command: string, ...args: string[]) => Promise<Run>;
  control: (...args: string[]) => Promise<Run>;
  /** The same with other variables. */
  controlWith: (env: NodeJS.ProcessEnv, ...args: string[]) => Promise<Run>;
  facts: () => Promise<ProcessFacts>;
};

/** `name`: of the state folder. */
export async function openStack(t: TestContext, name = 'state'): Promise<Stack> {
  const parent = await realpath(await mkdtemp(join(tmpdir(), 'orders-stack-')));
  await chmod(parent, 0o755);
  const state = join(parent, name);
  await mkdir(state);
  const [port, dbPort] = [await freePort(), await freePort()];
  const { NODE_TEST_CONTEXT: _, TARGETS: _t, NODE: _n, ...outside } = process.env;
  const env = {
    ...outside, PLATFORM: 'process', ORDERS_STATE: state, ORDERS_PORT: String(port), ORDERS_DB_PORT: String(dbPort),
    // a drain that nobody waits for
    DRAIN_GRACE_MS: '100',
  };
  const run: Stack['run'] = (command, ...args) => runIn(env, command, args);
  const program = join(root, 'infra/control');
  const controlWith: Stack['controlWith'] = (more, ...args) => runIn({ ...env, ...more }, program, args);
  const control: Stack['control'] = (...args) => controlWith({}, ...args);
  t.after(async () => {
    const gone = await control('destroy');
    await rm(parent, { recursive: true, force: true });
    if (gone.code !== 0) throw new Error(`destroy failed: ${gone.stderr}`);
  });
  const facts: Stack['facts'] = async () => JSON.parse((await control('facts')).stdout) as ProcessFacts;
  return { env, state, port, dbPort, run, control, controlWith, facts };
}

/** Where a stack's node lies, and its database's data. */
export const folderOf = (stack: Stack) => join(stack.state, 'process/control');
export const dataOf = (stack: Stack) => join(folderOf(stack), 'db/data');

/** What was said by what had to succeed. */
export async function must(answer: Promise<Run>): Promise<Run> {
  const seen = await answer;
  assert.equal(seen.code, 0, seen.stderr);
  return seen;
}

export function runIn(env: NodeJS.ProcessEnv, command: string, args: string[], input = ''): Promise<Run> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env, cwd: root, stdio: ['pipe', 'pipe', 'pipe'] });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', chunk => { stdout += chunk; });
    child.stderr.on('data', chunk => { stderr += chunk; });
    child.stdin.on('error', () => undefined).end(input);
    child.on('error', reject);
    child.on('close', code => resolve({ code, stdout, stderr }));
  });
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => typeof address === 'object' && address ? resolve(address.port) : reject(new Error('no port')));
    });
  });
}
