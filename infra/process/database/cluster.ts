// One PostgreSQL cluster in a folder of its own, for the process platform and for tests.
import { existsSync, mkdirSync, rmSync, rmdirSync, statSync, statfsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { superuser, writable } from '../../database/faults.ts';
import { durabilityInSql, parseDurability } from '../../durability.ts';
import type { Host } from '../../host.ts';
import { openLoopDisk, otherSize, withoutDisk } from '../../loop-disk.ts';
import type { LoopDisk } from '../../loop-disk.ts';
import type { Durability, InDatabase } from '../../platform.ts';
import { lastLines } from '../log.ts';
import { processesIn, readProcess, runs, send } from '../proc.ts';
import { until } from '../until.ts';
import { makeData, makePassword, makeSocketFolder, readSettings, writeSettings } from './data.ts';
import type { Must } from './data.ts';
import { as, chooseHome, diskFile, diskOf, findOwner, homeOf, textOf } from './owner.ts';
import type { Owner } from './owner.ts';
import { findPrograms } from './programs.ts';
import type { Postgres } from './programs.ts';

export type ClusterOptions = {
  /** The folder of the cluster, absolute and without links; it need not exist yet. */
  folder: string;
  local: Host;
  /** The folder of PostgreSQL's programs, when it is not to be looked for. */
  pgBin: string | undefined;
  scaled: (ms: number) => number;
  say: (line: string) => void;
};
/** A command, the folder it runs in, and what it needs in its environment. */
export type Command = { argv: string[]; cwd: string; env: Record<string, string> };
/** The server, and whom root hands it to. */
export type Server = { argv: string[]; cwd: string; user?: { uid: number; gid: number } };
export type Cluster = {
  /** Makes it, or gives an existing one another port. */
  init: (port: number, address: string) => Promise<void>;
  /** The disk of its own, if it has one. */
  readonly disk: LoopDisk;
  /** Mounts its disk, if it has one; a new cluster gets one when its size is given. Throws when it is another's. */
  mount: (mb?: number) => Promise<void>;
  /** The password of the role orders. */
  readonly passwordFile: string;
  exists: () => boolean;
  /** The server, to be run in the foreground; SIGINT is a fast shutdown. */
  server: () => Promise<Server>;
  /** Whether the server with this pid accepts sessions, by what it says itself. */
  accepts: (pid: number) => boolean;
  /** psql as the superuser. */
  psql: (...args: string[]) => Promise<Command>;
  /** Runs SQL as the superuser, who writes even where the default is to read only; throws with what psql said. */
  sql: (text: string) => Promise<string>;
  /** Runs a shell script that finds PostgreSQL's programs, which log in as the superuser. */
  beside: InDatabase;
  /** Begins a session of the superuser in the background; it ends with the server at the latest. */
  hold: (text: string) => Promise<void>;
  /** What it says of itself; null when it does not answer. */
  durability: () => Promise<Durability | null>;
  /** Whether the role's password is the one in the file, by logging in. Throws when that cannot be found out. */
  takesPassword: () => Promise<boolean>;
  /** Every process of a server in this very folder, the postmaster first. */
  processes: () => number[];
  signal: (signal: NodeJS.Signals) => void;
  /** Returns when these have ended; throws when they do not. */
  untilEnded: (pids: number[]) => Promise<void>;
  /** Stops a server that runs, however it was started, and kills it when that takes too long. */
  stop: (signal?: NodeJS.Signals) => Promise<void>;
  /** Removes what a server that is gone has left, so that a stranger with its pid keeps nobody from starting. */
  clear: () => Promise<void>;
  /** Why it did not start: the last words of a log, and whether the disk is full. */
  reason: (log: string, from: number) => string;
  /** Stops it and removes all of it. */
  remove: () => Promise<void>;
};

const FAST_STOP_MS = 60_000;
const END_MS = 20_000;
const PSQL_MS = 30_000;
/** A frozen server accepts a connection and says nothing. */
const patience = { PGCONNECT_TIMEOUT: '5' };
const LEAST_BYTES = 16 * 1024 * 1024;

/** Looks at nothing yet. */
export function openCluster(options: ClusterOptions): Cluster {
  const { folder, local, scaled, say } = options;
  const passwordFile = join(folder, 'password');
  const home = (): string => homeOf(folder);
  const data = (): string => join(home(), 'data');
  const disk = openLoopDisk({ host: local, scaled, file: join(folder, diskFile), at: () => diskOf(folder) });
  let found: Promise<Postgres> | undefined;
  let owned: Promise<Owner> | undefined;
  const programs = (): Promise<Postgres> => found ??= findPrograms({ ...options, data: data() });
  const owner = (): Promise<Owner> => owned ??= findOwner(local);

  const must: Must = async (argv, more) => {
    const done = await local.run([...as(await owner()), ...argv], { cwd: '/', deadlineMs: scaled(PSQL_MS), ...more });
    if (done.code === 0) return done;
    const why = telling(`${done.stdout}\n${done.stderr}`.split('\n')) || `it ended with ${done.code}`;
    throw new Error(`${argv[0]} failed: ${why}${fullDisk(home())}`);
  };

  const mount = async (mb?: number): Promise<void> => {
    const is = await disk.size();
    const at = diskOf(folder);
    if (is === null && existsSync(at)) {
      throw new Error(`${join(folder, diskFile)} is missing, and the orders with it: put it back, `
        + 'or make destroy to begin without');
    }
    const other = join(dirname(at), 'data');
    if (is !== null && existsSync(other)) {
      throw new Error(`${other}: data lies beside the disk of the database as well: move one of them away`);
    }
    if (is === null && mb === undefined) return;
    if (is !== null && mb !== undefined && is !== mb) throw new Error(otherSize(is, mb));
    if (is === null && existsSync(data())) throw new Error(withoutDisk);
    const { uid, gid } = await owner();
    if (is === null && mb !== undefined) {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      await chooseHome(folder, await owner(), options);
      await disk.make(mb, { uid, gid });
    }
    if (await disk.isOn()) return;
    // what still runs there has lost its files
    const all = processes();
    signal('SIGKILL');
    await untilEnded(all);
    mkdirSync(diskOf(folder), { recursive: true, mode: 0o700 });
    await disk.mount();
  };

  const init = async (port: number, address: string): Promise<void> => {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    await chooseHome(folder, await owner(), options);
    const use = await programs();
    if (!existsSync(data())) await makeData(home(), passwordFile, use, must);
    if (textOf(passwordFile) === '') makePassword(passwordFile);
    const written = writeSettings(home(), await owner(), { port, address });
    // else a power cut of the next seconds would leave a server without its settings
    await must(['sync', ...written, data(), home()]);
  };

  const psql: Cluster['psql'] = async (...args) => {
    const { psql: program } = await programs();
    // the folder of the socket by its shortest name: its path may be longer than that of a socket may be
    const login = ['-h', '/proc/self/cwd', '-p', String(readSettings(data()).port), '-U', 'postgres', '-d', 'orders'];
    return {
      argv: [...as(await owner()), program, '-X', '-q', '-v', 'ON_ERROR_STOP=1', ...login, ...args],
      cwd: join(home(), 'run'),
      env: patience,
    };
  };
  const sql = async (text: string): Promise<string> => {
    const { argv, ...where } = await psql('-At');
    const done = await local.run(argv, { ...where, input: writable + text, deadlineMs: scaled(PSQL_MS) });
    if (done.code !== 0) throw new Error(`the database refuses: ${done.stderr.trim()}`);
    return done.stdout;
  };
  const beside: InDatabase = async (script, options) => {
    const bin = dirname((await programs()).psql);
    const login = { PGHOST: '/proc/self/cwd', PGPORT: String(readSettings(data()).port), ...superuser };
    const env = { ...login, PATH: `${bin}:/usr/local/bin:/usr/bin:/bin` };
    return local.run([...as(await owner()), 'sh', '-c', script], { cwd: join(home(), 'run'), ...options, env });
  };
  const hold = async (text: string): Promise<void> => {
    const { argv, ...where } = await psql('-c', text);
    // without the third file, or the turn of this verb would last as long as the session
    await local.run(['sh', '-c', '"$@" </dev/null >/dev/null 2>&1 3>&- &', 'sh', ...argv], where);
  };
  const durability = async (): Promise<Durability | null> => {
    const { argv, ...where } = await psql('-At', '-c', `select ${durabilityInSql}`);
    const done = await local.run(argv, { ...where, deadlineMs: scaled(PSQL_MS) });
    return done.code === 0 ? parseDurability(JSON.parse(done.stdout)) : null;
  };
  const takesPassword = async (): Promise<boolean> => {
    const { psql: program } = await programs();
    const { port, address } = readSettings(data());
    const login = ['-w', '-h', address, '-p', String(port), '-U', 'orders', '-d', 'orders'];
    const env = { ...patience, PGPASSWORD: textOf(passwordFile) };
    const argv = [program, '-X', '-At', ...login, '-c', 'select 1'];
    const done = await local.run(argv, { cwd: '/', env, deadlineMs: scaled(PSQL_MS) });
    if (done.code === 0) return true;
    if (done.stderr.includes('password authentication failed')) return false;
    throw new Error(`whether the password is right cannot be found out: ${done.stderr.trim()}`);
  };

  const processes = (): number[] => {
    const all = processesIn(data(), 'postgres').map(({ pid }) => pid);
    const isChild = (pid: number): boolean => all.includes(readProcess(pid)?.parent ?? 0);
    return [...all.filter(pid => !isChild(pid)), ...all.filter(isChild)];
  };
  const signal = (name: NodeJS.Signals): void => {
    for (const pid of processes()) send(pid, name);
  };
  const untilEnded = async (pids: number[]): Promise<void> => {
    const left = (): number[] => processes().filter(pid => pids.includes(pid));
    if (await until(() => left().length === 0 || undefined, scaled(END_MS)) === undefined) {
      throw new Error(`server processes do not end: ${left().join(', ')}`);
    }
  };
  const stop = async (how: NodeJS.Signals = 'SIGINT'): Promise<void> => {
    const [postmaster] = processes();
    // a disk that has lost its power does not tell who was there
    if (postmaster === undefined && await disk.size() !== null && !await disk.isOn()) return;
    if (postmaster === undefined) return refuseForeign(data());
    // a frozen one would not hear that it is to end
    signal('SIGCONT');
    send(postmaster, how);
    const gone = () => processes().length === 0 || undefined;
    const end = await until(() => gone() ?? (runs(postmaster) ? undefined : false), scaled(FAST_STOP_MS));
    if (end === undefined) say(`the server (pid ${postmaster}) had not ended after ${FAST_STOP_MS / 1000} s: killed`);
    // what a killed postmaster has left behind ends by itself, unless it cannot
    if (end === true || (end === false && await until(gone, 1_000) === true)) return;
    const all = processes();
    signal('SIGKILL');
    await untilEnded(all);
  };
  const clear = async (): Promise<void> => {
    await stop();
    rmSync(join(data(), 'postmaster.pid'), { force: true });
    makeSocketFolder(home(), await owner());
  };
  const remove = async (): Promise<void> => {
    await stop('SIGQUIT');
    await disk.remove();
    const place = home();
    const inHome = ['data', 'data.new', 'run', 'owner'].map(name => join(place, name));
    const here = ['password', 'log', 'home'].map(name => join(folder, name));
    for (const path of [...inHome, ...here]) rmSync(path, { recursive: true, force: true });
    for (const path of [place, folder]) removeIfEmpty(path);
  };

  return {
    disk, mount, passwordFile, init, psql, sql, beside, hold, durability, takesPassword, processes, signal, untilEnded,
    stop, clear, remove,
    exists: () => existsSync(data()),
    server: async () => {
      const { uid, gid, root } = await owner();
      const argv = [(await programs()).postgres, '-D', data()];
      return { argv, cwd: data(), ...root ? { user: { uid, gid } } : {} };
    },
    accepts: pid => {
      const said = pidFile(data());
      return said?.pid === pid && /^(ready|standby)\b/.test(said.status);
    },
    reason: (log, from) => `${telling(lastLines(log, 200, from))}${fullDisk(home())}`,
  };
}

/** What a server says of itself in its first and eighth line; after a crash of the host a stranger may have its pid. */
function pidFile(data: string): { pid: number; status: string } | undefined {
  const [pid = '', , , , , , , status = ''] = textOf(join(data, 'postmaster.pid')).split('\n');
  return /^\d+$/.test(pid) ? { pid: Number(pid), status } : undefined;
}

/** The folder of another user's process is not shown to us; its pid file names it, and its name has to do. */
function refuseForeign(data: string): void {
  const pid = pidFile(data)?.pid;
  const user = pid === undefined ? undefined : statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid;
  if (user === undefined || user === process.getuid?.() || process.getuid?.() === 0) return;
  if (textOf(`/proc/${pid}/comm`) !== 'postgres') return;
  throw new Error(`${data} is in use by a server of another user (pid ${pid}, user ${user}): end that first`);
}

/** The lines that say why PostgreSQL gave up, or else its last. */
function telling(lines: string[]): string {
  const fatal = lines.filter(line => /\b(FATAL|PANIC):|: error: /.test(line));
  return (fatal.length > 0 ? fatal : lines).slice(-3).join('\n').trim();
}

function fullDisk(path: string): string {
  const { bavail, bsize } = statfsSync(path);
  const left = bavail * bsize;
  return left >= LEAST_BYTES ? '' : `\nthe disk of ${path} is full: ${Math.floor(left / 1024)} KiB are left`;
}

/** A folder that somebody has put something into, or where a file system is mounted, stays. */
export function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch (error) {
    if (!['ENOENT', 'ENOTEMPTY', 'EEXIST', 'EBUSY'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}
