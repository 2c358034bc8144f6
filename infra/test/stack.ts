// A process stack for one test: state folder and ports of its own, removed with the test.
import { spawn } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

export const root = new URL('../../..', import.meta.url).pathname;

export type Run = { code: number | null; stdout: string; stderr: string };
export type Stack = { env: NodeJS.ProcessEnv; state: string; port: number; run: (command: string, ...args: string[]) => Promise<Run>; control: (...args: string[]) => Promise<Run> };

export async function openStack(t: TestContext): Promise<Stack> {
  const state = await mkdtemp(join(tmpdir(), 'orders-stack-'));
  await chmod(state, 0o755);
  const [port, dbPort] = [await freePort(), await freePort()];
  const { NODE_TEST_CONTEXT: _, TARGETS: _t, NODE: _n, ...outside } = process.env;
  const env = { ...outside, PLATFORM: 'process', ORDERS_STATE: state, ORDERS_PORT: String(port), ORDERS_DB_PORT: String(dbPort) };
  const run: Stack['run'] = (command, ...args) => runIn(env, command, args);
  const control: Stack['control'] = (...args) => run(join(root, 'infra/control'), ...args);
  t.after(async () => {
    const gone = await control('destroy');
    await rm(state, { recursive: true, force: true });
    if (gone.code !== 0) throw new Error(`destroy failed: ${gone.stderr}`);
  });
  return { env, state, port, run, control };
}

export function runIn(env: NodeJS.ProcessEnv, command: string, args: string[]): Promise<Run> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env, cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', chunk => { stdout += chunk; });
    child.stderr.on('data', chunk => { stderr += chunk; });
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
