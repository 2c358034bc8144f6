// The OpenAPI document against the route table, against what a running service answers, and against what it takes.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { openapi, version } from '../telemetry/openapi.ts';
import { parseOrder } from '../orders/order.ts';
import { openRoutes } from '../orders/endpoints.ts';
import { root } from './database.ts';
import { openFakeStore } from './fake-store.ts';
import { startService } from './running.ts';

type Schema = { [keyword: string]: unknown };
type Operation = { responses: Record<string, { content?: Record<string, { schema: Schema }> }> };
type Document = { paths: Record<string, Record<string, Operation>>; components: { schemas: Record<string, Schema> } };
const document: Document = JSON.parse(JSON.stringify(openapi));

// The few keywords of JSON Schema that the document uses; any other one is an error.
function check(schema: Schema, value: unknown, at: string): void {
  for (const [keyword, wish] of Object.entries(schema)) {
    if (keyword === '$ref') check(document.components.schemas[String(wish).split('/').at(-1) ?? ''] ?? {}, value, at);
    else if (keyword === 'const') assert.equal(value, wish, at);
    else if (keyword === 'enum') assert.ok(Array.isArray(wish) && wish.includes(value), `${at}: ${value}`);
    else if (keyword === 'pattern') assert.match(String(value), new RegExp(String(wish), 'u'), at);
    else if (keyword === 'type') assert.ok(wish === 'integer' ? Number.isInteger(value) : typeof value === wish, at);
    else if (keyword === 'minimum') assert.ok(Number(value) >= Number(wish), at);
    else if (keyword === 'maximum') assert.ok(Number(value) <= Number(wish), at);
    else if (keyword === 'description') assert.equal(typeof wish, 'string', at);
    else if (keyword === 'oneOf') assert.equal(Object(wish).filter((one: Schema) => fits(one, value)).length, 1, at);
    else if (keyword === 'format') checkFormat(String(wish), String(value), at);
    else if (keyword === 'properties') checkObject(schema, Object(value), at);
    else assert.ok(['required', 'additionalProperties'].includes(keyword), `${at}: unknown keyword ${keyword}`);
  }
}

function fits(schema: Schema, value: unknown): boolean {
  try {
    check(schema, value, 'value');
    return true;
  } catch {
    return false;
  }
}

function checkFormat(format: string, text: string, at: string): void {
  const pattern = {
    uuid: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, 'date-time': /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/,
  }[format];
  assert.ok(pattern?.test(text), `${at}: ${text} is no ${format}`);
}

function checkObject(schema: Schema, value: Record<string, unknown>, at: string): void {
  const properties = Object(schema['properties']);
  for (const name of Object(schema['required'])) assert.ok(name in value, `${at}.${name} is missing`);
  for (const [name, inner] of Object.entries(value)) {
    assert.ok(name in properties, `${at}.${name} is not promised`);
    check(properties[name], inner, `${at}.${name}`);
  }
}

test('every route is described, nothing else is, and the version is that of package.json', async () => {
  const unused = async (): Promise<never> => {
    throw new Error('not called');
  };
  const routes = openRoutes({ store: openFakeStore(), version: {}, draining: () => false, metrics: unused });
  const described = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.keys(item).map(method => `${method.toUpperCase()} ${path}`));
  assert.deepEqual(described, routes.map(({ method, path }) => `${method} ${path}`));
  assert.equal(version, JSON.parse(await readFile(join(root, 'package.json'), 'utf8')).version);
});

test('what a running service answers is what the document promises', async t => {
  const { port } = await startService(t);
  const seen = new Set<string>();
  for (const [method, path, template] of [
    ['get', '/health', '/health'], ['get', '/ready', '/ready'], ['get', '/version', '/version'],
    ['get', '/openapi.json', '/openapi.json'], ['get', '/metrics', '/metrics'], ['post', '/order', '/order'],
    ['post', '/order?symbol=BTC&side=buy&qty=1', '/order'], ['get', '/orders/x', '/orders/{id}'],
  ] as const) {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method });
    const type = (answer.headers.get('content-type') ?? '').split(';')[0] ?? '';
    const schema = document.paths[template]?.[method]?.responses[answer.status]?.content?.[type]?.schema;
    assert.ok(schema, `${method} ${path} ${answer.status} ${type} is not described`);
    const text = await answer.text();
    check(schema, type.endsWith('json') ? JSON.parse(text) : text, `${method} ${path}`);
    seen.add(template);
  }
  assert.equal(seen.size, Object.keys(document.paths).length);
  assert.deepEqual(await (await fetch(`http://127.0.0.1:${port}/openapi.json`)).json(), document);
});

test('an order and a problem have the promised form', () => {
  const order = {
    order_id: '8e03978e-40d5-43dd-bc93-6894a57f9324', status: 'accepted', symbol: 'BTC', side: 'buy', qty: 1.5,
    created_at: '2026-01-01T00:00:00.000Z',
  };
  check({ $ref: '#/components/schemas/Order' }, order, 'order');
  for (const wrong of [
    { ...order, qty: '1.5' }, { ...order, side: 'BUY' }, { ...order, extra: 1 }, { ...order, order_id: '1' },
    { ...order, qty: 1e15 },
  ]) assert.throws(() => check({ $ref: '#/components/schemas/Order' }, wrong, 'order'));
});

test('what a new order may hold by the document is what the service takes, at its limits too', () => {
  const many = '123456789012345';
  const texts = [
    '1', '0.5', '1.50', '0', '0.0', '01', '1.', '.5', '-1', '1e3', '', many, `${many}0`, `${many}.0`, `${many}.01`,
    `0.${many}`, `0.${many}0`, `0.${many}1`, '0.000000000000001', '0.0000000000000010',
    '0.0000000000000001', '1000000000000000',
    `1.${many.slice(1)}000`, `1.${many}`, '12345678.9012345', '12345678.90123456', '100000000000000',
    '1.0000000000000000',
  ];
  for (const qty of [...texts, 1e-15, 1e-16, 1e-7, 0, -1, 1e3, 1e14, 1e15, 999999999999999]) {
    const body = { symbol: 'BTC', side: 'buy', qty };
    assert.equal(takes(body), fits({ $ref: '#/components/schemas/NewOrder' }, body), String(qty));
  }
});

function takes(body: object): boolean {
  try {
    parseOrder('', Buffer.from(JSON.stringify(body)));
    return true;
  } catch {
    return false;
  }
}
