// The compiled service as a process of its own, ended and awaited by the test that started it.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { freePort } from '../bench/port.ts';
import { until } from './database.ts';
import { get } from './http-cases.ts';
import { talk } from './raw.ts';

export type Ended = { code: number | null; signal: string | null; ms: number };
export type Running = {
  child: ChildProcess; port: number; pid: number; exited: Promise<Ended>;
  stderr: () => string; lines: () => { event: string; [field: string]: unknown }[];
};

export const main = fileURLToPath(new URL('../main.js', import.meta.url));

/** What a deployment must say. Nobody listens on the database's port 1. */
export const required = {
  HOST: '127.0.0.1', PORT: '8000', DATABASE_HOST: '127.0.0.1', DATABASE_PORT: '1', DATABASE_NAME: 'orders',
  DATABASE_USER: 'orders',
  DATABASE_PASSWORD: 'letter-by-letter',
};

/** The environment is exactly what is given: nothing of the test's own leaks in. */
export function spawnService(t: TestContext, env: Record<string, string>, flags: string[] = []): Running {
  const startedMs = performance.now();
  const child = spawn(process.execPath, [...flags, main], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, err] = ['', ''];
  child.stdout?.on('data', chunk => { out += String(chunk); });
  child.stderr?.on('data', chunk => { err += String(chunk); });
  const exited = new Promise<Ended>(
    resolve => child.once('close', (code, signal) => resolve({ code, signal, ms: performance.now() - startedMs })),
  );
  t.after(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  return {
    child, exited, port: Number(env['PORT']), pid: child.pid ?? 0, stderr: () => err,
    lines: () => out.split('\n').slice(0, -1).map(line => JSON.parse(line)),
  };
}

/** On a free port, and answering /health when this returns. */
export async function startService(
  t: TestContext, env: Record<string, string> = {}, flags: string[] = [],
): Promise<Running> {
  const service = spawnService(t, { ...required, PORT: String(await freePort()), ...env }, flags);
  const look = (): ReturnType<typeof talk> => talk({ port: service.port, bytes: get('/health', 'Connection: close') });
  await until(look, ({ answers }) => answers[0]?.status === 200, 10_000);
  return service;
}
