// One connection to the database, used until its first trouble and then thrown away.
import type { Socket } from 'node:net';
import postgres from 'postgres';
import { ENDED, openWire } from './wire.ts';

export type LaneOptions = {
  host: string; port: number; database: string; user: string; password: string; applicationName: string;
  connectTimeoutMs: number; statementTimeoutMs: number; lockTimeoutMs: number;
};

/** One statement. It hands back the library's own query object, the only evidence of whether anything was sent. */
export type Statement<Row extends object> = (sql: postgres.Sql) => postgres.PendingQuery<Row[]>;

export type Lane = {
  /** One statement at a time. Throws LaneError only, and never later than the budget. */
  run<Row extends object>(statement: Statement<Row>, budgetMs: number): Promise<Row[]>;
  alive(): boolean;
  /** True once the server has carried out, or properly refused, a statement of ours. */
  proven(): boolean;
  /** True once the peer has said anything at all. */
  heard(): boolean;
  kill(code: string): void;
  /** Says goodbye to the server. */
  end(): void;
};

/** maybeApplied: the statement was handed to a session that did not live to tell what became of it. */
export class LaneError extends Error {
  readonly code: string;
  readonly maybeApplied: boolean;
  constructor(code: string, maybeApplied: boolean, cause?: unknown) {
    super(code, { cause });
    this.code = code;
    this.maybeApplied = maybeApplied;
  }
}

/** Opens nothing before the first run. onDeath is called once, and not for a lane that was ended by us. */
export function openLane(options: LaneOptions, onDeath: (lane: Lane, code: string) => void): Lane {
  const wire = openWire(options, code => {
    abandon?.(code);
    if (code !== ENDED) onDeath(lane, code);
  });
  const sql = postgres(clientOptions(options, wire.open));
  let abandon: ((code: string) => void) | undefined;
  let proven = false;

  async function run<Row extends object>(statement: Statement<Row>, budgetMs: number): Promise<Row[]> {
    const over = wire.over();
    if (over) throw new LaneError(over, false);
    const query = statement(sql);
    const given = new Promise<never>((_, reject) => { abandon = code => reject(Object.assign(new Error(code), { code })); });
    const timer = setTimeout(wire.kill, Math.max(1, budgetMs), 'DEADLINE');
    try {
      const rows = await Promise.race([query, given]);
      proven = true;
      return rows;
    } catch (error) {
      if (isRefusedStatement(error)) {
        proven = true;
        throw new LaneError(error.code, false, error);
      }
      const code = wire.over() ?? codeOf(error);
      wire.kill(code);
      throw new LaneError(code, wasSent(query), error);
    } finally {
      clearTimeout(timer);
      abandon = undefined;
    }
  }

  const lane: Lane = {
    run, alive: () => !wire.over(), proven: () => proven, heard: wire.heard, kill: wire.kill, end: wire.end,
  };
  return lane;
}

// ERROR ends a statement, FATAL and PANIC the session. severity is the field that no locale changes.
function isRefusedStatement(error: unknown): error is { code: string } {
  return error instanceof postgres.PostgresError && error.severity === 'ERROR';
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'NO_CODE';
}

function wasSent(query: object): boolean {
  return 'state' in query && query.state !== null;
}

// Every option is given, or the library takes it from PG* variables. PGTARGETSESSIONATTRS it reads whatever is given.
function clientOptions(options: LaneOptions, socket: () => Socket) {
  return {
    host: options.host, port: options.port, database: options.database, user: options.user, password: options.password,
    socket, max: 1, ssl: false, sslnegotiation: null, connect_timeout: options.connectTimeoutMs / 1000, backoff: false,
    idle_timeout: 0, max_lifetime: null, max_pipeline: 1, keep_alive: 15, prepare: true, fetch_types: false,
    debug: false, publications: 'none', onnotice: () => {},
    connection: {
      application_name: options.applicationName, statement_timeout: options.statementTimeoutMs,
      lock_timeout: options.lockTimeoutMs, idle_in_transaction_session_timeout: 5000,
    },
  };
}
