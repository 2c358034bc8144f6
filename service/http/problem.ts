// What a caller can get as trouble: one table of codes, and the answer made from it (RFC 9457).
import { STATUS_CODES } from 'node:http';
import type { Reply } from './reply.ts';

const statuses = {
  bad_request: 400,
  invalid_order: 400,
  invalid_json: 400,
  invalid_idempotency_key: 400,
  not_found: 404,
  order_not_found: 404,
  method_not_allowed: 405,
  request_timeout: 408,
  idempotency_key_in_use: 409,
  payload_too_large: 413,
  uri_too_long: 414,
  unsupported_media_type: 415,
  expectation_failed: 417,
  idempotency_key_reused: 422,
  headers_too_large: 431,
  internal_error: 500,
  not_implemented: 501,
  database_unavailable: 503,
  outcome_unknown: 503,
  overloaded: 503,
  http_version_not_supported: 505,
} as const;

export type Code = keyof typeof statuses;
export const codes = Object.keys(statuses).filter((name): name is Code => name in statuses);

type Extra = { field?: string; orderId?: string; reason?: string; headers?: Record<string, string> };

/** A caller's trouble. detail is read by the caller; extra.reason goes to the log only. */
export class Problem extends Error {
  readonly code: Code;
  readonly extra: Extra;
  constructor(code: Code, detail: string, extra: Extra = {}) {
    super(detail);
    this.code = code;
    this.extra = extra;
  }
}

/** The phrase of a status: the title of a problem whose type says no more than its status (RFC 9457 §4.2.1). */
export function phraseOf(status: number): string {
  return STATUS_CODES[status] ?? 'Unknown';
}

/** Anything thrown becomes an answer. What is no Problem is ours: the caller learns nothing of it, the log all. */
export function answerTrouble(trouble: unknown, requestId: string): Reply {
  const known = trouble instanceof Problem;
  const problem = known ? trouble : new Problem('internal_error', 'our fault; the request id finds it in our log');
  const status = statuses[problem.code];
  const { field, orderId, reason, headers } = problem.extra;
  const again = status === 503 || status === 409 ? { 'Retry-After': '1' } : {};
  return {
    status,
    headers: { 'Content-Type': 'application/problem+json', ...again, ...headers },
    body: {
      type: 'about:blank', title: phraseOf(status), status,
      code: problem.code, detail: problem.message, request_id: requestId,
      ...(field === undefined ? {} : { field }), ...(orderId === undefined ? {} : { order_id: orderId }),
    },
    note: {
      code: problem.code, ...(reason === undefined ? {} : { reason }), ...(orderId === undefined ? {} : { orderId }),
      ...(known ? {} : { error: trouble }),
    },
  };
}
