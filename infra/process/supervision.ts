// How a node's supervisor is started and given commands: one JSON line there, one back, over a socket in its folder.
import { spawn } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Host } from '../host.ts';
import { holderOf } from '../lock.ts';
import { lastLines } from './log.ts';
import { until } from './until.ts';

/** What the supervisor is to run. `user`: whom root hands it to. */
export type Program = {
  argv: string[];
  env: Record<string, string>;
  cwd: string;
  /** How it is asked to end, and when it is killed instead. */
  signal: NodeJS.Signals;
  graceMs: number;
  log: string;
  /** Comes back with its status: what it was started from. */
  tag: string;
  user?: { uid: number; gid: number };
};
/** `waiting`: it has ended, and is started again in a moment. */
export type ProgramStatus = {
  state: 'running' | 'waiting' | 'stopped';
  /** It was asked to end and has not done so yet. */
  stopping: boolean;
  pid: number | null;
  startedAt: string | null;
  restarts: number;
  exit: { pid: number; code: number | null; signal: string | null } | null;
  tag: string;
};
/** `pid` is the supervisor's own. */
export type Status = { pid: number; ending: boolean; programs: Record<string, ProgramStatus> };
export type Request =
  | { verb: 'status' }
  | { verb: 'end' }
  | { verb: 'start'; name: string; program: Program }
  | { verb: 'stop'; name: string }
  | { verb: 'signal'; name: string; signal: NodeJS.Signals; family: boolean };
export type Killed = { killed: string[] };
export type Reply = { done: unknown } | { failed: string };

export type Supervision = {
  /** Undefined when no supervisor runs: then none of its programs does either. */
  status: () => Promise<Status | undefined>;
  /** Waits for the end of what is being stopped for somebody who was killed meanwhile. */
  settled: () => Promise<void>;
  /** Starts a program that does not run, at once if it is waiting; begins the supervisor if need be. */
  start: (name: string, program: Program) => Promise<void>;
  /** Returns when it has ended, and says whether it had to be killed. */
  stop: (name: string) => Promise<Killed>;
  /** To the program, or to it and all that descend from it. False when it does not run. */
  signal: (name: string, signal: NodeJS.Signals, family?: boolean) => Promise<boolean>;
  /** Stops every program, the last started first, and the supervisor. */
  end: () => Promise<Killed>;
};
export type SupervisionOptions = {
  folder: string;
  env: Readonly<Record<string, string>>;
  scaled: (ms: number) => number;
};

export const socketName = 'control';
export const lockName = 'supervisor.lock';
const ANSWER_MS = 10_000;
/** Longer than any program's grace. */
const END_MS = 120_000;

