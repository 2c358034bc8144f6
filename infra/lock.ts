// Locks that the kernel releases: flock(2) on a file, gone with the last process that holds the file open.
import { spawn } from 'node:child_process';
import {
  closeSync, constants, existsSync, fsyncSync, ftruncateSync, mkdirSync, openSync, readFileSync, statSync, writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

/** Who has a lock: a pid, and what it is doing. */
export type Holder = { pid: number; name: string };
export type Wait = { deadlineMs: number; onWait: (holder: Holder) => void };
/** `fd` may be handed to programs that are started, which then hold the lock as well. */
export type Lock = { fd: number; release: () => void };

/** Between taking a lock and writing the name there is the end of a helper process, long on a busy machine. */
const NAME_MS = 2_000;
const NAMELESS: Holder = { pid: 0, name: 'another command' };

/**
 * Takes the lock of a file, or tells who has it. Throws when the file cannot be written, with the reason in one line.
 */
export async function tryLock(file: string, name: string): Promise<Lock | { heldBy: Holder }> {
  const fd = openFile(file);
  const end = performance.now() + NAME_MS;
  // somebody who only looks (holderOf) has it for a moment
  for (let tries = 1; !await flock(fd, 'exclusive'); tries += 1) {
    const heldBy = readHolder(file);
    if (tries > 2 && (heldBy !== undefined || performance.now() > end)) {
      closeSync(fd);
      return { heldBy: heldBy ?? NAMELESS };
    }
    await pause(15);
  }
  note(fd, JSON.stringify({ pid: process.pid, name } satisfies Holder));
  return {
    fd,
    release: () => {
      note(fd, '');
      closeSync(fd);
    },
  };
}

/** Takes the lock, waiting for up to `deadlineMs`; `onWait` hears once for whom. Throws when it is not had in time. */
export async function takeLock(file: string, name: string, wait: Wait): Promise<Lock> {
  const end = performance.now() + wait.deadlineMs;
  for (let told = false; ; told = true) {
    const lock = await tryLock(file, name);
    if (!('heldBy' in lock)) return lock;
    if (!told) wait.onWait(lock.heldBy);
    if (performance.now() > end) {
      const { name: other, pid } = lock.heldBy;
      const seconds = Math.round(wait.deadlineMs / 1000);
      throw new Error(`${other} (pid ${pid}) has been at work for ${seconds} s; end it first`);
    }
    await pause(100);
  }
}

/** Who holds the lock of a file now; nobody when it is free or was never taken. */
export async function holderOf(file: string): Promise<Holder | undefined> {
  let fd: number;
  try {
    fd = openSync(file, constants.O_RDONLY);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const end = performance.now() + NAME_MS;
    // shared and given back at once: a lock that can be shared is held by nobody
    while (!await flock(fd, 'shared')) {
      const holder = readHolder(file);
      if (holder !== undefined) return holder;
      if (performance.now() > end) return NAMELESS;
      await pause(15);
    }
    return undefined;
  } finally {
    closeSync(fd);
  }
}

/** Root may write anywhere, and what it writes would keep the folder's own user from it ever after: refused by name. */
export function refuseForeign(folder: string): void {
  const seen = statSync(folder, { throwIfNoEntry: false });
  if (seen === undefined || process.getuid === undefined || process.getuid() === seen.uid) return;
  throw new Error(`${folder} belongs to another user (${seen.uid}), who started what is there; run this as that user`);
}

function openFile(file: string): number {
  try {
    makeFolder(dirname(file));
    return openSync(file, constants.O_RDWR | constants.O_CREAT, 0o600);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const advice = 'was the system started by another user? Run this as that user';
    throw new Error(`${file} cannot be written (${code}); ${advice}`);
  }
}

/** With those above it. Not Node's own way: where no folder can be made, as in /proc, it tries for ever. */
function makeFolder(path: string): void {
  if (existsSync(path)) return;
  makeFolder(dirname(path));
  try {
    mkdirSync(path);
  } catch (error) {
    // another one of us was quicker
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/**
 * Node has no flock of its own. The lock belongs to the open file, which the helper shares with us, so it stays when
 * the helper ends. Not awaited in place: who takes turns may be looking at something else meanwhile, every 100 ms.
 */
async function flock(fd: number, mode: 'exclusive' | 'shared'): Promise<boolean> {
  const code = await exitCode('flock', [`--${mode}`, '--nonblock', '3'], fd);
  if (code !== undefined) return code === 0;
  const how = mode === 'shared' ? 'LOCK_SH' : 'LOCK_EX';
  const perl = `use Fcntl ":flock"; open(F, "<&=3") && flock(F, ${how} | LOCK_NB) or exit 1`;
  const other = await exitCode('perl', ['-e', perl], fd);
  if (other === undefined) throw new Error('locks need flock (util-linux) or perl, and neither is here');
  return other === 0;
}

/** Undefined when there is no such program. */
function exitCode(program: string, args: string[], fd: number): Promise<number | null | undefined> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'ignore', fd] });
    child.on('error', (error: NodeJS.ErrnoException) => error.code === 'ENOENT' ? resolve(undefined) : reject(error));
    child.on('exit', resolve);
  });
}

function note(fd: number, text: string): void {
  try {
    ftruncateSync(fd);
    writeSync(fd, text, 0);
    fsyncSync(fd);
  } catch (error) {
    // the name is for people: a full disk must keep nobody from halt, recover and destroy
    const { code = '' } = error as NodeJS.ErrnoException;
    if (!['ENOSPC', 'EDQUOT', 'EINVAL', 'EIO'].includes(code)) throw error;
  }
}

/** Undefined while it has no name yet, or for good where the name could not be written. */
function readHolder(file: string): Holder | undefined {
  try {
    const { pid, name } = JSON.parse(readFileSync(file, 'utf8')) as Partial<Holder>;
    return { pid: Number(pid), name: String(name) };
  } catch {
    return undefined;
  }
}
