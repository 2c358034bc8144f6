// The environment, read strictly: one pure function from an env object to a configuration or to all complaints at once.
import { isIP } from 'node:net';

type Env = Record<string, string | undefined>;
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type Config = ReturnType<typeof readAll>;
/** null unless the path names a readable, regular file of at most 4096 bytes. */
export type ReadFile = (path: string) => string | null;

const name = /^[A-Za-z_][A-Za-z0-9_-]{0,62}$/;
const label = /^[a-z][a-z0-9-]{0,62}$/;
// With underscores, as services of Compose may have them, and with the dot that ends a full name in DNS.
const host = /^(?=.{1,253}$)\w(?:[\w-]*\w)?(?:\.\w(?:[\w-]*\w)?)*\.?$/;
const moment = /^(unknown|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z)$/;
const oneLine = /^[^\x00-\x1f\x7f]{1,1024}$/;
const prefixes = /^(DATABASE|READY|SERVER|DRAIN|LOG|SERVICE|WATCHDOG)_/;
const insteadOf: Record<string, string> = {
  DATABASE_URL: 'DATABASE_HOST, DATABASE_PORT, DATABASE_NAME, DATABASE_USER and DATABASE_PASSWORD',
  DATABASE_POOL_SIZE: 'DATABASE_WRITE_CONNECTIONS and DATABASE_READ_CONNECTIONS',
};
// Kubernetes tells every container of every service: beside one called `server` there is SERVER_PORT=tcp://10.0.0.1:80.
const serviceLink = /^(tcp|udp|sctp):\/\//;
const linkComplaint = 'holds what Kubernetes sets for a service called "database": '
  + 'say enableServiceLinks: false in the pod, or give that service another name';

/** readFile is handed in, so that this depends on nothing else. Complaints never hold the value of a secret. */
export function parseConfig(env: Env, readFile: ReadFile): { config: Config } | { complaints: string[] } {
  const reader = new Reader(env, readFile);
  const config = readAll(reader);
  reader.complainOfStrangers();
  crossCheck(reader);
  return reader.complaints.length > 0 ? { complaints: reader.complaints } : { config };
}

function readAll(from: Reader) {
  return {
    service: {
      name: from.match('SERVICE_NAME', label, 'lower case letters, digits and dashes', 'orders'),
      env: from.match('ENV', label, 'lower case letters, digits and dashes', 'development'),
      logLevel: from.oneOf<LogLevel>('LOG_LEVEL', ['debug', 'info', 'warn', 'error'], 'info'),
      gitSha: from.match('GIT_SHA', /^[\w.-]{1,64}$/, 'at most 64 letters, digits, dots and dashes', 'unknown'),
      buildTime: from.match('BUILD_TIME', moment, 'a UTC time such as 2026-01-31T12:00:00Z', 'unknown'),
    },
    server: {
      port: from.whole('PORT', 1, 65_535),
      host: from.check('HOST', text => isIP(text) > 0, 'an IP address to listen on, such as 0.0.0.0'),
      headersTimeoutMs: from.whole('SERVER_HEADERS_TIMEOUT_MS', 100, 60_000, 5000),
      requestTimeoutMs: from.whole('SERVER_REQUEST_TIMEOUT_MS', 100, 60_000, 10_000),
      maxConnections: from.whole('SERVER_MAX_CONNECTIONS', 1, 100_000, 5000),
      maxBodyBytes: from.whole('SERVER_MAX_BODY_BYTES', 64, 1_048_576, 16_384),
    },
    database: {
      host: from.check('DATABASE_HOST', text => isIP(text) > 0 || host.test(text), 'a host name or an IP address'),
      port: from.whole('DATABASE_PORT', 1, 65_535),
      database: from.match('DATABASE_NAME', name, 'a plain database name'),
      user: from.match('DATABASE_USER', name, 'a plain role name'),
      password: from.secret('DATABASE_PASSWORD'),
      writeConnections: from.whole('DATABASE_WRITE_CONNECTIONS', 1, 16, 2),
      readConnections: from.whole('DATABASE_READ_CONNECTIONS', 1, 16, 1),
      queueSize: from.whole('DATABASE_QUEUE_SIZE', 0, 100_000, 4096),
      waitTimeoutMs: from.whole('DATABASE_WAIT_TIMEOUT_MS', 1, 60_000, 1000),
      connectTimeoutMs: from.whole('DATABASE_CONNECT_TIMEOUT_MS', 1, 60_000, 1000),
      queryTimeoutMs: from.whole('DATABASE_QUERY_TIMEOUT_MS', 1, 60_000, 2500),
      statementTimeoutMs: from.whole('DATABASE_STATEMENT_TIMEOUT_MS', 1, 60_000, 1200),
      lockTimeoutMs: from.whole('DATABASE_LOCK_TIMEOUT_MS', 1, 60_000, 1000),
    },
    ready: {
      timeoutMs: from.whole('READY_TIMEOUT_MS', 10, 900, 800),
      maxAgeMs: from.whole('READY_MAX_AGE_MS', 0, 10_000, 250),
    },
    // Far above any stall of a loop that lives; a debugger that stops it wants the most.
    watchdogMs: from.whole('WATCHDOG_MS', 1000, 600_000, 10_000),
    drain: {
      graceMs: from.whole('DRAIN_GRACE_MS', 0, 60_000, 2000),
      deadlineMs: from.whole('DRAIN_DEADLINE_MS', 100, 120_000, 8000),
    },
  };
}

