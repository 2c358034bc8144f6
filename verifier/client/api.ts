// The service's promises about its answers, as typed values: what is well formed has a value, all else keeps its sight.
import { ask, tell } from './http.ts';
import type { Answered, Ask, HttpSight } from './http.ts';
import type { Target } from '#infra/platform';

export type NewOrder = { symbol: string; side: 'buy' | 'sell'; qty: string };
export type Order = { order_id: string; symbol: string; side: string; qty: number; created_at: string };
export type Readiness = { status: 'ready' | 'unready' | 'draining'; reason: string | undefined };
export type Version = Record<keyof typeof versionFields, string>;
/** `orderId` comes with an unknown outcome: by it the order can be looked up. */
export type Problem = { status: number; code: string; field: string | undefined; orderId?: string };
/** `status` is 0 without an answer; a well-formed one has a `value`, any other a `trouble` that says what is wrong. */
export type Answer<T> = { sight: HttpSight; status: number; value?: T; trouble?: string; problem?: Problem };
/** `spelled` is how qty is written as a JSON number. */
export type PlaceHow = { as?: 'query' | 'json'; key?: string; spelled?: string };
export type Api = {
  health: () => Promise<Answer<'alive'>>;
  ready: () => Promise<Answer<Readiness>>;
  version: () => Promise<Answer<Version>>;
  place: (order: NewOrder, how?: PlaceHow) => Promise<Answer<Order>>;
  find: (id: string) => Promise<Answer<Order>>;
  raw: (what: Omit<Ask, 'deadlineMs'>) => Promise<Answer<never>>;
};

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const moment = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/;
const label = /^[a-z][a-z0-9-]{0,62}$/;
const versionFields = {
  service: label, env: label, version: /^\d+\.\d+\.\d+$/, log_level: /^(debug|info|warn|error)$/,
  git_sha: /^[\w.-]{7,64}$/, build_time: moment, instance_id: uuid, started_at: moment, node: /^v\d+\.\d+\.\d+/,
} as const;
/** Why a database may be down; the list is closed. */
export const REASONS = [
  'connection_refused', 'unreachable', 'timeout', 'connection_lost', 'credentials_rejected', 'database_missing',
  'too_many_connections', 'starting_up', 'shutting_down', 'read_only', 'schema_failed', 'schema_newer', 'not_durable',
  'protocol_error', 'unknown',
];
/** What a router says, and no service: it has no replica to ask. */
export const NO_REPLICA = 'no_replica';
// The clocks of this host and of a node may differ, as after a machine was suspended; but not by days.
const CLOCKS_MS = 86_400_000;

/**
 * Speaks to one target, every exchange on a socket of its own and within deadlineMs. `seen` has the request ids of all
 * answers so far: one that comes again is no answer of its own.
 */
export function openApi(target: Pick<Target, 'host' | 'port'>, deadlineMs: number, seen = new Set<string>()): Api {
  const exchange = async <T>(what: Omit<Ask, 'deadlineMs'>, read: Reader<T>): Promise<Answer<T>> =>
    judge(await ask(target, { ...what, deadlineMs }), read, seen);
  return {
    health: () => exchange({ path: '/health' }, { 200: readHealth }),
    ready: () => exchange({ path: '/ready' }, { 200: body => readReady(body, 200), 503: body => readReady(body, 503) }),
    version: () => exchange({ path: '/version' }, { 200: readVersion }),
    place: (order, how = {}) => exchange(placing(order, how), { 201: readOrder }),
    find: id => exchange({ path: `/orders/${encodeURIComponent(id)}` }, { 200: readOrder }),
    raw: what => exchange<never>(what, {}),
  };
}

/** What every answer has, whatever it says: its own request id, and the time. */
export function troubleOf({ headers }: Answered, seen: Set<string>): string | undefined {
  const id = headers.get('x-request-id') ?? '';
  if (!/^[\w.-]{1,64}$/.test(id)) return `its X-Request-Id is ${show(headers.get('x-request-id') ?? undefined)}`;
  if (seen.has(id)) return `its X-Request-Id ${id} was another answer's`;
  seen.add(id);
  const date = headers.get('date') ?? undefined;
  const now = Date.parse(date ?? '');
  if (date === undefined || new Date(now).toUTCString() !== date) return `its Date is ${show(date)}`;
  return Math.abs(now - Date.now()) <= CLOCKS_MS ? undefined : `its Date ${date} is more than a day away`;
}

/** When it was answered, by the clock that did. */
export function timeOf({ sight }: Answer<unknown>): number {
  return sight.state === 'answered' ? Date.parse(sight.headers.get('date') ?? '') : NaN;
}

/** `503 database_unavailable`, `200 but its type is text/html`, `silent`: an answer in a few words. */
export function describe(answer: Answer<unknown>): string {
  const code = answer.problem ? ` ${answer.problem.code}` : '';
  return `${tell(answer.sight)}${code}${answer.trouble ? ` but ${answer.trouble}` : ''}`;
}

