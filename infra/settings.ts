// The documented variables, read once and strictly: every complaint at once; nothing else of the environment decides.
import { readFileSync, realpathSync, statSync, statfsSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { machineKinds, platformNames } from './platform.ts';
import type { MachineKind, PlatformName } from './platform.ts';

export type Env = Readonly<Record<string, string | undefined>>;
export type Settings = {
  /** The checkout, and its folder infra/. */
  root: string;
  infra: string;
  /** ORDERS_STATE, absolute and without links; it may not exist yet. */
  state: string;
  /** Where backups go: ORDERS_BACKUPS, else in the state folder, where `destroy` leaves them alone. */
  backups: string;
  /** The only place where SCALE is applied: every deadline goes through it. */
  scale: number;
  scaled: (ms: number) => number;
  platform: PlatformName | undefined;
  /** MACHINES: of what a swarm is made, at its first `up`. */
  machines: MachineKind | undefined;
  /** NODE: names, `all`, or undefined for what was remembered since `up`. Not yet checked against nodes.txt. */
  nodes: string[] | 'all' | undefined;
  port: number | undefined;
  dbPort: number | undefined;
  address: string | undefined;
  /** ORDERS_DISK_MB: the database gets a disk of its own, of so many MB. */
  diskMb: number | undefined;
  lines: number;
  /** A line for each setting that makes this easier than the product, with its reason if ORDERS_RELAXED has one. */
  relaxed: string[];
  /** FOLLOW=1: logs are followed as they grow. */
  follow: boolean;
  /** JSON=1: `doctor` for programs. */
  json: boolean;
  /**
   * What goes to the service as it was given (LOG_LEVEL, ORDERS_ENV as ENV, its optional settings); empty values are
   * not given.
   */
  service: Readonly<Record<string, string>>;
  /**
   * ORDERS_IMAGE ORDERS_DB_IMAGE ORDERS_BUILD_IMAGE ORDERS_RUNTIME_IMAGE ORDERS_PROJECT ORDERS_OVERRIDE PG_BIN, where
   * given.
   */
  given: Readonly<Partial<Record<GivenName, string>>>;
  /**
   * The whole environment that programs get which we start: made here, so that no stray variable decides behind our
   * back.
   */
  env: Readonly<Record<string, string>>;
};
export const givenNames = [
  'ORDERS_IMAGE', 'ORDERS_DB_IMAGE', 'ORDERS_BUILD_IMAGE', 'ORDERS_RUNTIME_IMAGE', 'ORDERS_PROJECT', 'ORDERS_OVERRIDE',
  'PG_BIN',
] as const;
export type GivenName = (typeof givenNames)[number];

/** The service's optional settings that are handed on; its own defaults hold otherwise. */
export const serviceSettings = [
  'DATABASE_WRITE_CONNECTIONS', 'DATABASE_READ_CONNECTIONS', 'DATABASE_QUEUE_SIZE', 'DATABASE_WAIT_TIMEOUT_MS',
  'DATABASE_CONNECT_TIMEOUT_MS', 'DATABASE_QUERY_TIMEOUT_MS', 'DATABASE_STATEMENT_TIMEOUT_MS',
  'DATABASE_LOCK_TIMEOUT_MS', 'READY_TIMEOUT_MS', 'READY_MAX_AGE_MS', 'SERVER_HEADERS_TIMEOUT_MS',
  'SERVER_REQUEST_TIMEOUT_MS', 'SERVER_MAX_CONNECTIONS', 'SERVER_MAX_BODY_BYTES', 'DRAIN_GRACE_MS', 'DRAIN_DEADLINE_MS',
  'WATCHDOG_MS',
] as const;

// What the programs themselves are documented to read: where Docker's engine is, which machines Vagrant makes, where
// the caller's home is.
const handedOn = new RegExp(`^(${[
  'PATH|HOME|USER|LOGNAME|SHELL|TMPDIR|SSH_AUTH_SOCK|https?_proxy|no_proxy|HTTPS?_PROXY|NO_PROXY',
  '(XDG|DOCKER|BUILDKIT|BUILDX|VAGRANT|VBOX|LIBVIRT)_[A-Z_]+',
  'ORDERS_(BOX|BOX_VERSION|BOX_URL|VM_CPUS|VM_MEMORY|EMULATE)',
].join('|')})$`);

/** A variable's text to its value, or a text that says what would have been right. */
export type Parse<T> = (text: string) => { is: T } | string;
/**
 * Reads one variable; an empty one counts as not given, and gives the fallback. What is wrong is added to the
 * complaints.
 */
export type Read = <T, F>(name: string, parse: Parse<T>, fallback: F) => T | F;

/** Reads every documented variable; an empty one counts as not given. `root` is the checkout's folder. */
export function readSettings(env: Env, root: string): { settings: Settings } | { complaints: string[] } {
  const { read, complaints } = openReader(env);
  const scale = read('SCALE', number(0.1, 100), 1);
  const state = read('ORDERS_STATE', parseFolder, undefined) ?? real(join(root, '.state'));
  const settings: Settings = {
    root,
    infra: join(root, 'infra'),
    state,
    backups: read('ORDERS_BACKUPS', parseFolder, undefined) ?? join(state, 'backups'),
    scale,
    scaled: ms => Math.round(ms * scale),
    platform: read('PLATFORM', oneOf(...platformNames), undefined),
    machines: read('MACHINES', oneOf(...machineKinds), undefined),
    nodes: read('NODE', parseNodes, undefined),
    port: read('ORDERS_PORT', whole(1, 65_535), undefined),
    dbPort: read('ORDERS_DB_PORT', whole(1, 65_535), undefined),
    address: read('ORDERS_ADDRESS', text => ({ is: text }), undefined),
    diskMb: read('ORDERS_DISK_MB', whole(128, 65_536), undefined),
    lines: read('LINES', whole(1, 1_000_000), 50),
    relaxed: tellRelaxed(env, read('ORDERS_RELAXED', parseReasons, new Map<string, Reason>())),
    follow: read('FOLLOW', oneOf('0', '1'), '0') === '1',
    json: read('JSON', oneOf('0', '1'), '0') === '1',
    service: serviceEnv(env),
    given: present(env, givenNames),
    env: { ...programEnv(env), LC_ALL: 'C.UTF-8', TZ: 'UTC' },
  };
  if (settings.port !== undefined && settings.port === settings.dbPort) {
    complaints.push(`ORDERS_PORT and ORDERS_DB_PORT must differ, both are ${settings.port}`);
  }
  return complaints.length > 0 ? { complaints } : { settings };
}

/** How variables are read, here and by programs that have some of their own. */
export function openReader(env: Env): { read: Read; complaints: string[] } {
  const complaints: string[] = [];
  const read: Read = (name, parse, fallback) => {
    const text = env[name]?.trim();
    if (!text) return fallback;
    const parsed = parse(text);
    if (typeof parsed !== 'string') return parsed.is;
    complaints.push(`${name} must be ${parsed}, not "${text}"`);
    return fallback;
  };
  return { read, complaints };
}

type Reason = { value: string; why: string };

/** A file of lines `NAME=VALUE  # reason`: who relaxes a setting says why, in one place. */
function parseReasons(text: string): { is: Map<string, Reason> } | string {
  const reasons = new Map<string, Reason>();
  try {
    for (const line of readFileSync(text, 'utf8').split('\n')) {
      if (line === '' || line.startsWith('#')) continue;
      const [, name, value = '', why = ''] = /^([A-Z][A-Z0-9_]*)=(\S+) +# (\S.*)$/.exec(line) ?? [];
      if (name === undefined) return `a file of lines NAME=VALUE  # reason, of which "${line}" is none`;
      reasons.set(name, { value, why });
    }
    return { is: reasons };
  } catch (error) {
    return `a file that can be read (${error instanceof Error ? error.message : String(error)})`;
  }
}

/** No run hides what it was given: also what the file does not know, or knows with another value. */
function tellRelaxed(env: Env, reasons: ReadonlyMap<string, Reason>): string[] {
  const isRelaxed = (name: string, value: string) => name === 'SCALE' ? Number(value) > 1
    : name === 'KILLS' ? Number(value) < 5 : name !== 'ORDERS_STAND_INS' || value === '1';
  return ['SCALE', 'KILLS', 'ORDERS_STAND_INS', ...serviceSettings].flatMap(name => {
    const value = env[name]?.trim() ?? '';
    if (value === '' || !isRelaxed(name, value)) return [];
    const reason = reasons.get(name);
    if (reason === undefined) return [`relaxed: ${name}=${value}, given for this run`];
    const than = reason.value === value ? '' : ` (${reason.value} in the file)`;
    return [`relaxed: ${name}=${value}${than}: ${reason.why}`];
  });
}

function serviceEnv(env: Env): Record<string, string> {
  const { ORDERS_ENV: name, ...others } = present(env, ['LOG_LEVEL', 'ORDERS_ENV', ...serviceSettings]);
  return { ...others, ...name === undefined ? {} : { ENV: name } };
}

function programEnv(env: Env): Record<string, string> {
  return present(env, Object.keys(env).filter(name => handedOn.test(name)));
}

function present<K extends string>(env: Env, names: readonly K[]): Partial<Record<K, string>> & Record<string, string> {
  const entries = names.flatMap(name => env[name] ? [[name, env[name]] as const] : []);
  return Object.fromEntries(entries) as Partial<Record<K, string>> & Record<string, string>;
}

/** What the kernel calls the file systems in which nobody can make a folder: /proc, /sys. */
const unwritable = [0x9fa0, 0x6265_6572];

function parseFolder(text: string): { is: string } | string {
  const path = real(text);
  const wish = 'a folder, or one that can be made';
  try {
    const there = nearest(path);
    return statSync(there).isDirectory() && !unwritable.includes(statfsSync(there).type) ? { is: path } : wish;
  } catch (error) {
    return `${wish} (${error instanceof Error ? error.message : String(error)})`;
  }
}

/** The path itself, or whatever above it is there. */
function nearest(path: string): string {
  try {
    if (statSync(path, { throwIfNoEntry: false }) !== undefined || dirname(path) === path) return path;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOTDIR') throw error;
  }
  return nearest(dirname(path));
}

/** Without links, as far as it exists. */
function real(path: string): string {
  const full = isAbsolute(path) ? path : resolve(path);
  try {
    return realpathSync(full);
  } catch {
    return full;
  }
}

export function oneOf<T extends string>(...words: T[]): Parse<T> {
  return text => {
    const is = words.find(word => word === text);
    return is === undefined ? words.join(' or ') : { is };
  };
}

function number(least: number, most: number): Parse<number> {
  return text => {
    const is = Number(text);
    return /^[0-9]+(\.[0-9]+)?$/.test(text) && is >= least && is <= most ? { is } : `a number from ${least} to ${most}`;
  };
}

export function whole(least: number, most: number): Parse<number> {
  return text => {
    const is = Number(text);
    return /^[0-9]+$/.test(text) && is >= least && is <= most ? { is } : `a whole number from ${least} to ${most}`;
  };
}

function parseNodes(text: string): { is: string[] | 'all' } | string {
  if (text === 'all') return { is: 'all' };
  const names = [...new Set(text.split(/\s+/))];
  return names.every(name => /^[a-z][a-z0-9-]*$/.test(name)) ? { is: names } : 'node names separated by spaces, or all';
}
