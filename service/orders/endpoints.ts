// The routes of the service and what each one answers.
import { StoreError } from '../database/store.ts';
import type { Order, Probe, Store } from '../database/store.ts';
import { Problem } from '../http/problem.ts';
import { always } from '../http/reply.ts';
import type { Reply, Request } from '../http/reply.ts';
import type { Params, Route } from '../http/router.ts';
import { openapi } from '../telemetry/openapi.ts';
import { createKeyring, parseKey } from './idempotency.ts';
import { newOrderId, parseOrder } from './order.ts';

export type Parts = {
  store: Pick<Store, 'place' | 'find'> & { readiness: Pick<Store['readiness'], 'check' | 'last'> };
  version: Record<string, string>;
  draining: () => boolean;
  metrics: () => Promise<string>;
};

// RFC 9562: letters in either case
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Everything the service answers, in one table; openapi.ts says the same to callers. */
export function openRoutes(parts: Parts): Route[] {
  const place = openPlace(parts);
  return [
    { method: 'GET', path: '/health', handler: always({ status: 'alive' }) },
    { method: 'GET', path: '/ready', handler: () => tellReadiness(parts) },
    { method: 'GET', path: '/version', handler: always(parts.version) },
    { method: 'POST', path: '/order', takesJson: true, handler: place },
    { method: 'GET', path: '/orders/{id}', handler: (request, params) => find(parts, request, params) },
    { method: 'GET', path: '/openapi.json', handler: always(openapi) },
    { method: 'GET', path: '/metrics', handler: () => tellMetrics(parts) },
  ];
}

async function tellReadiness({ store: { readiness }, draining }: Parts): Promise<Reply> {
  const leaving = draining();
  const probe = (leaving ? readiness.last() : null) ?? await readiness.check();
  const status = leaving ? 'draining' : probe.up ? 'ready' : 'unready';
  const body = { status, checks: { database: describe(probe) } };
  if (status === 'ready') return { status: 200, body };
  return { status: 503, headers: { 'Retry-After': '1' }, body, note: { reason: probe.reason ?? status } };
}

function describe({ up, reason, latencyMs, since }: Probe): object {
  return { status: up ? 'up' : 'down', ...(up ? {} : { reason: reason ?? 'unknown' }), latency_ms: latencyMs, since };
}

async function tellMetrics(parts: Parts): Promise<Reply> {
  const headers = { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' };
  return { status: 200, headers, body: await parts.metrics() };
}

function openPlace({ store }: Parts): (request: Request) => Promise<Reply> {
  const guarded = createKeyring();
  return async request => {
    const key = parseKey(request.headers['idempotency-key']);
    const draft = parseOrder(request.query, request.body);
    return guarded(key, async () => {
      const orderId = newOrderId(Date.now());
      // Prefixed: an order without a key is stored under its own id, which a caller knows and could send as a key.
      const order = { orderId, ...draft, key: key === null ? null : `key:${key}` };
      // With a key the stored order may be an earlier attempt's, under its id: the key resolves an unknown outcome.
      const found = key === null ? orderId : null;
      const placed = await store.place(order, request.left).catch(error => translate(error, found));
      const { symbol, side, qty } = placed;
      if (symbol !== draft.symbol || side !== draft.side || qty !== draft.qty) {
        throw new Problem('idempotency_key_reused', 'this key belongs to an order with other values');
      }
      const headers = { Location: `/orders/${placed.orderId}` };
      return { status: 201, headers, body: show(placed), note: { orderId: placed.orderId } };
    });
  };
}

async function find({ store }: Parts, request: Request, { id = '' }: Params): Promise<Reply> {
  const orderId = uuid.test(id) ? id.toLowerCase() : null;
  const order = orderId && await store.find(orderId, request.left).catch(error => translate(error));
  if (!order) throw new Problem('order_not_found', 'there is no order with this id');
  return { status: 200, body: show(order), note: { orderId: order.orderId } };
}

function show({ orderId, symbol, side, qty, createdAt }: Order): object {
  return { order_id: orderId, status: 'accepted', symbol, side, qty: Number(qty), created_at: createdAt };
}

/** orderId: what finds an order of unknown outcome, null where only its key can tell; none for a look-up. */
function translate(error: unknown, orderId?: string | null): never {
  if (!(error instanceof StoreError) || error.kind === 'bug') throw error;
  const reason = `${error.reason} ${error.code}`;
  if (error.kind === 'overloaded') throw new Problem('overloaded', 'too much at once, nothing was stored', { reason });
  if (error.kind === 'unavailable' || orderId === undefined) {
    throw new Problem('database_unavailable', `the database is unavailable: ${error.reason}`, { reason });
  }
  const next = orderId === null ? 'send it again with its Idempotency-Key' : 'look it up';
  const detail = `the order may have been stored: ${next}`;
  throw new Problem('outcome_unknown', detail, { reason, ...(orderId === null ? {} : { orderId }) });
}
