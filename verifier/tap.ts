// Runs a program under itself so that stdout is TAP 13 and nothing else, whatever node's default reporter is.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { closing, findFault, watchPoints } from './report.ts';
import type { Point } from './report.ts';
import type { Env } from './options.ts';

/** `fault` is null when the run held: at least one check, none broken, the plan written. */
export type TapEnd = { points: Point[]; fault: string | null };
export type Supervision = {
  env: Env;
  /** Comment lines to stand last, without their `# `. */
  onEnd: (end: TapEnd) => string[];
};

const MARK = 'ORDERS_TAP_CHILD';

/** True in the child: the program shall run its checks; else it shall call `superviseTap`. */
export function isSupervised(env: Env): boolean {
  return env[MARK] === '1';
}

/**
 * Runs `node FILE ARGS` with the TAP reporter and relays what it writes. Gives the exit code: 0 held, 1 broken,
 * 2 when the child ended with 2 before its first point, 128 + n after a signal.
 * The child is a process group of its own: each SIGINT, SIGTERM, SIGHUP reaches it exactly once, from here.
 */
export async function superviseTap(file: string, args: string[], { env, onEnd }: Supervision): Promise<number> {
  const child = spawn(process.execPath, ['--test-reporter=tap', file, ...args], {
    env: childEnv(env), detached: true, stdio: ['ignore', 'pipe', 'inherit'],
  });
  const signals = forward(child);
  const write = patientWriter();
  const watch = watchPoints();
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>(resolve => {
    child.on('exit', (code, signal) => resolve({ code, signal }));
    child.on('error', () => resolve({ code: 2, signal: null }));
  });
  for await (const line of createInterface({ input: child.stdout })) watch.take(line).forEach(write);
  const end = await ended;
  if (end.code === 2 && watch.points.length === 0) return 2;
  if (!watch.begun) write('TAP version 13');
  if (watch.points.length === 0 && end.signal === null) closing(watch).forEach(write);
  const fault = findFault(watch.points, { ...end, planned: watch.planned });
  for (const line of [...(fault ? [fault] : []), ...onEnd({ points: watch.points, fault })]) write(`# ${line}`);
  signals.stop();
  return signals.seen() ?? (fault === null ? 0 : 1);
}

function childEnv(env: Env): Env {
  // Left in place, the first makes node:test speak a binary protocol, the second sends our probes through a proxy.
  const { NODE_TEST_CONTEXT: _context, NODE_USE_ENV_PROXY: _proxy, ...rest } = env;
  return { ...rest, [MARK]: '1' };
}

function forward(child: ChildProcess): { seen: () => number | undefined; stop: () => void } {
  const numbers = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;
  let code: number | undefined;
  const pass = (signal: NodeJS.Signals) => {
    code = 128 + (numbers[signal as keyof typeof numbers] ?? 0);
    child.kill(signal);
  };
  for (const signal of Object.keys(numbers)) process.on(signal, pass);
  return { seen: () => code, stop: () => { for (const signal of Object.keys(numbers)) process.off(signal, pass); } };
}

// A reader that hangs up early (`| head -3`) ends the writing, not the run: what is under way has to be finished and judged.
function patientWriter(): (line: string) => void {
  let gone = false;
  process.stdout.on('error', () => { gone = true; });
  return line => { if (!gone) process.stdout.write(`${line}\n`); };
}
