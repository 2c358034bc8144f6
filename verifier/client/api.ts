// The service's promises about its answers, as typed values: what is well formed has a value, all else keeps its sight.
import { ask, tell } from './http.ts';
import type { Ask, HttpSight } from './http.ts';
import type { Target } from '#infra/platform';

export type NewOrder = { symbol: string; side: 'buy' | 'sell'; qty: string };
export type Order = { order_id: string; symbol: string; side: string; qty: number; created_at: string };
export type Readiness = { status: 'ready' | 'unready' | 'draining'; reason: string | undefined };
export type Version = Record<(typeof VERSION_FIELDS)[number], string>;
export type Problem = { status: number; code: string; field: string | undefined };
/** `status` is 0 without an answer; a well-formed one has a `value`, any other a `trouble` that says what is wrong. */
export type Answer<T> = { sight: HttpSight; status: number; value?: T; trouble?: string; problem?: Problem };
export type PlaceHow = { as?: 'query' | 'json'; key?: string };
export type Api = {
  health: () => Promise<Answer<'alive'>>;
  ready: () => Promise<Answer<Readiness>>;
  version: () => Promise<Answer<Version>>;
  place: (order: NewOrder, how?: PlaceHow) => Promise<Answer<Order>>;
  find: (id: string) => Promise<Answer<Order>>;
  raw: (what: Omit<Ask, 'deadlineMs'>) => Promise<Answer<never>>;
};

const VERSION_FIELDS = [
  'service', 'env', 'version', 'log_level', 'git_sha', 'build_time', 'instance_id', 'started_at', 'node',
] as const;
/** Why a database may be down; the list is closed. */
export const REASONS = [
  'connection_refused', 'unreachable', 'timeout', 'connection_lost', 'credentials_rejected', 'database_missing',
  'too_many_connections', 'starting_up', 'shutting_down', 'read_only', 'schema_failed', 'protocol_error', 'unknown',
];

/** Speaks to one target, every exchange on a socket of its own and within deadlineMs. */
export function openApi(target: Pick<Target, 'host' | 'port'>, deadlineMs: number): Api {
  const exchange = async <T>(what: Omit<Ask, 'deadlineMs'>, read: Reader<T>): Promise<Answer<T>> =>
    judge(await ask(target, { ...what, deadlineMs }), read);
  return {
    health: () => exchange({ path: '/health' }, { 200: readHealth }),
    ready: () => exchange({ path: '/ready' }, { 200: body => readReady(body, 200), 503: body => readReady(body, 503) }),
    version: () => exchange({ path: '/version' }, { 200: readVersion }),
    place: (order, how = {}) => exchange(placing(order, how), { 201: readOrder }),
    find: id => exchange({ path: `/orders/${encodeURIComponent(id)}` }, { 200: readOrder }),
    raw: what => exchange<never>(what, {}),
  };
}

/** `503 database_unavailable`, `200 but its type is text/html`, `silent`: an answer in a few words. */
export function describe(answer: Answer<unknown>): string {
  const code = answer.problem ? ` ${answer.problem.code}` : '';
  return `${tell(answer.sight)}${code}${answer.trouble ? ` but ${answer.trouble}` : ''}`;
}

// Per status what a good body is: a value, or a text that says what is wrong with it.
type Reader<T> = Record<number, (body: Fields) => { value: T } | string>;
type Fields = Record<string, unknown>;

function judge<T>(sight: HttpSight, readers: Reader<T>): Answer<T> {
  if (sight.state !== 'answered') return { sight, status: 0 };
  const { status } = sight;
  const type = sight.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase() ?? 'missing';
  const reader = readers[status];
  const problem = type === 'application/problem+json' ? readProblem(sight.json, status) : undefined;
  if (!reader) return problem ? { sight, status, problem } : { sight, status };
  if (type !== 'application/json') return { sight, status, trouble: `its type is ${type}` };
  if (!isFields(sight.json)) return { sight, status, trouble: 'its body is no JSON object' };
  const read = reader(sight.json);
  return typeof read === 'string' ? { sight, status, trouble: read } : { sight, status, value: read.value };
}

function placing(order: NewOrder, how: PlaceHow): Omit<Ask, 'deadlineMs'> {
  const headers: Record<string, string> = how.key === undefined ? {} : { 'idempotency-key': how.key };
  if (how.as !== 'json') return { method: 'POST', path: `/order?${new URLSearchParams(order)}`, headers };
  // Written by hand so that qty goes out with exactly these digits, as a JSON number.
  const body = `{"symbol":${JSON.stringify(order.symbol)},"side":"${order.side}","qty":${order.qty}}`;
  return { method: 'POST', path: '/order', headers: { ...headers, 'content-type': 'application/json' }, body };
}

function readHealth(body: Fields): { value: 'alive' } | string {
  return body['status'] === 'alive' ? { value: 'alive' } : `status is ${show(body['status'])}, not "alive"`;
}

function readReady(body: Fields, code: 200 | 503): { value: Readiness } | string {
  const { status } = body;
  const database = isFields(body['checks']) ? body['checks']['database'] : undefined;
  if (!isFields(database)) return 'checks.database is missing';
  const reason = typeof database['reason'] === 'string' ? database['reason'] : undefined;
  const contradiction = `status is ${show(status)} with the database ${show(database['status'])}`;
  if (code === 200) {
    return status === 'ready' && database['status'] === 'up' ? { value: { status, reason } } : contradiction;
  }
  if (status === 'draining') return { value: { status, reason } };
  if (status !== 'unready' || database['status'] !== 'down') return contradiction;
  if (reason && REASONS.includes(reason)) return { value: { status, reason } };
  return `reason is ${show(database['reason'])}, none of the fixed list`;
}

function readVersion(body: Fields): { value: Version } | string {
  const missing = VERSION_FIELDS.filter(field => typeof body[field] !== 'string' || body[field] === '');
  if (missing.length > 0) return `${missing.join(', ')} missing or no text`;
  const entries = VERSION_FIELDS.map(field => [field, body[field]]);
  return Number.isNaN(Date.parse(String(body['started_at']))) ? `started_at is ${show(body['started_at'])}, no time`
    : { value: Object.fromEntries(entries) as Version };
}

function readOrder(body: Fields): { value: Order } | string {
  const { order_id, symbol, side, qty, created_at } = body;
  if (body['status'] !== 'accepted') return `status is ${show(body['status'])}, not "accepted"`;
  if (typeof order_id !== 'string' || order_id === '') return `order_id is ${show(order_id)}`;
  if (typeof symbol !== 'string' || typeof side !== 'string') {
    return `symbol and side are ${show(symbol)} and ${show(side)}`;
  }
  if (typeof qty !== 'number') return `qty is ${show(qty)}, no JSON number`;
  if (typeof created_at !== 'string' || Number.isNaN(Date.parse(created_at))) {
    return `created_at is ${show(created_at)}, no time`;
  }
  return { value: { order_id, symbol, side, qty, created_at } };
}

function readProblem(body: unknown, status: number): Problem | undefined {
  if (!isFields(body) || typeof body['code'] !== 'string' || body['status'] !== status) return undefined;
  return { status, code: body['code'], field: typeof body['field'] === 'string' ? body['field'] : undefined };
}

function isFields(body: unknown): body is Fields {
  return typeof body === 'object' && body !== null && !Array.isArray(body);
}

function show(value: unknown): string {
  return value === undefined ? 'missing' : JSON.stringify(value).slice(0, 80);
}
