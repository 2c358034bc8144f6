// A service that keeps every promise, in memory; each test gives it one lie to tell.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Target } from '#infra/platform';

export type Reply = { status: number; headers: Record<string, string>; body: string };
export type Request = { method: string; path: string; query: URLSearchParams; body: string; key: string | undefined };
/** What is done to an honest reply: another reply, or something that is none. */
export type Lie = (reply: Reply, request: Request, honest: Honest) => NoReply | Reply | Promise<Reply>;
type NoReply = 'silence' | 'cut' | 'reset';
export type Order = {
  order_id: string; status: 'accepted'; symbol: string; side: string; qty: number; created_at: string;
};
export type Honest = {
  target: Target;
  orders: Map<string, Order>;
  database: boolean;
  asked: string[];
  /** How many connections are open. */
  open: () => number;
  close: () => Promise<void>;
};

export async function openHonest(lie: Lie = reply => reply, version: Record<string, string> = {}): Promise<Honest> {
  const keys = new Map<string, Order>();
  const identity = { ...build, instance_id: randomUUID(), started_at: new Date().toISOString(), ...version };
  const server = createServer((incoming, outgoing) => {
    void read(incoming).then(async request => {
      honest.asked.push(`${request.method} ${request.path}`);
      send(await lie(route(request, { honest, keys, identity }), request, honest), incoming, outgoing);
    });
  });
  const honest: Honest = {
    target: await listen(server), orders: new Map(), database: true, asked: [],
    open: () => (server as unknown as { _connections: number })._connections,
    close: async () => { server.closeAllConnections(); await new Promise(resolve => server.close(resolve)); },
  };
  return honest;
}

/** A reply with other fields in its JSON body. */
export function withFields(reply: Reply, fields: Record<string, unknown>): Reply {
  return { ...reply, body: JSON.stringify({ ...JSON.parse(reply.body) as object, ...fields }) };
}

const build = {
  service: 'orders', env: 'test', version: '0.2.0', log_level: 'info', git_sha: 'c0ffee', build_time: 'unknown',
  node: 'v20.0.0',
};
type House = { honest: Honest; keys: Map<string, Order>; identity: Record<string, string> };

async function listen(server: Server): Promise<Target> {
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve); });
  return { node: 'control', host: '127.0.0.1', port: (server.address() as AddressInfo).port };
}

async function read(incoming: IncomingMessage): Promise<Request> {
  let body = '';
  for await (const chunk of incoming.setEncoding('utf8')) body += String(chunk);
  const [path = '', query = ''] = (incoming.url ?? '').split('?');
  const { method = '', headers: { 'idempotency-key': given } } = incoming;
  const key = typeof given === 'string' ? given : undefined;
  return { method, path, query: new URLSearchParams(query), body, key };
}

function send(reply: Reply | NoReply, incoming: IncomingMessage, outgoing: ServerResponse): void {
  if (reply === 'silence') return;
  if (reply === 'cut') return void incoming.socket.end();
  if (reply === 'reset') return void incoming.socket.resetAndDestroy();
  outgoing.writeHead(reply.status, reply.headers);
  // More promised than sent: the rest is cut off.
  const more = Number(reply.headers['content-length']) > reply.body.length;
  if (more) outgoing.write(reply.body, () => incoming.socket.destroy());
  else outgoing.end(incoming.method === 'HEAD' ? '' : reply.body);
}

function json(status: number, body: object, headers: Record<string, string> = {}): Reply {
  return { status, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) };
}

function problem(status: number, code: string, more: { field?: string; headers?: Record<string, string> } = {}): Reply {
  const { field, headers } = more;
  const later = status === 503 ? { 'retry-after': '1' } : {};
  const type = { 'content-type': 'application/problem+json' };
  return json(status, { title: code, status, code, field }, { ...type, ...later, ...headers });
}

function route(request: Request, house: House): Reply {
  const { method, path } = request;
  const { database } = house.honest;
  const found = /^\/orders\/(.+)$/.exec(path);
  if (path === '/order' && method !== 'POST') return problem(405, 'method_not_allowed', { headers: { allow: 'POST' } });
  if (path !== '/order' && method !== 'GET' && method !== 'HEAD') {
    return problem(405, 'method_not_allowed', { headers: { allow: 'GET, HEAD' } });
  }
  if (path === '/health') return json(200, { status: 'alive' });
  if (path === '/ready') return ready(database);
  if (path === '/version') return json(200, house.identity);
  if (path === '/order') return place(request, house);
  if (!found) return problem(404, 'not_found');
  if (!database) return problem(503, 'database_unavailable');
  const order = house.honest.orders.get(found[1] ?? '');
  return order ? json(200, order) : problem(404, 'order_not_found');
}

function ready(database: boolean): Reply {
  const common = { latency_ms: 1, since: new Date().toISOString() };
  if (database) return json(200, { status: 'ready', checks: { database: { status: 'up', ...common } } });
  const check = { status: 'down', reason: 'connection_refused', ...common };
  return json(503, { status: 'unready', checks: { database: check } }, { 'retry-after': '1' });
}

function place({ query, body, key }: Request, { honest, keys }: House): Reply {
  const sent = body === '' ? Object.fromEntries(query) : parsed(body);
  if (sent === undefined) return problem(400, 'invalid_json');
  const { symbol = '', side = '', qty = '' } = sent;
  const digits = String(qty).replace('.', '').replace(/^0+/, '').length;
  if (!/^[A-Z][A-Z0-9.-]{0,15}$/.test(symbol)) return problem(400, 'invalid_order', { field: 'symbol' });
  if (side !== 'buy' && side !== 'sell') return problem(400, 'invalid_order', { field: 'side' });
  const plain = /^\d+(\.\d+)?$/.test(String(qty)) && digits <= 15;
  if (!plain || Number(qty) <= 0) return problem(400, 'invalid_order', { field: 'qty' });
  if (!honest.database) return problem(503, 'database_unavailable');
  const before = key === undefined ? undefined : keys.get(key);
  if (before && (before.symbol !== symbol || before.side !== side || before.qty !== Number(qty))) {
    return problem(422, 'idempotency_key_reused');
  }
  const created_at = new Date().toISOString();
  const placed = { symbol, side, qty: Number(qty), created_at };
  const order: Order = before ?? { order_id: randomUUID(), status: 'accepted', ...placed };
  honest.orders.set(order.order_id, order);
  if (key !== undefined) keys.set(key, order);
  return json(201, order, { location: `/orders/${order.order_id}` });
}

function parsed(body: string): Record<string, string> | undefined {
  try {
    return JSON.parse(body) as Record<string, string>;
  } catch {
    return undefined;
  }
}
