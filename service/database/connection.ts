// One TCP session with the database, used until its first trouble and then thrown away.
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import postgres from 'postgres';
import { openGuard } from './guard.ts';

/** Times in ms. connectTimeoutMs covers TCP and login; the other two are limits that the server keeps. */
export type ConnectionOptions = {
  host: string; port: number; database: string; user: string; password: string; applicationName: string;
  connectTimeoutMs: number; statementTimeoutMs: number; lockTimeoutMs: number;
};

/** One statement. It hands back the library's own query object, the only evidence of whether anything was sent. */
export type Statement<Row extends object> = (sql: postgres.Sql) => postgres.PendingQuery<Row[]>;

/** Runs one statement on a connection that the caller holds. */
export type Run = <Row extends object>(statement: Statement<Row>) => Promise<Row[]>;

/** maybeApplied: the statement was handed to a session that did not live to say what became of it. */
export class ConnectionError extends Error {
  readonly code: string;
  readonly maybeApplied: boolean;
  constructor(code: string, maybeApplied: boolean, cause?: unknown) {
    super(code, { cause });
    this.code = code;
    this.maybeApplied = maybeApplied;
  }
}

/** Opens nothing before the first run. onDeath is called once, and not for a connection that was ended by us. */
export class Connection {
  readonly #sql: postgres.Sql;
  readonly #peer: { host: string; port: number };
  readonly #onDeath: (connection: Connection, code: string) => void;
  #socket: Socket | undefined;
  #over: string | undefined;
  #abandon: ((code: string) => void) | undefined;
  #heard = false;
  #proven = false;

  constructor(options: ConnectionOptions, onDeath: (connection: Connection, code: string) => void) {
    this.#peer = { host: options.host, port: options.port };
    this.#onDeath = onDeath;
    this.#sql = postgres(clientOptions(options, () => this.#open()));
  }

  get alive(): boolean {
    return this.#over === undefined;
  }

  get busy(): boolean {
    return this.#abandon !== undefined;
  }

  /** True once the peer has said anything at all. */
  get heard(): boolean {
    return this.#heard;
  }

  /** True once the server has carried out, or properly refused, a statement of ours. */
  get proven(): boolean {
    return this.#proven;
  }

  /** One statement at a time. Throws ConnectionError only, and never later than the budget. */
  async run<Row extends object>(statement: Statement<Row>, budgetMs: number): Promise<Row[]> {
    if (this.#over !== undefined) throw new ConnectionError(this.#over, false);
    const query = statement(this.#sql);
    const abandoned = new Promise<never>((_, reject) => {
      this.#abandon = code => reject(Object.assign(new Error(code), { code }));
    });
    const timer = setTimeout(() => this.kill('DEADLINE'), Math.max(1, budgetMs));
    try {
      const rows = await Promise.race([query, abandoned]);
      // The library may report a statement as done that was never sent; the server has then named no command.
      if ('command' in rows && rows.command === null) throw Object.assign(new Error('no result'), { code: 'NO_ROW' });
      this.#proven = true;
      return rows;
    } catch (error) {
      if (isRefusedStatement(error)) {
        this.#proven = true;
        throw new ConnectionError(error.code, false, error);
      }
      const code = this.#over ?? codeOf(error);
      this.kill(code);
      throw new ConnectionError(code, wasSent(query), error);
    } finally {
      clearTimeout(timer);
      this.#abandon = undefined;
    }
  }

  kill(code: string): void {
    this.#finish(code, socket => socket.destroy());
  }

  /** Says goodbye to the server. The library would only half-close, which a frozen peer never answers. */
  end(): void {
    this.#finish(ENDED, socket => socket.end(TERMINATE, () => socket.destroy()));
  }

  #finish(code: string, close: (socket: Socket) => void): void {
    if (this.#over !== undefined) return;
    this.#over = code;
    if (this.#socket) close(this.#socket);
    this.#abandon?.(code);
    if (code !== ENDED) this.#onDeath(this, code);
  }

  // The library would connect again with stale state inside: it gets one socket, and a throw after that.
  #open(): Socket {
    if (this.#socket || this.#over !== undefined) {
      throw Object.assign(new Error('the connection is over'), { code: this.#over ?? 'CONNECTION_CLOSED' });
    }
    const { host, port } = this.#peer;
    const socket = Object.assign(connect({ host, port, noDelay: true }), { host, port });
    const inspect = openGuard();
    this.#socket = socket;
    // 'error' comes before 'close': a statement given to the library in between would be reported as done.
    socket.on('error', (error: NodeJS.ErrnoException) => this.kill(error.code ?? 'CONNECTION_CLOSED'));
    socket.on('end', () => this.kill('CONNECTION_CLOSED'));
    socket.on('close', () => this.kill('CONNECTION_CLOSED'));
    socket.on('data', (bytes: Buffer) => {
      this.#heard = true;
      if (inspect(bytes)) return;
      this.kill('PROTOCOL_ERROR');
      // The library gets these bytes too, and would act on them or print them: a message without end keeps it quiet.
      bytes.fill(0xff);
    });
    return socket;
  }
}

const ENDED = 'CONNECTION_ENDED';
const TERMINATE = Buffer.from([0x58, 0, 0, 0, 4]);

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
function clientOptions(options: ConnectionOptions, socket: () => Socket) {
  return {
    host: options.host, port: options.port, database: options.database, user: options.user,
    password: options.password, socket, max: 1, ssl: false, sslnegotiation: null,
    connect_timeout: options.connectTimeoutMs / 1000, backoff: false, idle_timeout: 0, max_lifetime: null,
    max_pipeline: 1, keep_alive: 15, prepare: true, fetch_types: false, debug: false, publications: 'none',
    onnotice: () => {},
    connection: {
      application_name: options.applicationName, statement_timeout: options.statementTimeoutMs,
      lock_timeout: options.lockTimeoutMs, idle_in_transaction_session_timeout: 5000,
      // Whatever role or database are set to: an order that was accepted must survive the server's death.
      synchronous_commit: 'on',
      // A plan for each length of list would cost more than the look-up; made while the table is small, it must last.
      plan_cache_mode: 'force_generic_plan', enable_seqscan: 'off',
    },
  };
}
