// Runs a program of tests under itself: stdout is TAP 13 and nothing else, and what was found comes back as data.
import { spawn } from 'node:child_process';
import type { ChildProcess, StdioOptions } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { brokenOf, checksOf } from './point.ts';
import type { Point } from './point.ts';
import type { Message } from './reporter.ts';
import { exitAfter, onSignals } from './signals.ts';

type Env = Readonly<Record<string, string | undefined>>;
/** `exit`: 0 held, 1 broken, 2 could not run (`cannotRun` says why), 128 + n after a signal to this process. */
export type Ended = { points: Point[]; cannotRun: string | undefined; exit: number; ms: number };
/** `fault` is null when the run held: at least one check, none broken, the plan written. */
export type Report = Ended & { fault: string | null };
export type RunOptions = {
  env: Env;
  /** Comment lines to stand last, without their `# `. */
  onEnd?: (report: Pick<Report, 'points' | 'fault' | 'cannotRun'>) => string[];
  /** A file descriptor that the program holds on to for as long as it lives (a lock). */
  hold?: number;
  onMessage?: (message: Message) => void;
};
/** A program that was started and can be asked to end. */
export type Running = { ended: Promise<Ended>; end: () => void };

const MARK = 'ORDERS_TESTS_CHILD';

/** True in the program that was started by `runTests`: it shall define its tests. */
export function isTestProgram(env: Env): boolean {
  return env[MARK] === '1' && process.send !== undefined;
}

/**
 * Runs `node FILE ARGS` (a file URL) with our reporter and writes its TAP. The child is a process group of its own:
 * each SIGINT, SIGTERM, SIGHUP reaches it exactly once, from here. What it writes itself goes to stderr.
 */
export async function runTests(file: string, args: readonly string[], options: RunOptions): Promise<Report> {
  const { env, onEnd = () => [], hold, onMessage = () => undefined } = options;
  const began = performance.now();
  const write = patientWriter();
  const reporter = new URL('./reporter.js', import.meta.url).href;
  const argv = ['--test-reporter', reporter, '--test-reporter-destination', 'stdout', fileURLToPath(file), ...args];
  const stdio: StdioOptions = ['ignore', 2, 2, 'ipc', ...hold === undefined ? [] : [hold]];
  const child = spawn(process.execPath, argv, { env: { ...programEnv(env), [MARK]: '1' }, detached: true, stdio });
  let exit: number | undefined;
  const signals = onSignals(name => {
    exit = exitAfter(name);
    child.kill(name);
  });
  const { points, cannotRun, tapped, ...end } = await hear(child, message => {
    if ('tap' in message) write(message.tap);
    else tellStarter(message);
    onMessage(message);
  });
  signals.stop();
  if (!tapped) write('TAP version 13\n');
  if (cannotRun !== undefined) write(`Bail out! ${cannotRun}\n`);
  const begun = tapped || cannotRun !== undefined || end.signal !== null;
  // it left before its first point: that must not read as a good run
  if (!begun) write('not ok 1 - something was looked at\n1..1\n');
  const fault = cannotRun ?? findFault(points, { ...end, planned: end.planned || !begun });
  if (fault !== null && cannotRun === undefined) write(`# ${fault}\n`);
  onEnd({ points, fault, cannotRun }).forEach(line => write(`# ${line}\n`));
  exit ??= cannotRun !== undefined ? 2 : fault === null ? 0 : 1;
  return { points, fault, cannotRun, exit, ms: Math.round(performance.now() - began) };
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
  tellStarter({ cannotRun: oneLine(why) });
}

/** Ends a program that could not begin: TAP says so, stderr says so, exit 2. */
export function bailOut(program: string, why: string): number {
  const write = patientWriter();
  write(`TAP version 13\nBail out! ${oneLine(why)}\n`);
  tellStarter({ cannotRun: oneLine(why) });
  process.stderr.write(`${program}: ${why.trim()}\n`);
  return 2;
}

/** What a run came to, without its names: nothing looked at is red, and so is a run that ended before its plan. */
export function findFault(points: readonly Point[], end: Omit<End, 'tapped'>): string | null {
  const checks = checksOf(points);
  const looked = checks.filter(({ skip }) => skip === undefined);
  const broken = brokenOf(points);
  if (end.signal !== null) return `ended by ${end.signal} before its plan`;
  if (broken.length > 0) return `${broken.length} of ${looked.length} checks broken`;
  if (!end.planned) return 'ended before its plan';
  if (looked.length === 0) return `zero checks run${checks.length > 0 ? `, ${checks.length} skipped` : ''}`;
  return end.code === 0 ? null : `ended with ${end.code} although every check held`;
}

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

// Whoever started this process as a program of ours is told what is found, as it is found.
function tellStarter(message: Message): void {
  process.send?.(message, undefined, undefined, () => undefined);
}

function programEnv(env: Env): NodeJS.ProcessEnv {
  // Left in place, the first makes node:test speak a binary protocol, the second sends our probes through a proxy, the
  // third may do anything; the last is for one child only.
  const left = ['NODE_TEST_CONTEXT', 'NODE_USE_ENV_PROXY', 'NODE_OPTIONS', MARK];
  return Object.fromEntries(Object.entries(env).filter(([name]) => !left.includes(name)));
}

// A reader that hangs up early (`| head -3`) ends the writing, not the run: what is under way has to be finished.
function patientWriter(): (text: string) => void {
  let gone = false;
  process.stdout.on('error', () => { gone = true; });
  process.stderr.on('error', () => undefined);
  return text => { if (!gone) process.stdout.write(text); };
}

function oneLine(text: string): string {
  return text.trim().split('\n')[0] ?? '';
}
