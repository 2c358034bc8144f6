// verify against services that lie about orders: red at `usable` or `lasting`, one lie each.
import { randomUUID } from 'node:crypto';
import { withFields } from './honest.ts';
import type { Lie, Order, Reply } from './honest.ts';
import { at, finding, headed, judgeLiars, placing, without, worded } from './lies.ts';
import type { Liar } from './lies.ts';

const usable = (sight: RegExp, lie: Lie): Liar => ({ rung: 'usable', sight, lie });
const coded = (status: number): Lie => (reply, { path }) => (path === '/order' ? { ...reply, status } : reply);
const gone = (reply: Reply): Reply => ({
  ...headed(reply, { 'content-type': 'application/problem+json' }), status: 404,
  body: JSON.stringify({
    type: 'about:blank', title: 'x', status: 404, code: 'order_not_found', detail: 'x',
    request_id: reply.headers['x-request-id'],
  }),
});
const orderOf = ({ body }: Reply) => JSON.parse(body) as Order;
/** What is stored is changed as well: the service is of one mind. */
const storing = (change: (order: Order) => Partial<Order>): Lie => (reply, { path }, { orders }) => {
  if (path !== '/order' || reply.status !== 201) return reply;
  const order = orderOf(reply);
  Object.assign(order, change(order));
  orders.set(order.order_id, order);
  return withFields(reply, order);
};
const accepted = (reply: Reply): Reply => ({
  ...headed(reply, { 'content-type': 'application/json', location: '/orders/x' }),
  status: 201, body: '{"status":"accepted"}',
});
const unknown = (status: number): Lie => (reply, { path }) =>
  path.startsWith('/orders/') && reply.status === 404 ? { ...reply, status } : reply;

