// Keeps the programs of one node running, as its children: a killed one is started again. node supervisor.js FOLDER
// Commands reach it over a socket in the folder (supervision.ts). If it is killed, the kernel kills its children.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { appendFileSync, closeSync, openSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { tryLock } from '../lock.ts';
import { messageOf } from '../platform.ts';
import { rotate } from './log.ts';
import { familyOf, send } from './proc.ts';
import { lockName, socketName } from './supervision.ts';
import type { Killed, Program, ProgramStatus, Reply, Request, Status } from './supervision.ts';

/** A refused configuration (EX_CONFIG): the same one would be refused again. */
const REFUSED = 78;
const pauses = { firstMs: 100, longestMs: 5_000, soundAfterMs: 10_000 };
const WATCH_MS = 1_000;
/** What programs are given to end when their folder is gone. */
const HASTE_MS = 2_000;

const [folder = ''] = process.argv.slice(2);
const programs = new Map<string, Supervised>();
let ending: Promise<Killed> | undefined;

process.umask(0o077);
process.chdir(folder);
// a full disk takes our own log, never the programs
process.stderr.on('error', () => undefined);
// the kernel gives it back when we end, however that comes: whoever does not get it is not needed
if ('heldBy' in await tryLock(lockName, `supervisor of ${folder}`)) process.exit(0);
rmSync(socketName, { force: true });
// half open, so that whoever asks may end his side
const server = createServer({ allowHalfOpen: true }, socket => {
  let text = '';
  socket.on('error', () => socket.destroy());
  socket.setEncoding('utf8').on('data', (part: string) => {
    text += part;
    if (text.endsWith('\n')) void reply(text).then(answer => socket.end(`${JSON.stringify(answer)}\n`));
  });
});
server.listen(socketName, () => {
  const socket = inodeOf(socketName);
  // When the folder is removed or replaced nobody can reach us any more: what runs here would have no owner.
  setInterval(() => {
    if (isOurs(socket)) return;
    void end(HASTE_MS).then(() => process.exit(1));
  }, WATCH_MS);
});
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  process.on(signal, () => void end().then(() => process.exit(0)));
}

async function reply(text: string): Promise<Reply> {
  try {
    return { done: await act(JSON.parse(text) as Request) };
  } catch (error) {
    return { failed: messageOf(error) };
  }
}

async function act(request: Request): Promise<unknown> {
  if (request.verb === 'status') {
    const all = [...programs].map(([name, program]) => [name, program.status()] as const);
    return { pid: process.pid, ending: ending !== undefined, programs: Object.fromEntries(all) } satisfies Status;
  }
  if (request.verb === 'end') {
    const killed = await end();
    // once the answer is on its way
    setTimeout(() => process.exit(0), 20);
    return killed;
  }
  const { name } = request;
  if (request.verb === 'start') {
    if (ending !== undefined) return false;
    const program = programs.get(name) ?? supervise(name);
    programs.set(name, program);
    await program.start(request.program);
    return true;
  }
  if (request.verb === 'stop') {
    const killed = await programs.get(name)?.stop() === true;
    return { killed: killed ? [name] : [] } satisfies Killed;
  }
  return programs.get(name)?.signal(request.signal, request.family) ?? false;
}

/** Stops all, the last started first; none of them is given longer than `mostMs`. */
function end(mostMs = Infinity): Promise<Killed> {
  ending ??= (async () => {
    const killed: string[] = [];
    for (const [name, program] of [...programs].reverse()) if (await program.stop(mostMs)) killed.push(name);
    return { killed };
  })();
  return ending;
}

type Supervised = {
  status: () => ProgramStatus;
  start: (program: Program) => Promise<void>;
  /** True when it had to be killed. */
  stop: (mostMs?: number) => Promise<boolean>;
  signal: (signal: NodeJS.Signals, family: boolean) => boolean;
};

