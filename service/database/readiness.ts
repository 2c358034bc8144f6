// Whether orders can be placed right now: asked on a connection of its own, which no slow order can starve.
import { Connection, ConnectionError } from './connection.ts';
import type { ConnectionOptions, Run } from './connection.ts';
import { parseCode } from './errors.ts';
import type { Reason } from './errors.ts';

/** since: when it became so, RFC 3339 in UTC. reason only when not up. */
export type Probe = { up: boolean; reason?: Reason; latencyMs: number; since: string };

export type Readiness = {
  /** Never throws, and answers within timeoutMs and a few ms. Callers at the same time share one answer. */
  check(): Promise<Probe>;
  /** The last answer, however old. */
  last(): Probe | null;
  /** A connection died elsewhere: the next probe makes a new one, or it would not see that none can be made. */
  suspect(): void;
  stats(): { open: number; opened: number };
  close(): void;
};

/** An answer "up" is forgotten as soon as a connection dies, any other after maxAgeMs. */
export type ReadinessOptions = { timeoutMs: number; maxAgeMs: number };

export type ReadinessParts = {
  /** Throws ConnectionError when the database that answers is of no use. */
  look(run: Run): Promise<void>;
  /** Somebody reached the database. */
  onUp(): void;
  /** Once per change of state or of its cause; both are null for up. code is a SQLSTATE or errno name. */
  onChange(reason: Reason | null, code: string | null): void;
};

/** Opens nothing before the first check. */
export function openReadiness(
  options: ConnectionOptions, { timeoutMs, maxAgeMs }: ReadinessOptions, parts: ReadinessParts,
): Readiness {
  let connection: Connection | undefined;
  let [suspected, doubted, closed] = [false, false, false];
  let opened = 0;
  let running: Promise<Probe> | undefined;
  let last: Probe | null = null;
  let askedMs = -Infinity;
  let state: { code: string; since: string } | undefined;
  // A server that lives must answer before we give up, or its connection is thrown away for being slow.
  const own: ConnectionOptions = {
    ...options, connectTimeoutMs: Math.min(options.connectTimeoutMs, timeoutMs),
    statementTimeoutMs: Math.ceil(timeoutMs * 0.8), lockTimeoutMs: Math.ceil(timeoutMs * 0.6),
  };

  function connected(): Connection {
    if (suspected) connection?.end();
    suspected = false;
    if (connection?.alive) return connection;
    opened += 1;
    connection = new Connection(own, () => {
      doubted = true;
    });
    return connection;
  }
  /** Empty: well. Otherwise the code of what is wrong. */
  async function look(deadlineMs: number): Promise<string> {
    if (closed) return 'CLOSING';
    let wasProven = false;
    try {
      const current = connected();
      wasProven = current.proven;
      await parts.look(statement => current.run(statement, deadlineMs - performance.now()));
      return '';
    } catch (error) {
      // It may keep what has ended since: a session that began read-only stays so.
      connection?.end();
      if (!(error instanceof ConnectionError)) return 'NO_CODE';
      // A connection that has stood unused may be dead without anybody having noticed: that is no verdict yet.
      const stale = wasProven && parseCode(error.code).reason === 'connection_lost';
      return stale ? look(deadlineMs) : error.code;
    }
  }
  async function ask(): Promise<Probe> {
    doubted = false;
    const startedMs = performance.now();
    let timer: NodeJS.Timeout | undefined;
    // Tables that another connection is just making are waited for, and that one has more time than there is here.
    const late = new Promise<string>(resolve => {
      timer = setTimeout(() => resolve('DEADLINE'), timeoutMs + 20);
    });
    const code = await Promise.race([look(startedMs + timeoutMs), late]);
    clearTimeout(timer);
    askedMs = performance.now();
    last = settle(code, Math.round((askedMs - startedMs) * 10) / 10);
    return last;
  }
  function settle(code: string, latencyMs: number): Probe {
    const up = code === '';
    const changed = code !== state?.code && !closed;
    if (!state || (changed && up !== (state.code === ''))) state = { code, since: new Date().toISOString() };
    else if (changed) state = { code, since: state.since };
    if (changed) parts.onChange(up ? null : reasonOf(code), up ? null : code);
    if (up) parts.onUp();
    return { up, ...(up ? {} : { reason: reasonOf(code) }), latencyMs, since: state.since };
  }
  return {
    async check() {
      if (last && performance.now() - askedMs < maxAgeMs && !(last.up && doubted)) return last;
      running ??= ask().finally(() => {
        running = undefined;
      });
      return running;
    },
    last: () => last,
    suspect() {
      suspected = true;
      doubted = true;
    },
    stats: () => ({ open: connection?.alive ? 1 : 0, opened }),
    close() {
      closed = true;
      connection?.end();
    },
  };
}

// What an order can die of is more than what readiness tells its readers.
function reasonOf(code: string): Reason {
  const { reason } = parseCode(code);
  if (reason === 'statement_timeout' || reason === 'lock_timeout') return 'timeout';
  return reason === 'overloaded' || reason === 'disk_full' || reason === 'closing' ? 'unknown' : reason;
}