judgeLiars({
  'takes orders without a database': {
    rung: 'usable', unready: true, sight: /wanted 503 with a problem, saw 201/, lie: coded(201),
  },
  'refuses without saying when': {
    rung: 'usable', unready: true, sight: /retry-after missing/,
    lie: at('/order', reply => without(reply, 'retry-after')),
  },
  'denies orders without a database': {
    rung: 'lasting', unready: true, sight: /wanted 503 .*saw 404 order_not_found/,
    lie: (reply, { path }) => (path.startsWith('/orders/') && reply.status === 503 ? gone(reply) : reply),
  },
  'fails every order': usable(/wanted 201 for .* in the query, saw 500/, coded(500)),
  'answers 200 for a new order': usable(/wanted 201 .*saw 200/, coded(200)),
  'echoes another side': usable(/saw side hold for/, placing(reply => withFields(reply, { side: 'hold' }))),
  'echoes qty as text': usable(/qty is "[^"]+", no JSON number/, placing(worded(/"qty":([^,]+)/, '"qty":"$1"'))),
  'rounds qty': usable(/saw qty \d+ for /, storing(({ qty }) => ({ qty: Math.ceil(qty) }))),
  'takes what is below 1 for 1': usable(/saw qty 1 for 0?\.?\d/, storing(({ qty }) => ({ qty: Math.max(1, qty) }))),
  'takes what is above 100,000 for that': usable(/saw qty 100000 for/,
    storing(({ qty }) => ({ qty: Math.min(1e5, qty) }))),
  'keeps nine decimals': usable(/saw qty .* for/, storing(({ qty }) => ({ qty: Math.round(qty * 1e9) / 1e9 }))),
  'keeps seven digits, as a float': usable(/saw qty .* for/, storing(({ qty }) => ({ qty: Math.fround(qty) }))),
  'knows three symbols': usable(/saw symbol BTC for/, storing(({ symbol }) =>
    ({ symbol: ['BTC', 'ETH', 'DRILL'].includes(symbol) ? symbol : 'BTC' }))),
  'keeps eight letters of a symbol': usable(/saw symbol .* for/,
    storing(({ symbol }) => ({ symbol: symbol.slice(0, 8) }))),
  'only buys': usable(/saw side buy for sell/, storing(() => ({ side: 'buy' }))),
  'dates orders to 1970': usable(/created_at of about .*saw 1970/,
    storing(() => ({ created_at: '1970-01-01T00:00:00.000Z' }))),
  'gives ids that are no UUID': usable(/order_id is "1\d*", no UUID/, placing(reply =>
    withFields(reply, { order_id: `1${String(Math.random()).slice(2)}` }))),
  'gives one id to all': usable(/wanted an id of its own/,
    storing(() => ({ order_id: '00000000-0000-4000-8000-000000000000' }))),
  'gives no Location': usable(/wanted location .*saw location missing/, placing(reply => without(reply, 'location'))),
  'points elsewhere': usable(/wanted location \/orders\/.*saw location \/order/, placing(reply =>
    headed(reply, { location: '/order' }))),
  'stores another qty': usable(/wanted GET .* equal .*saw qty 1 for/, finding(reply => withFields(reply, { qty: 1 }))),
  'dates orders again': usable(/created_at 2001/,
    finding(reply => withFields(reply, { created_at: '2001-01-01T00:00:00Z' }))),
  'loses orders at once': usable(/saw 404 order_not_found/, finding(gone)),
  'loses the order before the last': usable(/saw 404 order_not_found/, (reply, { path }, { orders }) =>
    reply.status === 200 && /^\/orders\//.test(path) && !path.endsWith([...orders.keys()].at(-1) ?? '') ? gone(reply)
      : reply),
  'has no HEAD of orders': usable(/HEAD .*saw 405/, (reply, { method, path }) =>
    method === 'HEAD' && path.startsWith('/orders/') ? { ...reply, status: 405 } : reply),
  'stores a repeated key twice': usable(/wanted the first answer again/, (reply, { key, path }, { keys, orders }) => {
    if (path !== '/order' || key === undefined || reply.status !== 201) return reply;
    keys.delete(key);
    const order = { ...orderOf(reply), order_id: randomUUID() };
    orders.set(order.order_id, order);
    return headed(withFields(reply, order), { location: `/orders/${order.order_id}` });
  }),
  'takes another order under a used key': usable(/wanted 422 idempotency_key_reused/, reply =>
    (reply.status === 422 ? { ...reply, status: 201 } : reply)),
  'replays with another Location': usable(/wanted location .*saw location \/orders\/again/, (() => {
    const known = new Set<string>();
    return placing((reply, { key = '' }) => {
      if (key !== '' && known.has(key)) return headed(reply, { location: '/orders/again' });
      known.add(key);
      return reply;
    });
  })()),
  'takes two of one key at once': usable(/wanted one order for eight posts at once, saw .* [2-8] ids/, (() => {
    const begun = new Map<string, number>();
    return async (reply, { key, path }, { keys, orders }) => {
      if (path !== '/order' || key === undefined || reply.status !== 201) return reply;
      const now = performance.now();
      begun.set(key, begun.get(key) ?? now);
      const order = orderOf(reply);
      const racing = now - (begun.get(key) ?? now) < 5 && now !== begun.get(key);
      if (!racing) return reply;
      const another = { ...order, order_id: randomUUID() };
      orders.set(another.order_id, another);
      keys.set(key, another);
      return headed(withFields(reply, another), { location: `/orders/${another.order_id}` });
    };
  })()),
  'forgets a key after a second': {
    rung: 'usable', slow: true, sight: /wanted the first answer again, saw order_id/,
    lie: (reply, { key, path }, { keys }) => {
      if (path === '/order' && key !== undefined) setTimeout(() => keys.delete(key), 1_000).unref();
      return reply;
    },
  },
  'takes bad input': usable(/wanted 400 invalid_order with field side for .*side=hold&?.*, saw 201/,
    (reply, { query }) =>
    (query.get('side') === 'hold' ? accepted(reply) : reply)),
  'takes a negative qty': usable(/wanted 400 invalid_order with field qty for .*qty=-1, saw 201/, (reply, { query }) =>
    (query.get('qty') === '-1' ? accepted(reply) : reply)),
  'takes a negative number': usable(/wanted 400 invalid_order with field qty for .*"qty":-1.*, saw 201/,
    (reply, { body }) =>
    (String(body).includes('"qty":-1}') ? accepted(reply) : reply)),
  'takes half a body': usable(/wanted 400 invalid_json for half a JSON body, saw 201/, (reply, { body }) =>
    (String(body) === '{"symbol":' ? accepted(reply) : reply)),
  'takes text for JSON': usable(/wanted 415 unsupported_media_type for text, saw 201/, (reply, { type }) =>
    (type === 'text/plain' ? accepted(reply) : reply)),
  'names another field': usable(/with field qty .*with field side/, worded('"field":"qty"', '"field":"side"')),
  'refuses in plain JSON': usable(/saw 400 without a problem/, reply =>
    (reply.status === 400 ? headed(reply, { 'content-type': 'application/json' }) : reply)),
  'refuses without the request id': usable(/saw 400 without a problem/,
    worded(/"request_id":"[^"]+"/, '"request_id":"x"')),
  'knows every order': usable(/wanted 404 order_not_found/, unknown(200)),
  'fails for what it does not have': usable(/wanted 404 order_not_found .*saw 500/, unknown(500)),
  'has something at every path': usable(/wanted 404 not_found .*saw 200/, reply =>
    (reply.body.includes('"not_found"') ? { ...reply, status: 200 } : reply)),
  'deletes what nobody may delete': usable(/wanted 405 method_not_allowed for DELETE .*saw 200/, (reply, { method }) =>
    (method === 'DELETE' ? { ...reply, status: 200 } : reply)),
  'offers no methods': usable(/wanted Allow with POST/,
    reply => (reply.status === 405 ? headed(reply, { allow: '' }) : reply)),
});