function supervise(name: string): Supervised {
  let program: Program | undefined;
  let child: ChildProcess | undefined;
  let ended: Promise<void> = Promise.resolve();
  let next: NodeJS.Timeout | undefined;
  let stopping = false;
  /** Who was sent a signal to end by, and is started again when it has. */
  let leaving: ChildProcess | undefined;
  let pauseMs = pauses.firstMs;
  let startedAt: string | null = null;
  let restarts = 0;
  let exit: ProgramStatus['exit'] = null;

  const launch = (of: Program): void => {
    const began = performance.now();
    startedAt = new Date().toISOString();
    next = undefined;
    const log = openSync(of.log, 'a', 0o600);
    // setpriv becomes the program, after it has asked the kernel for SIGKILL should we end
    const started = spawn('setpriv', ['--pdeathsig', 'KILL', ...identity(of), '--', ...of.argv], {
      cwd: of.cwd, env: of.env, stdio: ['ignore', log, log],
    });
    closeSync(log);
    child = started;
    ended = new Promise(resolve => {
      const note = (code: number | null, signal: string | null): void => {
        child = undefined;
        exit = { pid: started.pid ?? 0, code, signal };
        if (!stopping && code !== REFUSED) again(of, performance.now() - began, signal ?? String(code));
        resolve();
      };
      started.once('error', error => {
        say(of, `${name} cannot be started: ${error.message}`);
        note(127, null);
      });
      started.once('exit', note);
    });
  };

  const again = (of: Program, livedMs: number, how: string): void => {
    if (livedMs >= pauses.soundAfterMs) pauseMs = pauses.firstMs;
    say(of, `${name} ended with ${how}, starting it again in ${pauseMs / 1000} s`);
    next = setTimeout(() => {
      restarts += 1;
      try {
        launch(of);
      } catch (error) {
        // its log cannot be opened, or no process can be made: that may pass
        again(of, 0, String(error));
      }
    }, pauseMs);
    pauseMs = Math.min(2 * pauseMs, pauses.longestMs);
  };

  const signalFamily = (signal: NodeJS.Signals): void => {
    if (child?.pid === undefined) return;
    // the first of them first: it must not bear children meanwhile, nor see them end
    for (const { pid } of familyOf(child.pid)) send(pid, signal);
  };

  return {
    status: () => ({
      state: child !== undefined ? 'running' : next !== undefined ? 'waiting' : 'stopped',
      stopping: child !== undefined && (stopping || leaving === child),
      pid: child?.pid ?? null, startedAt, restarts, exit, tag: program?.tag ?? '',
    }),
    start: async wanted => {
      // one that is just being stopped (by a halt that was interrupted) is started again after that
      if (stopping) await ended;
      if (child !== undefined) return;
      // one that was waiting for its next start is only started sooner
      restarts = next === undefined ? 0 : restarts + 1;
      clearTimeout(next);
      stopping = false;
      pauseMs = pauses.firstMs;
      program = wanted;
      rotate(wanted.log);
      launch(wanted);
    },
    stop: async (mostMs = Infinity) => {
      clearTimeout(next);
      next = undefined;
      if (child === undefined || program === undefined) return false;
      stopping = true;
      // a frozen one would not hear that it is to end
      signalFamily('SIGCONT');
      child.kill(program.signal);
      // this one's end: a start that waits for it begins another
      const gone = ended;
      const late = pause(Math.min(program.graceMs, mostMs), true, { ref: false });
      const killed = await Promise.race([gone.then(() => false), late]);
      if (killed) signalFamily('SIGKILL');
      await gone;
      return killed;
    },
    signal: (signal, family) => {
      if (child === undefined) return false;
      if (signal === 'SIGTERM' || signal === 'SIGKILL') leaving = child;
      if (family) signalFamily(signal);
      else child.kill(signal);
      return true;
    },
  };
}

function identity({ user }: Program): string[] {
  return user === undefined ? [] : [`--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups'];
}

function say({ log }: Program, line: string): void {
  try {
    appendFileSync(log, `supervise: ${line}\n`);
  } catch (error) {
    process.stderr.write(`${line}; ${log}: ${String(error)}\n`);
  }
}

function isOurs(socket: string | undefined): boolean {
  try {
    return inodeOf(folder) === inodeOf('.') && inodeOf(socketName) === socket;
  } catch (error) {
    // it cannot be looked at just now, which says nothing
    process.stderr.write(`${folder}: ${String(error)}\n`);
    return true;
  }
}

/** Undefined when there is nothing of that name. */
function inodeOf(path: string): string | undefined {
  const seen = statSync(path, { throwIfNoEntry: false });
  return seen === undefined ? undefined : `${seen.dev}:${seen.ino}`;
}
