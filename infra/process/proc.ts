// What the kernel says about processes and who listens: /proc, parsed strictly. No `ps`, no `ss`, no pid file.
import { readFileSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { endianness } from 'node:os';
import { basename } from 'node:path';

export type Process = { pid: number; parent: number; state: string };
/** A listening socket of TCP: its address as people write it, and the kernel's number for it. */
export type Listener = { host: string; port: number; inode: string };

/** One line of /proc/PID/stat. The name, in brackets, may hold anything, brackets too. */
export function parseStat(text: string): Process {
  const [, pid = '', state = '', parent = ''] = /^(\d+) \([^]*\) ([A-Za-z]) (\d+) /.exec(text) ?? [];
  if (pid === '') throw new Error(`/proc/PID/stat cannot be read: "${text.slice(0, 120)}"`);
  return { pid: Number(pid), state, parent: Number(parent) };
}

/** The listening sockets in the text of /proc/net/tcp or tcp6. */
export function parseListeners(text: string): Listener[] {
  const [, ...lines] = text.trimEnd().split('\n');
  return lines.flatMap(line => {
    // number, own address, the other's, state, queues, timer, retransmissions, user, timeout, inode
    const [, own = '', , state = '', , , , , , inode = ''] = line.trim().split(/\s+/);
    const [, address = '', port = ''] = /^([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4})$/.exec(own) ?? [];
    if (address === '' || !/^\d+$/.test(inode)) throw new Error(`/proc/net/tcp cannot be read: "${line}"`);
    return state === '0A' ? [{ host: readAddress(address), port: Number.parseInt(port, 16), inode }] : [];
  });
}

/** Undefined when there is no such process (any more). */
export function readProcess(pid: number): Process | undefined {
  const text = present(() => readFileSync(`/proc/${pid}/stat`, 'utf8'));
  return text === undefined ? undefined : parseStat(text);
}

/** Every process that still runs: one that has ended and waits to be collected (a zombie) does not. */
export function everyProcess(): Process[] {
  const pids = readdirSync('/proc').filter(name => /^\d+$/.test(name));
  return pids.flatMap(pid => readProcess(Number(pid)) ?? []).filter(({ state }) => !/[ZX]/.test(state));
}

/** Whether it runs; a zombie does not. */
export function runs(pid: number): boolean {
  const seen = readProcess(pid);
  return seen !== undefined && !/[ZX]/.test(seen.state);
}

/** A process and all that descend from it, parents first. */
export function familyOf(pid: number): Process[] {
  const all = everyProcess();
  const family = all.filter(one => one.pid === pid);
  // an array grows while it is walked: children of children are found too
  for (const parent of family) family.push(...all.filter(one => one.parent === parent.pid));
  return family;
}

/** The processes that run a program of this name in this very folder, by its inode: not in a copy or a successor. */
export function processesIn(folder: string, program: string): Process[] {
  const wanted = look(folder);
  if (wanted === undefined) return [];
  return everyProcess().filter(({ pid }) => {
    const exe = present(() => readlinkSync(`/proc/${pid}/exe`));
    if (exe === undefined || basename(exe.replace(/ \(deleted\)$/, '')) !== program) return false;
    // a disk that has lost its power tells no inode: then the name has to do
    if (wanted === 'dead') return present(() => readlinkSync(`/proc/${pid}/cwd`)) === folder;
    const there = look(`/proc/${pid}/cwd`);
    return typeof there === 'object' && there.ino === wanted.ino && there.dev === wanted.dev;
  });
}

function look(folder: string): Stats | 'dead' | undefined {
  try {
    return present(() => statSync(folder));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EIO') return 'dead';
    throw error;
  }
}

/** Sends a signal; one that has ended meanwhile needs none. */
export function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** How it was started. */
export function readArguments(pid: number): string[] {
  return (present(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8')) ?? '').split('\0');
}

/** Where a process listens, as `host:port`. */
export function listeningOf(pid: number): string[] {
  const own = new Set(socketsOf(pid));
  return listeners(String(pid)).filter(({ inode }) => own.has(inode)).map(({ host, port }) => `${host}:${port}`);
}

/** Who listens on an address, or on all; undefined when nobody does, or somebody whose sockets we may not see. */
export function listenerOn(host: string, port: number): { pid: number; name: string } | undefined {
  const holder = holderOf(host, port);
  return holder?.pid === undefined ? undefined : holder;
}

/** The same, but that somebody who cannot be seen is somebody. */
export function holderOf(host: string, port: number): { pid: number; name: string } | { pid: undefined } | undefined {
  const taken = listeners('self').filter(one => one.port === port && [host, '0.0.0.0', '[::]'].includes(one.host));
  const inodes = new Set(taken.map(({ inode }) => inode));
  if (inodes.size === 0) return undefined;
  const owner = everyProcess().find(({ pid }) => socketsOf(pid).some(inode => inodes.has(inode)));
  const name = owner && present(() => readFileSync(`/proc/${owner.pid}/comm`, 'utf8').trim());
  return owner === undefined || name === undefined ? { pid: undefined } : { pid: owner.pid, name };
}

/** Undefined when it has ended, or is not ours to see. */
export function workingFolderOf(pid: number | undefined): string | undefined {
  return pid === undefined ? undefined : present(() => readlinkSync(`/proc/${pid}/cwd`));
}

function listeners(pid: string): Listener[] {
  return ['tcp', 'tcp6'].flatMap(table => {
    const text = present(() => readFileSync(`/proc/${pid}/net/${table}`, 'utf8'));
    return text === undefined ? [] : parseListeners(text);
  });
}

function socketsOf(pid: number): string[] {
  const fds = present(() => readdirSync(`/proc/${pid}/fd`)) ?? [];
  return fds.flatMap(fd => {
    const link = present(() => readlinkSync(`/proc/${pid}/fd/${fd}`));
    return link === undefined ? [] : /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? [];
  });
}

/** The kernel writes each 32-bit word of an address in its own byte order. */
function readAddress(hex: string): string {
  const words = hex.match(/.{8}/g) ?? [];
  const bytes = words.flatMap(word => {
    const four = Buffer.from(word, 'hex');
    return [...endianness() === 'LE' ? four.reverse() : four];
  });
  if (bytes.length === 4) return bytes.join('.');
  const groups = Buffer.from(bytes).toString('hex').match(/.{4}/g) ?? [];
  return new URL(`http://[${groups.join(':')}]`).hostname;
}

/** Processes end while they are looked at, and those of other users show less: that is no failure. */
function present<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM', 'ENOTDIR'].includes(code)) return undefined;
    throw error;
  }
}
