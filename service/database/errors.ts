// What an error code of the database or the network means to us: the one table that decides.
export type Reason =
  | 'connection_refused' | 'unreachable' | 'timeout' | 'connection_lost' | 'credentials_rejected' | 'database_missing'
  | 'too_many_connections' | 'starting_up' | 'shutting_down' | 'read_only' | 'schema_failed' | 'protocol_error'
  | 'overloaded' | 'lock_timeout' | 'statement_timeout' | 'disk_full' | 'closing' | 'unknown';

/** unavailable, overloaded: nothing was stored, try later. unknown: it may have been stored. bug: ours, trying again is no help. */
export type Kind = 'unavailable' | 'unknown' | 'overloaded' | 'bug';

export type Verdict = { kind: Kind; reason: Reason };

/** Reads a SQLSTATE, an errno name or a code of the client library. The most exact row decides; no row: a bug. */
export function parseCode(code: string): Verdict {
  return ROWS.get(code) ?? ROWS.get(`${code.slice(0, 2)}xxx`) ?? { kind: 'bug', reason: 'unknown' };
}

/** True for codes with which a server, or the network on its behalf, turned a new connection away. */
export function isRefusal(code: string): boolean {
  const { reason } = parseCode(code);
  return REFUSALS.has(reason);
}

const REFUSALS = new Set<Reason>([
  'connection_refused', 'unreachable', 'timeout', 'credentials_rejected', 'database_missing',
  'too_many_connections', 'starting_up', 'shutting_down', 'protocol_error',
]);

const ROWS = new Map<string, Verdict>();
const tell = (kind: Kind, reason: Reason, codes: string) => {
  for (const code of codes.split(' ')) ROWS.set(code, { kind, reason });
};

// The network, and the client library's names for it.
tell('unavailable', 'connection_refused', 'ECONNREFUSED');
tell('unavailable', 'unreachable', 'ENOTFOUND EAI_AGAIN EHOSTUNREACH ENETUNREACH EHOSTDOWN ENETDOWN EADDRNOTAVAIL EACCES EPERM');
tell('unavailable', 'timeout', 'ETIMEDOUT CONNECT_TIMEOUT DEADLINE');
tell('unavailable', 'connection_lost', 'ECONNRESET EPIPE ECONNABORTED CONNECTION_CLOSED CONNECTION_DESTROYED CONNECTION_ENDED NO_ROW');
tell('unavailable', 'protocol_error', 'PROTOCOL_ERROR SASL_SIGNATURE_MISMATCH MESSAGE_NOT_SUPPORTED');
tell('unavailable', 'unknown', 'EMFILE ENFILE ENOBUFS ENOMEM');
// Ourselves.
tell('overloaded', 'overloaded', 'QUEUE_FULL QUEUE_TIMEOUT');
tell('unavailable', 'closing', 'CLOSING');
// PostgreSQL, by class and then by exact code.
tell('unavailable', 'connection_lost', '08xxx');
tell('unavailable', 'protocol_error', '08P01');
tell('unavailable', 'credentials_rejected', '28xxx');
tell('unavailable', 'database_missing', '3D000');
tell('unavailable', 'unknown', '40xxx 53xxx 57xxx 58xxx');
tell('unavailable', 'disk_full', '53100');
tell('unavailable', 'too_many_connections', '53300');
tell('unavailable', 'statement_timeout', '57014');
tell('unavailable', 'shutting_down', '57P01 57P02');
tell('unavailable', 'starting_up', '57P03');
// Dropped while we were connected to it, or closed to connections.
tell('unavailable', 'database_missing', '57P04 55000');
tell('unavailable', 'lock_timeout', '55P03');
tell('unavailable', 'read_only', '25006');
// A missing table, column, schema or right is a matter of the deployment: it ends when the database is put right.
tell('unavailable', 'schema_failed', '42P01 42703 3F000 42501');
