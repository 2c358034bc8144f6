// Starts one of our programs as an operator would, and gathers what it says.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { watchPoints } from '../report.ts';
import type { Point } from '../report.ts';

export type Ended = { code: number | null; signal: NodeJS.Signals | null; stdout: string; stderr: string; points: Point[] };
export type Started = { child: ChildProcess; ended: Promise<Ended>; said: () => string };

/** env is the whole environment: what steers the test run shall not steer the program. */
export function start(file: string, args: string[], env: Record<string, string>): Started {
  const child = spawn(process.execPath, [file, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) child[name].setEncoding('utf8').on('data', (text: string) => { texts[name] += text; });
  const ended = new Promise<Ended>(resolve => {
    child.on('close', (code, signal) => {
      const watch = watchPoints();
      texts.stdout.split('\n').forEach(line => watch.take(line));
      resolve({ code, signal, ...texts, points: watch.points });
    });
  });
  return { child, ended, said: () => texts.stdout + texts.stderr };
}
