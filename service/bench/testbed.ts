// What the bench starts: a PostgreSQL cluster, the service, the bare program, the load. All of it is ended by close.
import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Login, Runner } from './load.ts';
import { freePort } from './port.ts';

export type Ids = 'random' | 'ordered';
export type Name = 'ours' | 'bare';

/** startMs: from spawn to the first accepted connection. memoryMb: resident, and its peak; NaN without /proc. */
export type System = {
  name: Name; port: number; startMs: number;
  memoryMb(): Promise<{ now: number; peak: number }>;
  stop(): Promise<void>;
};

export type Testbed = Runner & {
  login: Login;
  ids: Ids;
  /** Runs each statement as the superuser, in one session; gives back the bare rows. */
  psql(...statements: string[]): Promise<string>;
  start(name: Name): Promise<System>;
};

export const root = fileURLToPath(new URL('../../../', import.meta.url));
const cluster = join(root, 'infra/dist/process/database/cluster-program.js');
const programs = { ours: '../main.js', bare: './bare.js' };
const surroundings = { PATH: process.env['PATH'] ?? '', PG_BIN: process.env['PG_BIN'] ?? '', LC_ALL: 'C' };

/** Starts nothing yet. After close nothing more can be started. */
export function openProcesses() {
  const running = new Map<ChildProcess, Promise<unknown>>();
  let dir = '';
  let closing: Promise<void> | undefined;

  // In groups of their own: Ctrl-C in a terminal would reach them all at once, but the end must have an order.
  function launch(program: string, args: string[], env: Record<string, string>, output: 'pipe' | 'ignore') {
    if (closing) throw new Error('the bench is being stopped');
    const child = spawn(program, args, { env, detached: true, stdio: ['ignore', output, output] });
    const ended = new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve));
    running.set(child, ended.catch(() => null).then(() => running.delete(child)));
    return { child, ended };
  }

  const run: Runner['run'] = async (program, args, deadlineMs, env = {}) => {
    const { child, ended } = launch(program, args, { ...surroundings, ...env }, 'pipe');
    let [out, err] = ['', ''];
    child.stdout?.on('data', chunk => { out += String(chunk); });
    child.stderr?.on('data', chunk => { err += String(chunk); });
    const timer = setTimeout(() => kill(child), deadlineMs);
    const code = await ended.finally(() => clearTimeout(timer));
    if (code !== 0) throw new Error(`${program} ended with ${code ?? 'a signal'}: ${err.trim() || out.trim()}`);
    return out;
  };

  /** Logs go to /dev/null for every system, so that no reader of logs takes part in the race. */
  async function start(name: Name, login: Login, ids: Ids): Promise<System> {
    const port = await freePort();
    const env = {
      HOST: '127.0.0.1', PORT: String(port), LOG_LEVEL: 'info', IDS: ids,
      DATABASE_HOST: '127.0.0.1', DATABASE_PORT: String(login.port),
      DATABASE_NAME: 'orders', DATABASE_USER: 'orders', DATABASE_PASSWORD: login.password,
    };
    const program = fileURLToPath(new URL(programs[name], import.meta.url));
    const beganMs = performance.now();
    const { child, ended } = launch(process.execPath, [program], env, 'ignore');
    while (!(await accepts(port))) {
      if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode} instead of listening`);
      if (performance.now() - beganMs > 10_000) throw new Error(`${name} was not listening after 10 s`);
    }
    const startMs = performance.now() - beganMs;
    const stop = async (): Promise<void> => {
      kill(child);
      await ended;
    };
    return { name, port, startMs, memoryMb: () => readMemory(child.pid), stop };
  }

  async function open(ids: Ids): Promise<Testbed> {
    // Not the usual temporary folder, which may be memory: fsync costs nothing there.
    dir = mkdtempSync(join(process.env['TMPDIR'] || '/var/tmp', 'orders-bench-'));
    const port = await freePort();
    await run(process.execPath, [cluster, 'init', dir, String(port)], 60_000);
    await run(process.execPath, [cluster, 'start', dir], 60_000);
    const login = { port, password: (await readFile(join(dir, 'password'), 'utf8')).trim() };
    const psql = async (...statements: string[]): Promise<string> => {
      const args = [cluster, 'psql', dir, '-At', ...statements.flatMap(statement => ['-c', statement])];
      return (await run(process.execPath, args, 600_000)).trim();
    };
    return { dir, login, ids, run, psql, start: name => start(name, login, ids) };
  }

  async function end(): Promise<void> {
    // What makes or starts the cluster is short, and killed half-way it could leave a server that nobody knows.
    const patient = ({ spawnargs }: ChildProcess): boolean => /^(init|start)$/.test(spawnargs[2] ?? '');
    for (const child of running.keys()) if (!patient(child)) kill(child);
    await Promise.all(running.values());
    if (dir === '') return;
    await promisify(execFile)(process.execPath, [cluster, 'remove', dir], { env: surroundings });
    await rm(dir, { recursive: true, force: true });
  }
  return { open, run, close: () => (closing ??= end()) };
}

function kill(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    // It ended by itself a moment ago.
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => setTimeout(resolve, 1, false));
  });
}

async function readMemory(pid: number | undefined): Promise<{ now: number; peak: number }> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const kilobytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]);
  return { now: kilobytes('VmRSS') / 1024, peak: kilobytes('VmHWM') / 1024 };
}
