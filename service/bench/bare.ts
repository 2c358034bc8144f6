// The yardstick: the least that node:http and the same client need to take and return orders. No checks, no logs.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import postgres from 'postgres';

const { PORT, DATABASE_PORT, DATABASE_PASSWORD = '', IDS } = process.env;
const login = { database: 'orders', username: 'orders', password: DATABASE_PASSWORD };
const sql = postgres({ ...login, host: '127.0.0.1', port: Number(DATABASE_PORT), max: 10 });

async function answer(method: string, url: string): Promise<[status: number, body: object | undefined]> {
  if (url === '/health') return [200, { status: 'ok' }];
  if (url === '/ready') return [200, (await sql`select 1 as ready`)[0]];
  if (method === 'POST') return [201, await insert(new URLSearchParams(url.slice(url.indexOf('?'))))];
  const [order] = await sql`
    select order_id, symbol, side, qty, created_at from orders where order_id = ${url.slice('/orders/'.length)}`;
  return order ? [200, order] : [404, {}];
}

async function insert(given: URLSearchParams): Promise<object | undefined> {
  const id = IDS === 'ordered' ? timeOrderedId() : randomUUID();
  const [order] = await sql`
    insert into orders (order_id, symbol, side, qty, idempotency_key)
    values (${id}, ${given.get('symbol')}, ${given.get('side')}, ${given.get('qty')}, ${id})
    returning order_id, symbol, side, qty, created_at`;
  return order;
}

// UUIDv7: 48 bits of milliseconds, the rest random.
function timeOrderedId(): string {
  const ms = Date.now().toString(16).padStart(12, '0');
  return `${ms.slice(0, 8)}-${ms.slice(8)}-7${randomUUID().slice(15)}`;
}

createServer((request, response) => {
  const send = (status: number, body: object | undefined): void => {
    const text = JSON.stringify(body);
    const headers = { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) };
    response.writeHead(status, headers).end(text);
  };
  answer(request.method ?? '', request.url ?? '').then(([status, body]) => send(status, body), () => send(500, {}));
}).listen(Number(PORT), '127.0.0.1');
