// The routes of the service and what each one answers.
import { randomUUID } from 'node:crypto';
import { createKeyring, parseKey } from './idempotency.ts';
import { openapi } from '../telemetry/openapi.ts';
import { parseOrder } from './order.ts';
import { Problem } from '../http/problem.ts';
import type { Readiness } from '../database/readiness.ts';
import type { Params, Route } from '../http/router.ts';
import type { Reply, Request } from '../http/reply.ts';
import { StoreError } from '../database/store.ts';
import type { Order, Probe, Store } from '../database/store.ts';

export type Parts = {
  store: Pick<Store, 'place' | 'find'>;
  readiness: Readiness;
  version: Record<string, string>;
  deadlineMs: number;
  draining: () => boolean;
  metrics: () => Promise<string>;
};

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Everything the service answers, in one table; openapi.ts says the same to callers. */
export function openRoutes(parts: Parts): Route[] {
  const place = openPlace(parts);
  return [
    { method: 'GET', path: '/health', handler: () => ({ status: 200, body: { status: 'alive' } }) },
    { method: 'GET', path: '/ready', handler: () => tellReadiness(parts) },
    { method: 'GET', path: '/version', handler: () => ({ status: 200, body: parts.version }) },
    { method: 'POST', path: '/order', takesJson: true, handler: place },
    { method: 'GET', path: '/orders/{id}', handler: (_request, params) => find(parts, params) },
    { method: 'GET', path: '/openapi.json', handler: () => ({ status: 200, body: openapi }) },
    { method: 'GET', path: '/metrics', handler: () => tellMetrics(parts) },
  ];
}

async function tellReadiness({ readiness, draining }: Parts): Promise<Reply> {
  const leaving = draining();
  const probe = (leaving ? readiness.last() : null) ?? await readiness.check();
  const status = leaving ? 'draining' : probe.up ? 'ready' : 'unready';
  const ok = status === 'ready';
  const body = { status, checks: { database: describe(probe) } };
  return ok ? { status: 200, body } : { status: 503, headers: { 'Retry-After': '1' }, body, note: { reason: probe.reason ?? status } };
}

function describe({ up, reason, latencyMs, since }: Probe): object {
  return { status: up ? 'up' : 'down', ...(up ? {} : { reason: reason ?? 'unknown' }), latency_ms: latencyMs, since };
}

async function tellMetrics(parts: Parts): Promise<Reply> {
  return { status: 200, headers: { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' }, body: await parts.metrics() };
}

function openPlace({ store, deadlineMs }: Parts): (request: Request) => Promise<Reply> {
  const guarded = createKeyring();
  return async request => {
    const key = parseKey(request.headers['idempotency-key']);
    const draft = parseOrder(request.query, request.body);
    return guarded(key, async () => {
      const orderId = randomUUID();
      // Prefixed, since an order without a key is stored under its own id, which a caller knows and could send as a key.
      const order = { orderId, ...draft, key: key === null ? null : `key:${key}` };
      // With a key the stored order may be that of an earlier attempt, under its id: the key is what resolves an unknown outcome.
      const placed = await ask(store.place(order), deadlineMs, { orderId: key === null ? orderId : undefined });
      const { symbol, side, qty } = placed.order;
      if (symbol !== draft.symbol || side !== draft.side || qty !== draft.qty) {
        throw new Problem('idempotency_key_reused', 'this key belongs to an order with other values');
      }
      return { status: 201, headers: { Location: `/orders/${placed.order.orderId}` }, body: show(placed.order) };
    });
  };
}

async function find({ store, deadlineMs }: Parts, { id = '' }: Params): Promise<Reply> {
  const order = uuid.test(id) ? await ask(store.find(id), deadlineMs, null) : null;
  if (!order) throw new Problem('order_not_found', 'there is no order with this id');
  return { status: 200, body: show(order) };
}

function show({ orderId, symbol, side, qty, createdAt }: Order): object {
  return { order_id: orderId, status: 'accepted', symbol, side, qty: Number(qty), created_at: createdAt };
}

// What is being placed; without an id where only its key can tell.
type Placing = { orderId: string | undefined };

// The store keeps its own deadlines; this one is for the day on which it does not.
async function ask<T>(work: Promise<T>, deadlineMs: number, placing: Placing | null): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(unanswered(placing, 'deadline')), deadlineMs);
  });
  try {
    return await Promise.race([work, late]);
  } catch (error) {
    throw error instanceof StoreError ? translate(error, placing) : error;
  } finally {
    clearTimeout(timer);
  }
}

function translate(error: StoreError, placing: Placing | null): Error {
  const reason = `${error.reason} ${error.code}`;
  if (error.kind === 'overloaded') return new Problem('overloaded', 'too much at once, nothing was stored', { reason });
  if (error.kind === 'unavailable') return new Problem('database_unavailable', `the database is unavailable: ${error.reason}`, { reason });
  return error.kind === 'unknown' ? unanswered(placing, reason) : error;
}

function unanswered(placing: Placing | null, reason: string): Problem {
  if (placing === null) return new Problem('database_unavailable', 'the database did not answer', { reason });
  const { orderId } = placing;
  const detail = `the order may have been stored: ${orderId === undefined ? 'send it again with its Idempotency-Key' : 'look it up'}`;
  return new Problem('outcome_unknown', detail, { reason, ...(orderId === undefined ? {} : { orderId }) });
}
