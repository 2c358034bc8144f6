// What can be told to a caller as trouble: one table of codes, and the answer made from it (RFC 9457).
import type { Reply } from './reply.ts';

const table = {
  bad_request: [400, 'Bad request'],
  invalid_order: [400, 'Invalid order'],
  invalid_json: [400, 'Invalid JSON'],
  invalid_idempotency_key: [400, 'Invalid Idempotency-Key'],
  not_found: [404, 'Not found'],
  order_not_found: [404, 'Order not found'],
  method_not_allowed: [405, 'Method not allowed'],
  request_timeout: [408, 'Request timeout'],
  idempotency_key_in_use: [409, 'Idempotency-Key in use'],
  payload_too_large: [413, 'Payload too large'],
  uri_too_long: [414, 'URI too long'],
  unsupported_media_type: [415, 'Unsupported media type'],
  expectation_failed: [417, 'Expectation failed'],
  idempotency_key_reused: [422, 'Idempotency-Key reused'],
  headers_too_large: [431, 'Headers too large'],
  internal_error: [500, 'Internal error'],
  not_implemented: [501, 'Not implemented'],
  database_unavailable: [503, 'Database unavailable'],
  outcome_unknown: [503, 'Outcome unknown'],
  overloaded: [503, 'Overloaded'],
  draining: [503, 'Draining'],
  http_version_not_supported: [505, 'HTTP version not supported'],
} as const;

export type Code = keyof typeof table;
export const codes = Object.keys(table).filter((name): name is Code => name in table);

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

export function statusOf(code: Code): number {
  return table[code][0];
}

/** Anything thrown becomes an answer. What is no Problem is ours: the caller learns nothing of it, the log everything. */
export function answerTrouble(trouble: unknown, requestId: string): Reply {
  const known = trouble instanceof Problem;
  const problem = known ? trouble : new Problem('internal_error', 'something went wrong on our side; the request id finds it in our log');
  const [status, title] = table[problem.code];
  const { field, orderId, reason, headers } = problem.extra;
  const again = status === 503 || status === 409 ? { 'Retry-After': '1' } : {};
  return {
    status,
    headers: { 'Content-Type': 'application/problem+json', ...again, ...headers },
    body: {
      type: 'about:blank', title, status, code: problem.code, detail: problem.message, request_id: requestId,
      ...(field === undefined ? {} : { field }), ...(orderId === undefined ? {} : { order_id: orderId }),
    },
    note: { code: problem.code, ...(reason === undefined ? {} : { reason }), ...(known ? {} : { error: trouble }) },
  };
}
