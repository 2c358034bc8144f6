// Runs a program of tests under itself: stdout is TAP 13 and nothing else, and what was found comes back as data.
import { spawn } from 'node:child_process';
import type { ChildProcess, StdioOptions } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { brokenOf, checksOf, counted } from './point.ts';
import type { Point } from './point.ts';
import type { Message } from './reporter.ts';
import { exitAfter, onSignals } from './signals.ts';
import { openOutput, openProgress } from './terminal.ts';

type Env = Readonly<Record<string, string | undefined>>;
/** `exit`: 0 held, 1 broken, 2 could not run (`cannotRun` says why), 128 + n after a signal to this process. */
export type Ended = { points: Point[]; cannotRun: string | undefined; exit: number; ms: number };
/** `fault` is null when the run held: at least one check, none broken, the plan written. */
export type Report = Ended & { fault: string | null };
export type RunOptions = {
  env: Env;
  /** Comment lines to stand last, without their `# `. */
  onEnd?: (report: Pick<Report, 'points' | 'fault' | 'cannotRun'>) => string[];
  /** Comment lines to stand first. */
  head?: readonly string[];
  /** A file descriptor that the program holds on to for as long as it lives (a lock). */
  hold?: number;
  onMessage?: (message: Message) => void;
  /** How long the whole may take; asked again and again, since it may hang on what the program has told meanwhile. */
  limitMs?: () => number;
  /** What was planned and is not among the points, by name. */
  missing?: (points: readonly Point[]) => string[];
  /** Hears what is written to stdout. */
  onTap?: (text: string) => void;
};
/** A program that was started and can be asked to end. */
export type Running = { ended: Promise<Ended>; end: () => void };

const MARK = 'ORDERS_TESTS_CHILD';
/** A program that is asked to end because it is late has so long to do it. */
const ENDING_MS = 5_000;

/** True in the program that was started by `runTests`: it shall define its tests. */
export function isTestProgram(env: Env): boolean {
  return env[MARK] === '1' && process.send !== undefined;
}

/**
 * Runs `node FILE ARGS` (a file URL) with our reporter and writes its TAP. The child is a process group of its own:
 * each SIGINT, SIGTERM, SIGHUP reaches it exactly once, from here. What it writes itself goes to stderr.
 */
export async function runTests(file: string, args: readonly string[], options: RunOptions): Promise<Report> {
  const { env, onEnd = () => [], hold, limitMs, missing = () => [] } = options;
  const { head = [], onMessage = () => undefined, onTap = () => undefined } = options;
  const began = performance.now();
  const output = openOutput();
  const write = (text: string) => {
    output.write(text);
    onTap(text);
  };
  const version = `TAP version 13\n${head.map(line => `# ${line}\n`).join('')}`;
  const progress = openProgress(process.stderr, env);
  const child = spawnTests(file, args, env, hold);
  let exit: number | undefined;
  const signals = onSignals(name => {
    exit = exitAfter(name);
    child.kill(name);
  });
  let now = 'nothing yet';
  const limit = limitMs === undefined ? undefined : endWhenLate(child, limitMs);
  const { points, cannotRun, tapped, ...end } = await hear(child, message => {
    progress.hide();
    if ('tap' in message) write(message.tap.replace(/^TAP version 13\n/, version));
    else tell(message);
    if ('begun' in message) {
      now = message.begun;
      progress.show(now);
    }
    onMessage(message);
  });
  const lateMs = limit?.stop();
  progress.close();
  signals.stop();
  if (!tapped) write(version);
  if (cannotRun !== undefined) write(`Bail out! ${cannotRun}\n`);
  const begun = tapped || cannotRun !== undefined || end.signal !== null || lateMs !== undefined;
  // it left before its first point: that must not read as a good run
  if (!begun) write('not ok 1 - something was looked at\n1..1\n');
  const late = lateMs === undefined ? undefined : `not finished within ${lateMs} ms; what was looked at: ${now}`;
  const fault = cannotRun
    ?? findFault(points, { ...end, late, missing: missing(points), planned: end.planned || !begun });
  if (fault !== null && cannotRun === undefined) write(`# ${fault}\n`);
  onEnd({ points, fault, cannotRun }).forEach(line => write(`# ${line}\n`));
  const unwritten = await output.flush();
  exit ??= cannotRun !== undefined ? 2 : fault !== null ? 1 : unwritten !== undefined ? 2 : 0;
  const ms = Math.round(performance.now() - began);
  return { points, fault: fault ?? unwritten ?? null, cannotRun: cannotRun ?? unwritten, exit, ms };
}

function spawnTests(file: string, args: readonly string[], env: Env, hold: number | undefined): ChildProcess {
  const reporter = new URL('./reporter.js', import.meta.url).href;
  const argv = ['--test-reporter', reporter, '--test-reporter-destination', 'stdout', fileURLToPath(file), ...args];
  const stdio: StdioOptions = ['ignore', 2, 2, 'ipc', ...hold === undefined ? [] : [hold]];
  return spawn(process.execPath, argv, { env: { ...programEnv(env), [MARK]: '1' }, detached: true, stdio });
}

