// What an error code of the database or the network means to us: the one table that decides.
export type Reason =
  | 'connection_refused' | 'unreachable' | 'timeout' | 'connection_lost' | 'credentials_rejected' | 'database_missing'
  | 'too_many_connections' | 'starting_up' | 'shutting_down' | 'read_only' | 'schema_failed' | 'schema_newer'
  | 'not_durable' | 'protocol_error' | 'overloaded' | 'lock_timeout' | 'statement_timeout' | 'disk_full' | 'closing'
  | 'unknown';

/** unavailable, overloaded: nothing was stored, try later. unknown: it may have been stored. bug: ours. */
export type Kind = 'unavailable' | 'unknown' | 'overloaded' | 'bug';

/** ofOneRow: a statement for many rows is refused with it for the sake of one of them. */
export type Verdict = { kind: Kind; reason: Reason; ofOneRow: boolean };

/** Reads a SQLSTATE, an errno name or a code of the client library. The most exact row decides; no row: a bug. */
export function parseCode(code: string): Verdict {
  return ROWS.get(code) ?? ROWS.get(`${code.slice(0, 2)}xxx`) ?? (/^E[A-Z][A-Z0-9_]+$/.test(code) ? ERRNO : BUG);
}

/** True for codes with which a server, or the network on its behalf, turned a new connection away. */
export function isRefusal(code: string): boolean {
  return REFUSALS.has(parseCode(code).reason);
}

/** Thrown by the store. code is a SQLSTATE or errno name and belongs in the log only. */
export class StoreError extends Error {
  readonly kind: Kind;
  readonly reason: Reason;
  readonly code: string;
  constructor(kind: Kind, reason: Reason, code: string, cause?: unknown) {
    super(`${kind} ${reason} ${code}`, { cause });
    this.kind = kind;
    this.reason = reason;
    this.code = code;
  }
}

const REFUSALS = new Set<Reason>([
  'connection_refused', 'unreachable', 'timeout', 'credentials_rejected', 'database_missing',
  'too_many_connections', 'starting_up', 'shutting_down', 'protocol_error',
]);

const BUG: Verdict = { kind: 'bug', reason: 'unknown', ofOneRow: true };
// Every errno that is not in the table comes from connecting or from a broken socket.
const ERRNO: Verdict = { kind: 'unavailable', reason: 'unreachable', ofOneRow: false };
const ROWS = new Map<string, Verdict>();
const tell = (kind: Kind, reason: Reason, codes: string, ofOneRow = false) => {
  for (const code of codes.split(' ')) ROWS.set(code, { kind, reason, ofOneRow });
};

// The network, and the client library's names for it.
tell('unavailable', 'connection_refused', 'ECONNREFUSED');
tell('unavailable', 'timeout', 'ETIMEDOUT CONNECT_TIMEOUT DEADLINE');
tell('unavailable', 'connection_lost', 'ECONNRESET EPIPE ECONNABORTED NO_ROW');
tell('unavailable', 'connection_lost', 'CONNECTION_CLOSED CONNECTION_DESTROYED CONNECTION_ENDED');
tell('unavailable', 'protocol_error', 'PROTOCOL_ERROR SASL_SIGNATURE_MISMATCH MESSAGE_NOT_SUPPORTED');
tell('unavailable', 'unknown', 'EMFILE ENFILE ENOBUFS ENOMEM');
// Ourselves.
tell('overloaded', 'overloaded', 'QUEUE_FULL QUEUE_TIMEOUT');
tell('unavailable', 'closing', 'CLOSING CALLER_LEFT');
// PostgreSQL, by class and then by exact code.
tell('unavailable', 'connection_lost', '08xxx');
tell('unavailable', 'protocol_error', '08P01');
tell('unavailable', 'credentials_rejected', '28xxx');
tell('unavailable', 'database_missing', '3D000');
tell('unavailable', 'unknown', '40xxx', true);
tell('unavailable', 'unknown', '53xxx 57xxx 58xxx');
tell('unavailable', 'disk_full', '53100');
tell('unavailable', 'too_many_connections', '53300');
tell('unavailable', 'statement_timeout', '57014');
tell('unavailable', 'shutting_down', '57P01 57P02');
tell('unavailable', 'starting_up', '57P03');
// Dropped while we were connected to it, or closed to connections.
tell('unavailable', 'database_missing', '57P04 55000');
// The whole table is locked, or one row by somebody with the same key.
tell('unavailable', 'lock_timeout', '55P03', true);
tell('unavailable', 'read_only', '25006');
// A missing table, column, schema or right is a matter of the deployment: it ends when the database is put right.
tell('unavailable', 'schema_failed', '42P01 42703 3F000 42501 SCHEMA_FAILED');
// The second is raised by our own statement, in schema.ts.
tell('unavailable', 'schema_newer', 'SCHEMA_NEWER OR001');
tell('unavailable', 'not_durable', 'NOT_DURABLE');
