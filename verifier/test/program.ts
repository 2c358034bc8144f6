// Starts one of our programs as an operator would, and gathers what it says and which points it tells.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFile, readdir } from 'node:fs/promises';
import type { Point } from '../results/point.ts';
import type { Message } from '../results/reporter.ts';

export type Ended = {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  points: Point[];
  cannotRun: string | undefined;
};
export type Started = { child: ChildProcess; ended: Promise<Ended>; said: () => string };

/** env is the whole environment: what steers the test run shall not steer the program. */
export function start(file: string, args: string[], env: Record<string, string>): Started {
  const child = spawn(process.execPath, [file, ...args], { env, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
  const texts = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => { texts.stdout += text; });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => { texts.stderr += text; });
  const points: Point[] = [];
  let cannotRun: string | undefined;
  child.on('message', (message: Message) => {
    if ('point' in message) points.push(message.point);
    if ('said' in message) points.at(-1)?.said.push(message.said);
    if ('cannotRun' in message) cannotRun = message.cannotRun;
  });
  const ended = new Promise<Ended>(resolve => {
    child.on('close', (code, signal) => resolve({ code, signal, ...texts, points, cannotRun }));
  });
  return { child, ended, said: () => texts.stdout + texts.stderr };
}

/** The processes that it has started itself and that still live. */
export async function childrenOf({ child }: Pick<Started, 'child'>): Promise<number[]> {
  const pids = (await readdir('/proc')).filter(name => /^\d+$/.test(name));
  const stats = await Promise.all(pids.map(pid => readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')));
  return pids.filter((_, i) => Number(stats[i]?.split(') ')[1]?.split(' ')[1]) === child.pid).map(Number);
}

export function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