/** Opens nothing yet. Throws when a supervisor is there and does not answer, or belongs to another user. */
export function openSupervision({ folder, env, scaled }: SupervisionOptions): Supervision {
  const tell = (request: Request, deadlineMs = ANSWER_MS) => ask(folder, request, scaled(deadlineMs));
  const status = async () => (await tell({ verb: 'status' })) as Status | undefined;

  const settled = async (): Promise<void> => {
    const isSettled = await until(async () => {
      const seen = await status();
      if (seen === undefined) return true;
      return seen.ending || Object.values(seen.programs).some(({ stopping }) => stopping) ? undefined : true;
    }, scaled(END_MS));
    if (isSettled === undefined) throw new Error(`the supervisor of ${folder} is stopping since ${END_MS / 1000} s`);
  };
  const begin = async (): Promise<void> => {
    await settled();
    if (await status() !== undefined) return;
    const log = join(folder, 'supervisor.log');
    const fd = openSync(log, 'a', 0o600);
    // a session of its own: Ctrl-C at the operator's terminal does not reach it
    const program = fileURLToPath(new URL('./supervisor.js', import.meta.url));
    const options = { cwd: folder, env, detached: true, stdio: ['ignore' as const, fd, fd] };
    const child = spawn(process.execPath, [program, folder], options);
    closeSync(fd);
    child.unref();
    const failed = new Promise<never>((_, reject) => {
      child.on('error', reject);
      child.on('exit', code => {
        // 0: another one was quicker
        const said = lastLines(log, 5).join('\n');
        if (code !== 0) reject(new Error(`the supervisor of ${folder} ended with ${code}:\n${said}`));
      });
    });
    const began = await Promise.race([until(status, scaled(ANSWER_MS)), failed]);
    child.removeAllListeners();
    if (began === undefined) throw new Error(`the supervisor of ${folder} did not begin within ${ANSWER_MS / 1000} s`);
  };

  return {
    status, settled,
    start: async (name, program) => {
      // one that has begun to end meanwhile starts nothing: its successor does
      const started = await until(async () => {
        await begin();
        return await tell({ verb: 'start', name, program }, END_MS) === true || undefined;
      }, scaled(END_MS));
      if (started === undefined) throw new Error(`the supervisor of ${folder} does not start the ${name}`);
    },
    stop: async name => (await tell({ verb: 'stop', name }, END_MS) ?? { killed: [] }) as Killed,
    signal: async (name, signal, family = false) => await tell({ verb: 'signal', name, signal, family }) === true,
    end: async () => {
      // one that is frozen is found out before it is given the time that its programs may take
      await status();
      const killed = (await tell({ verb: 'end' }, END_MS) ?? { killed: [] }) as Killed;
      await until(async () => await status() === undefined ? true : undefined, scaled(ANSWER_MS));
      return killed;
    },
  };
}

export async function needLinux(local: Host): Promise<void> {
  if (process.platform === 'linux' && (await local.run(['setpriv', '--version'])).code === 0) return;
  throw new Error('the platform process needs Linux with setpriv, which ties programs to their supervisor; '
    + 'Debian, Ubuntu: apt-get install util-linux');
}

/** What the supervisor answers; undefined when there is none. */
function ask(folder: string, request: Request, deadlineMs: number): Promise<unknown> {
  const fd = openFolder(folder);
  if (fd === undefined) return Promise.resolve(undefined);
  const answered = new Promise<unknown>((resolve, reject) => {
    // the folder by its descriptor: a socket's path may have 107 bytes, and the folder's is as long as it likes
    const socket = connect(`/proc/self/fd/${fd}/${socketName}`);
    let text = '';
    const timer = setTimeout(() => void lateness(folder, deadlineMs).then(late => socket.destroy(late)), deadlineMs);
    socket.setEncoding('utf8').on('data', (part: string) => { text += part; });
    socket.on('connect', () => socket.write(`${JSON.stringify(request)}\n`));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE'].includes(error.code ?? '')) resolve(undefined);
      else reject(error.code === 'EACCES' ? foreign(folder) : error);
    });
    socket.on('close', () => {
      clearTimeout(timer);
      // it was killed, or ended, before it could answer
      if (!text.endsWith('\n')) return resolve(undefined);
      const reply = JSON.parse(text) as Reply;
      if ('failed' in reply) reject(new Error(reply.failed));
      else resolve(reply.done);
    });
  });
  return answered.finally(() => closeSync(fd));
}

/** Its programs end with it, so to kill it is a way out. */
async function lateness(folder: string, ms: number): Promise<Error> {
  const holder = await holderOf(join(folder, lockName)).catch(() => undefined);
  const way = holder?.pid ? `; kill -9 ${holder.pid} ends it and its programs, make up starts them again` : '';
  return new Error(`the supervisor of ${folder} has not answered for ${ms / 1000} s${way}`);
}

function openFolder(folder: string): number | undefined {
  try {
    return openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw code === 'EACCES' ? foreign(folder) : error;
  }
}

function foreign(folder: string): Error {
  return new Error(`${folder} belongs to another user, who started what runs there; run this as that user`);
}