/** Asks it to end when it is late, and ends it when it does not. `stop` gives the limit that it has passed. */
function endWhenLate(child: ChildProcess, limitMs: () => number): { stop: () => number | undefined } {
  const began = performance.now();
  let passed: number | undefined;
  const timer = setInterval(() => {
    const limit = limitMs();
    if (performance.now() - began > limit + ENDING_MS) child.kill('SIGKILL');
    else if (performance.now() - began > limit && passed === undefined) {
      passed = limit;
      child.kill('SIGTERM');
    }
  }, 100);
  return { stop: () => {
    clearInterval(timer);
    return passed;
  } };
}

/** Runs one of our programs as an operator would, but takes its points instead of its TAP. */
export function startProgram(file: string, args: readonly string[], env: Env): Running {
  const began = performance.now();
  const child = spawn(process.execPath, [fileURLToPath(file), ...args], {
    env: programEnv(env), stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const ended = hear(child, () => undefined).then(({ points, cannotRun, code }) => (
    { points, cannotRun, exit: code ?? 1, ms: Math.round(performance.now() - began) }
  ));
  return { ended, end: () => void child.kill('SIGTERM') };
}

/** In the test program: it could not begin, and says why. */
export function cannotRun(why: string): void {
  tell({ cannotRun: oneLine(why) });
}

/** Ends a program that could not begin: TAP says so, stderr says so, exit 2. */
export function bailOut(program: string, why: string): number {
  openOutput().write(`TAP version 13\nBail out! ${oneLine(why)}\n`);
  tell({ cannotRun: oneLine(why) });
  process.stderr.write(`${program}: ${why.trim()}\n`);
  return 2;
}

/** What a run came to, without its names: nothing looked at is red, and so is a run that ended before its plan. */
export function findFault(points: readonly Point[], end: Omit<End, 'tapped'> & Shortfall): string | null {
  const checks = checksOf(points);
  const looked = checks.filter(({ skip }) => skip === undefined);
  const { late, missing = [] } = end;
  if (late !== undefined) return late;
  if (end.signal !== null) return `ended by ${end.signal} before its plan`;
  const broken = brokenOf(points).length;
  const troubles = [
    ...broken > 0 ? [`${broken} of ${looked.length} checks broken`] : [],
    ...end.planned && missing.length > 0 ? [tellMissing(missing)] : [],
  ];
  if (troubles.length > 0) return troubles.join('; ');
  if (!end.planned) return 'ended before its plan';
  if (looked.length === 0) return `zero checks run${checks.length > 0 ? `, ${checks.length} skipped` : ''}`;
  return end.code === 0 ? null : `ended with ${end.code} although every check held`;
}

function tellMissing(missing: readonly string[]): string {
  const more = missing.length > 8 ? ` and ${missing.length - 8} more` : '';
  return `${counted(missing.length, 'planned check')} did not run: ${missing.slice(0, 8).join(', ')}${more}`;
}

/** What came too late, and what was planned and did not come at all. */
type Shortfall = { late?: string | undefined; missing?: readonly string[] };
type End = { code: number | null; signal: string | null; planned: boolean; tapped: boolean };
type Heard = End & { points: Point[]; cannotRun: string | undefined };

async function hear(child: ChildProcess, take: (message: Message) => void): Promise<Heard> {
  const heard = { points: [] as Point[], planned: false, tapped: false, cannotRun: undefined as string | undefined };
  child.on('message', (message: Message) => {
    if ('tap' in message) heard.tapped = true;
    if ('point' in message) heard.points.push(message.point);
    if ('said' in message) heard.points.at(-1)?.said.push(message.said);
    if ('planned' in message) heard.planned = true;
    if ('cannotRun' in message) heard.cannotRun = message.cannotRun;
    take(message);
  });
  return new Promise(resolve => {
    child.on('error', () => {
      if (child.pid === undefined) resolve({ ...heard, code: 2, signal: null });
    });
    // not `exit`: what was sent before it is still to be read
    child.on('close', (code, signal) => resolve({ ...heard, code, signal }));
  });
}

/** Whoever started this process as a program of ours hears what is found, as it is found. */
export function tell(message: Message): void {
  process.send?.(message, undefined, undefined, () => undefined);
}

function programEnv(env: Env): NodeJS.ProcessEnv {
  // Left in place, the first makes node:test speak a binary protocol, the second sends our probes through a proxy, the
  // third may do anything; the last is for one child only.
  const left = ['NODE_TEST_CONTEXT', 'NODE_USE_ENV_PROXY', 'NODE_OPTIONS', MARK];
  return Object.fromEntries(Object.entries(env).filter(([name]) => !left.includes(name)));
}

function oneLine(text: string): string {
  return text.trim().split('\n')[0] ?? '';
}