function crossCheck(reader: Reader): void {
  reader.below('SERVER_REQUEST_TIMEOUT_MS', 'SERVER_HEADERS_TIMEOUT_MS');
  // A living server answers before its connection is given up, also when that had to be opened first.
  reader.below('DATABASE_QUERY_TIMEOUT_MS', 'DATABASE_CONNECT_TIMEOUT_MS', 'DATABASE_STATEMENT_TIMEOUT_MS');
  reader.below('DATABASE_STATEMENT_TIMEOUT_MS', 'DATABASE_LOCK_TIMEOUT_MS');
  reader.below('DRAIN_DEADLINE_MS', 'DRAIN_GRACE_MS');
}

class Reader {
  readonly complaints: string[] = [];
  readonly #env: Env;
  readonly #readFile: ReadFile;
  readonly #known = new Set<string>();
  readonly #refused = new Set<string>();
  readonly #numbers = new Map<string, number>();

  constructor(env: Env, readFile: ReadFile) {
    this.#env = env;
    this.#readFile = readFile;
  }

  check(variable: string, good: (text: string) => boolean, wish: string, fallback?: string): string {
    this.#known.add(variable);
    const text = this.#env[variable];
    if (text === undefined && fallback !== undefined) return fallback;
    if (text === undefined) return this.#complain(variable, 'is required');
    if (variable === 'DATABASE_PORT' && serviceLink.test(text)) return this.#complain(variable, linkComplaint);
    if (good(text)) return text;
    return this.#complain(variable, `must be ${wish}, ${text === '' ? 'but is empty' : `not ${quote(text)}`}`);
  }

  match(variable: string, pattern: RegExp, wish: string, fallback?: string): string {
    return this.check(variable, text => pattern.test(text), wish, fallback);
  }

  oneOf<T extends string>(variable: string, values: T[], fallback: T): T {
    const isOne = new RegExp(`^(${values.join('|')})$`);
    const text = this.match(variable, isOne, `one of ${values.join(', ')}`, fallback);
    return values.find(value => value === text) ?? fallback;
  }

  whole(variable: string, least: number, most: number, fallback?: number): number {
    const fits = (text: string): boolean =>
      /^(0|[1-9]\d{0,8})$/.test(text) && Number(text) >= least && Number(text) <= most;
    const value = Number(this.check(variable, fits, `a whole number from ${least} to ${most}`, fallback?.toString()));
    this.#numbers.set(variable, value);
    return value;
  }

  secret(variable: string): string {
    const file = `${variable}_FILE`;
    this.#known.add(variable).add(file);
    const [plain, path] = [this.#env[variable], this.#env[file]];
    if ((plain === undefined) === (path === undefined)) {
      return this.#complain(variable, `or ${file} is required, exactly one of them`);
    }
    const text = path === undefined ? plain : this.#readFile(path)?.replace(/\r?\n$/, '');
    const source = path === undefined ? variable : file;
    if (text === undefined) {
      const shown = path?.startsWith('/') ? quote(path) : '(not shown)';
      return this.#complain(source, `must name a readable, regular file of at most 4096 bytes, not ${shown}`);
    }
    if (text.startsWith('\ufeff')) return this.#complain(source, 'must not begin with a byte order mark (BOM)');
    return oneLine.test(text) ? text : this.#complain(source, 'must hold one line of 1 to 1024 characters');
  }

  /** The sum of parts must stay below the limit. Nothing is said where one of them was refused already. */
  below(limit: string, ...parts: string[]): void {
    const valueOf = (variable: string): number => this.#numbers.get(variable) ?? 0;
    const fits = parts.reduce((sum, part) => sum + valueOf(part), 0) < valueOf(limit);
    if (fits || [limit, ...parts].some(variable => this.#refused.has(variable))) return;
    const told = parts.map(part => `${part} (${valueOf(part)})`).join(' + ');
    this.#complain(told, `must be below ${limit} (${valueOf(limit)})`);
  }

  /** Variables of others may begin like ours, so only what resembles one of ours is called misspelt. */
  complainOfStrangers(): void {
    for (const [variable, value = ''] of Object.entries(this.#env).sort()) {
      if (!prefixes.test(variable) || this.#known.has(variable) || serviceLink.test(value)) continue;
      const meant = insteadOf[variable] ?? [...this.#known].find(ours => resembles(variable, ours));
      if (meant !== undefined) this.#complain(variable, `is not a variable of this service, is ${meant} meant?`);
    }
    const loose = /insecure-http-parser/.test(this.#env['NODE_OPTIONS'] ?? '');
    if (loose) this.#complain('NODE_OPTIONS', 'must not switch on the insecure HTTP parser');
  }

  #complain(variable: string, complaint: string): string {
    this.#refused.add(variable);
    this.complaints.push(`config: ${variable} ${complaint}`);
    return '';
  }
}

// A connection URL put where a host belongs has a password in it, and a long text is more likely a secret than a slip.
function quote(text: string): string {
  return /@|:\/\//.test(text) || text.length > 40 ? '(not shown)' : JSON.stringify(text);
}

// One of ours with a piece left out, with a prefix too many, or at most two letters away.
function resembles(given: string, ours: string): boolean {
  let same = 0;
  while (same < given.length && given[same] === ours[same]) same += 1;
  const isPiece = given.length < ours.length && ours.endsWith(given.slice(same));
  return isPiece || given.replace(prefixes, '') === ours || isNear(given, ours, 2);
}

function isNear(a: string, b: string, letters: number): boolean {
  if (a === b || letters < 0) return letters >= 0;
  const [restA, restB, left] = [a.slice(1), b.slice(1), a[0] === b[0] ? letters : letters - 1];
  return isNear(restA, restB, left) || (left < letters && (isNear(restA, b, left) || isNear(a, restB, left)));
}
