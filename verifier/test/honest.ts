// A service that keeps every promise, in memory; each test gives it one lie to tell, or a way to be honest.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Target } from '#infra/platform';
import { documentsOf } from './honest-documents.ts';

export type Reply = { status: number; headers: Record<string, string>; body: string };
/** `count`: the how manieth of this service. `agent`: how the client calls itself. */
export type Request = {
  method: string; path: string; query: URLSearchParams; body: Buffer; key: string | undefined; type: string;
  id: string | undefined; agent: string; count: number; connection: number;
};
/** What is done to an honest reply: another reply, or something that is none; `bytes` are sent as they are. */
export type Lie = (reply: Reply, request: Request, honest: Honest) => NoReply | Reply | Promise<Reply | NoReply>;
type NoReply = 'silence' | 'cut' | 'reset' | { bytes: string | Buffer };
export type Order = {
  order_id: string; status: 'accepted'; symbol: string; side: string; qty: number; created_at: string;
};
export type Honest = {
  target: Target;
  orders: Map<string, Order>;
  keys: Map<string, Order>;
  database: boolean;
  asked: string[];
  identity: Record<string, string>;
  /** How many connections are open. */
  open: () => number;
  /** Another process, with the same orders. */
  restart: () => void;
  close: () => Promise<void>;
};

/** What an honest service is built from, here. */
export const commit = 'c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00';

export async function openHonest(
  lie: Lie = reply => reply, version: Record<string, string> = {}, where = { host: '127.0.0.1', port: 0 },
): Promise<Honest> {
  let [count, connections] = [0, 0];
  const ofSocket = new WeakMap<object, number>();
  const server = createServer((incoming, outgoing) => {
    void read(incoming).then(async one => {
      const request = { ...one, count: count += 1, connection: ofSocket.get(incoming.socket) ?? 0 };
      honest.asked.push(`${request.method} ${request.path}`);
      const reply = route(request, honest);
      const signed = { ...reply, headers: { 'x-request-id': request.id ?? randomUUID(), ...reply.headers } };
      const bodied = { ...signed, body: signed.body.replace('REQUEST-ID', signed.headers['x-request-id'] ?? '') };
      send(await lie(bodied, request, honest), incoming, outgoing);
    });
  });
  server.on('connection', socket => { ofSocket.set(socket, connections += 1); });
  const newIdentity = () => ({ ...build, instance_id: randomUUID(), started_at: new Date().toISOString(), ...version });
  const honest: Honest = {
    target: await listen(server, where), identity: newIdentity(),
    orders: new Map(), keys: new Map(), database: true, asked: [],
    open: () => (server as unknown as { _connections: number })._connections,
    restart: () => { honest.identity = newIdentity(); },
    close: async () => { server.closeAllConnections(); await new Promise(resolve => server.close(resolve)); },
  };
  return honest;
}

/** A reply with other fields in its JSON body. */
export function withFields(reply: Reply, fields: Record<string, unknown>): Reply {
  return { ...reply, body: JSON.stringify({ ...JSON.parse(reply.body) as object, ...fields }) };
}