// Per status what a good body is: a value, or a text that says what is wrong with it.
type Reader<T> = Record<number, (body: Fields) => { value: T } | string>;
type Fields = Record<string, unknown>;

function judge<T>(sight: HttpSight, readers: Reader<T>, seen: Set<string>): Answer<T> {
  if (sight.state !== 'answered') return { sight, status: 0 };
  const { status } = sight;
  const common = troubleOf(sight, seen);
  if (common !== undefined) return { sight, status, trouble: common };
  const type = sight.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase() ?? 'missing';
  const problem = type === 'application/problem+json' ? readProblem(sight) : undefined;
  // the router's own word, whatever was asked
  const reader = problem?.code === NO_REPLICA ? undefined : readers[status];
  if (!reader) return problem ? { sight, status, problem } : { sight, status };
  if (type !== 'application/json') return { sight, status, trouble: `its type is ${type}` };
  if (!isFields(sight.json)) return { sight, status, trouble: sight.flaw ?? 'its body is no JSON object' };
  const read = reader(sight.json);
  return typeof read === 'string' ? { sight, status, trouble: read } : { sight, status, value: read.value };
}

function placing(order: NewOrder, how: PlaceHow): Omit<Ask, 'deadlineMs'> {
  const headers: Record<string, string> = how.key === undefined ? {} : { 'idempotency-key': how.key };
  if (how.as !== 'json') return { method: 'POST', path: `/order?${new URLSearchParams(order)}`, headers };
  // Written by hand so that qty goes out with exactly these digits, as a JSON number.
  const qty = how.spelled ?? order.qty;
  const body = `{"symbol":${JSON.stringify(order.symbol)},"side":"${order.side}","qty":${qty}}`;
  return { method: 'POST', path: '/order', headers: { ...headers, 'content-type': 'application/json' }, body };
}

function readHealth(body: Fields): { value: 'alive' } | string {
  return body['status'] === 'alive' ? { value: 'alive' } : `status is ${show(body['status'])}, not "alive"`;
}

function readReady(body: Fields, code: 200 | 503): { value: Readiness } | string {
  const { status } = body;
  const database = isFields(body['checks']) ? body['checks']['database'] : undefined;
  if (!isFields(database)) return 'checks.database is missing';
  const { latency_ms, since } = database;
  if (typeof latency_ms !== 'number' || typeof since !== 'string' || !moment.test(since)) {
    return `latency_ms and since are ${show(latency_ms)} and ${show(since)}`;
  }
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
  const wrong = Object.entries(versionFields).filter(([name, pattern]) => {
    const value = body[name];
    return typeof value !== 'string' || !pattern.test(value) || (pattern === moment && Number.isNaN(Date.parse(value)));
  });
  if (wrong.length > 0) return wrong.map(([name]) => `${name} is ${show(body[name])}`).join(', ');
  const names = Object.keys(versionFields);
  return { value: Object.fromEntries(names.map(name => [name, body[name]])) as Version };
}

function readOrder(body: Fields): { value: Order } | string {
  const { order_id, symbol, side, qty, created_at } = body;
  if (body['status'] !== 'accepted') return `status is ${show(body['status'])}, not "accepted"`;
  if (typeof order_id !== 'string' || !uuid.test(order_id)) return `order_id is ${show(order_id)}, no UUID`;
  if (typeof symbol !== 'string' || typeof side !== 'string') {
    return `symbol and side are ${show(symbol)} and ${show(side)}`;
  }
  if (typeof qty !== 'number') return `qty is ${show(qty)}, no JSON number`;
  if (typeof created_at !== 'string' || !moment.test(created_at) || Number.isNaN(Date.parse(created_at))) {
    return `created_at is ${show(created_at)}, no time`;
  }
  return { value: { order_id, symbol, side, qty, created_at } };
}

/** RFC 9457, with our code and the request id of the answer. */
function readProblem({ json: body, status, headers }: Answered): Problem | undefined {
  if (!isFields(body) || typeof body['code'] !== 'string' || body['status'] !== status) return undefined;
  const { type, title, detail, request_id, code, field, order_id: orderId } = body;
  if (![type, title, detail].every(text => typeof text === 'string' && text !== '')) return undefined;
  if (request_id !== headers.get('x-request-id')) return undefined;
  const named = typeof orderId === 'string' ? { orderId } : {};
  return { status, code, field: typeof field === 'string' ? field : undefined, ...named };
}

function isFields(body: unknown): body is Fields {
  return typeof body === 'object' && body !== null && !Array.isArray(body);
}

function show(value: unknown): string {
  return value === undefined ? 'missing' : JSON.stringify(value).slice(0, 80);
}
