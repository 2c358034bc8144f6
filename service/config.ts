// The environment, read strictly: one pure function from an env object to a configuration, or to every complaint at once.
import { isIP } from 'node:net';

type Env = Record<string, string | undefined>;
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type Config = ReturnType<typeof readAll>;
export type ReadFile = (path: string) => string;

const name = /^[A-Za-z_][A-Za-z0-9_-]{0,62}$/;
const label = /^[a-z][a-z0-9-]{0,62}$/;
const host = /^[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*$/;
const moment = /^(unknown|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z)$/;
const prefixes = /^(DATABASE|READY|SERVER|DRAIN|LOG|SERVICE)_/;

/** readFile is handed in, so that this stays a function of its arguments. Complaints never hold the value of a secret. */
export function parseConfig(env: Env, readFile: ReadFile): { config: Config } | { complaints: string[] } {
  const reader = new Reader(env, readFile);
  const config = readAll(reader);
  reader.complainOfStrangers();
  crossCheck(config, reader);
  return reader.complaints.length > 0 ? { complaints: reader.complaints } : { config };
}

function readAll(from: Reader) {
  return {
    service: {
      name: from.match('SERVICE_NAME', label, 'lower case letters, digits and dashes', 'orders'),
      env: from.match('ENV', label, 'lower case letters, digits and dashes', 'development'),
      logLevel: from.oneOf<LogLevel>('LOG_LEVEL', ['debug', 'info', 'warn', 'error'], 'info'),
      gitSha: from.match('GIT_SHA', /^[A-Za-z0-9._-]{1,64}$/, 'at most 64 letters, digits, dots and dashes', 'unknown'),
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
      host: from.check('DATABASE_HOST', text => text.length <= 253 && (isIP(text) > 0 || host.test(text)), 'a host name or an IP address'),
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
    ready: { timeoutMs: from.whole('READY_TIMEOUT_MS', 10, 900, 800), maxAgeMs: from.whole('READY_MAX_AGE_MS', 0, 10_000, 250) },
    drain: { graceMs: from.whole('DRAIN_GRACE_MS', 0, 60_000, 2000), deadlineMs: from.whole('DRAIN_DEADLINE_MS', 100, 120_000, 8000) },
  };
}

function crossCheck({ server, database, drain }: Config, reader: Reader): void {
  reader.below('SERVER_HEADERS_TIMEOUT_MS', server.headersTimeoutMs, 'SERVER_REQUEST_TIMEOUT_MS', server.requestTimeoutMs);
  // A living server must answer before we give its connection up, and wait for a lock no longer than for a statement.
  reader.below('DATABASE_STATEMENT_TIMEOUT_MS', database.statementTimeoutMs, 'DATABASE_QUERY_TIMEOUT_MS', database.queryTimeoutMs);
  reader.below('DATABASE_LOCK_TIMEOUT_MS', database.lockTimeoutMs, 'DATABASE_STATEMENT_TIMEOUT_MS', database.statementTimeoutMs);
  reader.below('DATABASE_CONNECT_TIMEOUT_MS', database.connectTimeoutMs, 'DATABASE_QUERY_TIMEOUT_MS', database.queryTimeoutMs);
  reader.below('DRAIN_GRACE_MS', drain.graceMs, 'DRAIN_DEADLINE_MS', drain.deadlineMs);
}

class Reader {
  readonly complaints: string[] = [];
  readonly #env: Env;
  readonly #readFile: ReadFile;
  readonly #known = new Set<string>();
  readonly #refused = new Set<string>();

  constructor(env: Env, readFile: ReadFile) {
    this.#env = env;
    this.#readFile = readFile;
  }

  check(variable: string, good: (text: string) => boolean, wish: string, fallback?: string): string {
    this.#known.add(variable);
    const text = this.#env[variable];
    if (text === undefined && fallback !== undefined) return fallback;
    if (text === undefined) return this.#complain(variable, 'is required');
    return good(text) ? text : this.#complain(variable, `must be ${wish}, ${text === '' ? 'but is empty' : `not ${quote(text)}`}`);
  }

  match(variable: string, pattern: RegExp, wish: string, fallback?: string): string {
    return this.check(variable, text => pattern.test(text), wish, fallback);
  }

  oneOf<T extends string>(variable: string, values: T[], fallback: T): T {
    const text = this.check(variable, given => values.some(value => value === given), `one of ${values.join(', ')}`, fallback);
    return values.find(value => value === text) ?? fallback;
  }

  whole(variable: string, least: number, most: number, fallback?: number): number {
    const fits = (text: string): boolean => /^(0|[1-9]\d{0,8})$/.test(text) && Number(text) >= least && Number(text) <= most;
    return Number(this.check(variable, fits, `a whole number from ${least} to ${most}`, fallback?.toString()));
  }

  secret(variable: string): string {
    const file = `${variable}_FILE`;
    this.#known.add(variable).add(file);
    const [plain, path] = [this.#env[variable], this.#env[file]];
    if ((plain === undefined) === (path === undefined)) return this.#complain(variable, `or ${file} is required, exactly one of them`);
    const [source, text] = path === undefined ? [variable, plain ?? ''] : [file, this.#readSecret(path)];
    if (text === null) return this.#complain(file, `must name a readable file, not ${path?.startsWith('/') ? quote(path) : '(not shown)'}`);
    if (text === '') return this.#complain(source, path === undefined ? 'is empty' : 'names an empty file');
    return /^[^\x00-\x1f\x7f]{1,1024}$/.test(text) ? text : this.#complain(source, 'must hold one line of at most 1024 characters');
  }

  below(small: string, smallValue: number, large: string, largeValue: number): void {
    if (this.#refused.has(small) || this.#refused.has(large) || smallValue < largeValue) return;
    this.#complain(small, `(${smallValue}) must be below ${large} (${largeValue})`);
  }

  complainOfStrangers(): void {
    const strangers = Object.keys(this.#env).filter(given => prefixes.test(given) && !this.#known.has(given));
    for (const variable of strangers.sort()) {
      this.#complain(variable, 'is not a variable of this service, is it misspelt?');
    }
    const loose = /insecure-http-parser/.test(this.#env['NODE_OPTIONS'] ?? '');
    if (loose) this.#complain('NODE_OPTIONS', 'must not switch on the insecure HTTP parser');
  }

  #readSecret(path: string): string | null {
    try {
      return this.#readFile(path).replace(/\r?\n$/, '');
    } catch {
      return null;
    }
  }

  #complain(variable: string, complaint: string): string {
    this.#refused.add(variable);
    this.complaints.push(`config: ${variable} ${complaint}`);
    return '';
  }
}

// A connection URL put where a host belongs has a password in it, and a long text is more likely a secret than a slip.
function quote(text: string): string {
  return /[@]|:\/\//.test(text) || text.length > 40 ? '(not shown)' : JSON.stringify(text);
}