/** The bytes of an honest answer, for a lie that changes them. */
export function bytesOf({ status, headers, body }: Reply, more: Record<string, string> = {}): string {
  const date = new Date().toUTCString();
  const all = { date, 'content-length': String(Buffer.byteLength(body)), connection: 'close', ...headers, ...more };
  const lines = Object.entries(all).filter(([, value]) => value !== '').map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} OK\r\n${lines.join('')}\r\n${body}`;
}

const build = {
  service: 'orders', env: 'test', version: '0.2.0', log_level: 'info', git_sha: commit,
  build_time: '2026-01-02T03:04:05Z', node: 'v20.0.0',
};

async function listen(server: Server, where: { host: string; port: number }): Promise<Target> {
  await new Promise<void>((resolve, reject) => { server.once('error', reject).listen(where, resolve); });
  return { node: 'control', host: where.host, port: (server.address() as AddressInfo).port };
}

async function read(incoming: IncomingMessage): Promise<Omit<Request, 'count' | 'connection'>> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(Buffer.from(chunk as Uint8Array));
  const [path = '', query = ''] = (incoming.url ?? '').split('?');
  const { method = '', headers } = incoming;
  const text = (name: string) => (typeof headers[name] === 'string' ? headers[name] : undefined);
  return {
    method, path, query: new URLSearchParams(query.replaceAll('+', '%2B')), body: Buffer.concat(chunks),
    key: text('idempotency-key')?.replace(/^"(.*)"$/, '$1'), type: text('content-type') ?? '',
    id: text('x-request-id'), agent: text('user-agent') ?? '',
  };
}

function send(reply: Reply | NoReply, incoming: IncomingMessage, outgoing: ServerResponse): void {
  if (reply === 'silence') return;
  if (reply === 'cut') return void incoming.socket.end();
  if (reply === 'reset') return void incoming.socket.resetAndDestroy();
  if ('bytes' in reply) return void incoming.socket.end(reply.bytes);
  const length = String(Buffer.byteLength(reply.body));
  const framed = reply.headers['transfer-encoding'] === undefined ? { 'content-length': length } : {};
  const headers: Record<string, string> = { ...framed, ...reply.headers };
  outgoing.writeHead(reply.status, headers);
  // More promised than sent: the rest is cut off.
  const more = Number(headers['content-length']) > reply.body.length && incoming.method !== 'HEAD';
  if (more) outgoing.write(reply.body, () => incoming.socket.destroy());
  else outgoing.end(incoming.method === 'HEAD' ? '' : reply.body);
}

function json(status: number, body: object, headers: Record<string, string> = {}): Reply {
  return { status, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) };
}

/** A refusal as the service words it. */
export function problem(
  status: number, code: string, more: { field?: string; headers?: Record<string, string> } = {},
): Reply {
  const { field, headers } = more;
  const later = status === 503 ? { 'retry-after': '1' } : {};
  const type = { 'content-type': 'application/problem+json' };
  const body = { type: 'about:blank', title: code, status, code, detail: code, request_id: 'REQUEST-ID', field };
  return json(status, body, { ...type, ...later, ...headers });
}

const gets = /^\/(health|ready|version|openapi\.json|metrics|orders\/[^/]+)$/;

function route(request: Request, honest: Honest): Reply {
  const { method, path } = request;
  const { database, identity, orders } = honest;
  const notAllowed = (allow: string) => problem(405, 'method_not_allowed', { headers: { allow } });
  if (path === '/order') return method === 'POST' ? place(request, honest) : notAllowed('OPTIONS, POST');
  if (!gets.test(path)) return problem(404, 'not_found');
  if (method !== 'GET' && method !== 'HEAD') return notAllowed('GET, HEAD, OPTIONS');
  if (path === '/health') return json(200, { status: 'alive' });
  if (path === '/ready') return ready(database);
  if (path === '/version') return json(200, identity);
  if (!path.startsWith('/orders/')) return documentsOf(path, honest);
  if (!database) return problem(503, 'database_unavailable');
  const order = orders.get(path.slice('/orders/'.length));
  return order ? json(200, order) : problem(404, 'order_not_found');
}

function ready(database: boolean): Reply {
  const common = { latency_ms: 1, since: new Date().toISOString() };
  if (database) return json(200, { status: 'ready', checks: { database: { status: 'up', ...common } } });
  const check = { status: 'down', reason: 'connection_refused', ...common };
  return json(503, { status: 'unready', checks: { database: check } }, { 'retry-after': '1' });
}

type Sent = { symbol: string; side: string; qty: string };

function place(request: Request, { database, keys, orders }: Honest): Reply {
  const { key, type, body } = request;
  if (body.length > 0 && !type.startsWith('application/json')) return problem(415, 'unsupported_media_type');
  const sent = body.length > 0 ? readJson(body) : readPairs([...request.query]);
  if ('refused' in sent) return sent.refused;
  const { symbol, side, qty } = sent;
  if (!database) return problem(503, 'database_unavailable');
  const before = key === undefined ? undefined : keys.get(key);
  if (before && (before.symbol !== symbol || before.side !== side || before.qty !== Number(qty))) {
    return problem(422, 'idempotency_key_reused');
  }
  const created_at = new Date().toISOString();
  const placed = { symbol, side, qty: Number(qty), created_at };
  const order: Order = before ?? { order_id: randomUUID(), status: 'accepted', ...placed };
  orders.set(order.order_id, order);
  if (key !== undefined) keys.set(key, order);
  return json(201, order, { location: `/orders/${order.order_id}` });
}

/** Flat objects are all that is ever accepted; a number keeps the digits that it was sent with. */
function readJson(body: Buffer): Sent | { refused: Reply } {
  const refused = problem(400, 'invalid_json');
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body);
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return { refused };
    const pairs = [...text.matchAll(/"([^"]*)"\s*:\s*("[^"]*"|[^,}]+)/g)];
    return readPairs(pairs.map(([, name = '', token = '']): [string, string, boolean] => (
      [name, token.startsWith('"') ? JSON.parse(token) as string : token.trim(), !token.startsWith('"')]
    )));
  } catch {
    return { refused };
  }
}

function readPairs(pairs: [name: string, text: string, isJson?: boolean][]): Sent | { refused: Reply } {
  const fields = ['symbol', 'side', 'qty'];
  const invalid = (field: string) => ({ refused: problem(400, 'invalid_order', { field }) });
  const odd = pairs.find(([name], i) => !fields.includes(name) || pairs.findIndex(([one]) => one === name) !== i);
  if (odd) return invalid(odd[0]);
  const valueOf = (name: string) => pairs.find(([one]) => one === name) ?? [name, ''];
  const [[, symbol, bare], [, side], [, qty, isNumber]] = [valueOf('symbol'), valueOf('side'), valueOf('qty')];
  if (bare || !/^[A-Z][A-Z0-9.-]{0,15}$/.test(symbol)) return invalid('symbol');
  if (side !== 'buy' && side !== 'sell') return invalid('side');
  const [, whole = '', part = '', power = '0'] = /^(0|[1-9]\d*)(?:\.(\d+))?(?:[eE]([-+]?\d+))?$/.exec(qty) ?? [];
  const digits = `${whole}${part}`.replace(/^0+|0+$/g, '');
  const places = part.length - Number(power) - (/0*$/.exec(`${whole}${part}`)?.[0].length ?? 0);
  const fits = digits.length + Math.max(0, -places) <= 15 && places <= 15;
  if (digits === '' || !fits || (!isNumber && /e/i.test(qty))) return invalid('qty');
  return { symbol, side, qty };
}
