// verify against services that tell one lie each: red at the right rung and for the right reason, nothing above it run.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { rungs } from '../checks/rungs.ts';
import type { RungName } from '../checks/rungs.ts';
import { openHonest, withFields } from './honest.ts';
import type { Lie, Reply, Request } from './honest.ts';
import { assertTap, openWorld, runVerify } from './running.ts';

type Liar = { lie: Lie; rung: RungName; sight: RegExp; unready?: boolean; env?: Record<string, string> };

type Change = (reply: Reply) => Reply;
const at = (path: string, change: (reply: Reply, request: Request) => Reply | 'silence' | 'cut' | 'reset'): Lie =>
  (reply, request) => request.path === path ? change(reply, request) : reply;
const placing = (change: Change): Lie => (reply, { path }) =>
  path === '/order' && reply.status === 201 ? change(reply) : reply;
const finding = (change: Change): Lie => (reply, { method, path }) =>
  method === 'GET' && path.startsWith('/orders/') && reply.status === 200 ? change(reply) : reply;
const headed = (reply: Reply, headers: Record<string, string>): Reply =>
  ({ ...reply, headers: { ...reply.headers, ...headers } });
const without = ({ headers, ...reply }: Reply, name: string): Reply =>
  ({ ...reply, headers: Object.fromEntries(Object.entries(headers).filter(([one]) => one !== name)) });
const coded = (status: number): Lie => (reply, { path }) => (path === '/order' ? { ...reply, status } : reply);
const html: Reply = { status: 200, headers: { 'content-type': 'text/html' }, body: '<h1>It works!</h1>' };
const gone: Reply = {
  status: 404, headers: { 'content-type': 'application/problem+json' }, body: '{"status":404,"code":"order_not_found"}',
};
const up = '{"status":"ready","checks":{"database":{"status":"up"}}}';

const liars: Record<string, Liar> = {
  'hangs up without an answer': {
    rung: 'alive', sight: /saw accepted_then_closed after \d+ ms/,
    lie: at('/health', () => 'cut'),
  },
  'resets without an answer': {
    rung: 'alive', sight: /saw reset \(ECONNRESET\)/,
    lie: at('/health', () => 'reset'),
  },
  'answers nothing': {
    rung: 'alive', sight: /saw silent after 4\d\d ms/,
    lie: at('/health', () => 'silence'),
  },
  'is not alive without its database': {
    rung: 'alive', unready: true, sight: /saw 503/,
    lie: at('/health', reply => ({ ...reply, status: 503 })),
  },
  'answers 500': {
    rung: 'alive', sight: /saw 500/,
    lie: at('/health', reply => ({ ...reply, status: 500 })),
  },
  'redirects': {
    rung: 'alive', sight: /saw 302 to \/ready/,
    lie: at('/health', reply => headed({ ...reply, status: 302 }, { location: '/ready' })),
  },
  'shows a page': {
    rung: 'alive', sight: /saw 200 but its type is text\/html/,
    lie: at('/health', () => html),
  },
  'calls a page JSON': {
    rung: 'alive', sight: /its body is no JSON object/,
    lie: at('/health', () => ({ ...html, headers: { 'content-type': 'application/json' } })),
  },
  'sends JSON as text': {
    rung: 'alive', sight: /its type is text\/plain/,
    lie: at('/health', reply => headed(reply, { 'content-type': 'text/plain' })),
  },
  'sends half a body': {
    rung: 'alive', sight: /saw malformed \(half a body\)/,
    lie: at('/health', reply => headed(reply, { 'content-length': '900' })),
  },
  'sends another body': {
    rung: 'alive', sight: /status is "ok", not "alive"/,
    lie: at('/health', reply => withFields(reply, { status: 'ok' })),
  },
  'tells no commit': {
    rung: 'versioned', sight: /git_sha missing or no text/,
    lie: at('/version', reply => withFields(reply, { git_sha: undefined })),
  },
  'tells an empty version': {
    rung: 'versioned', sight: /version, started_at missing/,
    lie: at('/version', reply => withFields(reply, { version: '', started_at: 7 })),
  },
  'is another instance each time': {
    rung: 'versioned', sight: /wanted instance/,
    lie: at('/version', reply => withFields(reply, { instance_id: String(Math.random()) })),
  },
  'is always ready': {
    rung: 'ready', unready: true, sight: /wanted 503, saw 200 for \d{4} ms/,
    lie: at('/ready', () => ({ status: 200, headers: { 'content-type': 'application/json' }, body: up })),
  },
  'is unready for no known reason': {
    rung: 'ready', unready: true, sight: /saw 503 but reason is "Error: connect"/,
    lie: at('/ready', reply => ({ ...reply, body: reply.body.replace('connection_refused', 'Error: connect') })),
  },
  'is never ready': {
    rung: 'ready', sight: /wanted 200, saw 503 .* for \d{4} ms/,
    lie: at('/ready', reply => ({ ...reply, status: 503 })),
  },
  'says ready in its status only': {
    rung: 'ready', sight: /saw 200 but checks.database is missing/,
    lie: at('/ready', reply => withFields(reply, { checks: {} })),
  },
  'is ready after the deadline': {
    rung: 'ready', sight: /saw silent for \d{4} ms/,
    lie: async (reply, { path }) => {
      if (path === '/ready') await new Promise(resolve => { setTimeout(resolve, 600); });
      return reply;
    },
  },
  'takes orders without a database': {
    rung: 'usable', unready: true, sight: /wanted 503 with a problem, saw 201/,
    lie: coded(201),
  },
  'refuses without saying when': {
    rung: 'usable', unready: true, sight: /Retry-After missing/,
    lie: at('/order', reply => without(reply, 'retry-after')),
  },
  'denies orders without a database': {
    rung: 'lasting', unready: true, sight: /wanted 503 .*saw 404 order_not_found/,
    lie: (reply, { path }) => (path.startsWith('/orders/') ? gone : reply),
  },
  'fails every order': {
    rung: 'usable', sight: /wanted 201 for an order in the query, saw 500/,
    lie: coded(500),
  },
  'answers 200 for a new order': {
    rung: 'usable', sight: /wanted 201 .*saw 200/,
    lie: coded(200),
  },
  'echoes another side': {
    rung: 'usable', sight: /saw side hold for/,
    lie: placing(reply => withFields(reply, { side: 'hold' })),
  },
  'echoes qty as text': {
    rung: 'usable', sight: /qty is "[\d.]+", no JSON number/,
    lie: placing(reply => ({ ...reply, body: reply.body.replace(/"qty":([\d.]+)/, '"qty":"$1"') })),
  },
  'rounds qty': {
    rung: 'usable', sight: /saw qty \d+ for \d+\.\d+/,
    lie: placing(reply => ({ ...reply, body: reply.body.replace(/("qty":\d+)\.\d+/, '$1') })),
  },
  'gives no Location': {
    rung: 'usable', sight: /wanted Location .*saw no Location/,
    lie: placing(reply => without(reply, 'location')),
  },
  'points elsewhere': {
    rung: 'usable', sight: /wanted Location \/orders\/.*saw \/order/,
    lie: placing(reply => headed(reply, { location: '/order' })),
  },
  'stores another qty': {
    rung: 'usable', sight: /wanted GET .* equal .*saw qty 1 for/,
    lie: finding(reply => withFields(reply, { qty: 1 })),
  },
  'dates orders anew': {
    rung: 'usable', sight: /created_at 2001/,
    lie: finding(reply => withFields(reply, { created_at: '2001-01-01T00:00:00Z' })),
  },
  'loses orders at once': {
    rung: 'usable', sight: /saw 404 order_not_found/,
    lie: finding(() => gone),
  },
  'has no HEAD': {
    rung: 'usable', sight: /wanted 200 for HEAD .*saw 405/,
    lie: (reply, { method }) => (method === 'HEAD' ? { ...reply, status: 405 } : reply),
  },
  'stores a repeated key twice': {
    rung: 'usable', sight: /wanted the first answer again/,
    lie: (reply, request, { orders }) => {
      if (!request.key || reply.status !== 201) return reply;
      const order = { ...[...orders.values()].at(-1), order_id: String(Math.random()) };
      return headed(withFields(reply, order), { location: `/orders/${order.order_id}` });
    },
  },
  'takes another order under a used key': {
    rung: 'usable', sight: /wanted 422 idempotency_key_reused/,
    lie: reply => (reply.status === 422 ? { ...reply, status: 201 } : reply),
  },
  'takes bad input': {
    rung: 'usable', sight: /wanted 400 invalid_order with field side for symbol=BTC&side=hold&qty=1, saw 201/,
    lie: (reply, { query }) => (query.get('side') === 'hold' ? { ...reply, status: 201 } : reply),
  },
  'names another field': {
    rung: 'usable', sight: /with field qty .*with field side/,
    lie: reply => ({ ...reply, body: reply.body.replace('"field":"qty"', '"field":"side"') }),
  },
  'refuses in plain JSON': {
    rung: 'usable', sight: /saw 400 without a problem/,
    lie: reply => (reply.status === 400 ? headed(reply, { 'content-type': 'application/json' }) : reply),
  },
  'knows every order': {
    rung: 'usable', sight: /wanted 404 order_not_found/,
    lie: (reply, { path }) => (path.startsWith('/orders/') && reply.status === 404 ? { ...reply, status: 200 } : reply),
  },
  'offers no methods': {
    rung: 'usable', sight: /wanted Allow with POST/,
    lie: reply => (reply.status === 405 ? headed(reply, { allow: '' }) : reply),
  },
};

// Liars who break the same rung are looked at in one run, each with a ladder of its own.
const titleOf = ({ rung, unready }: Liar) => `${rung}${unready ? ' under EXPECT=unready' : ''}`;
const titles = [...new Set(Object.values(liars).map(titleOf))];

describe('verify is red', { concurrency: 2 }, () => {
  for (const title of titles) {
    const group = Object.entries(liars).filter(([, liar]) => titleOf(liar) === title);
    test(`at ${title}, with nothing above it looked at,`, t => judge(t, group));
  }
});

async function judge(t: TestContext, group: [string, Liar][]): Promise<void> {
  const { rung, unready } = group[0]?.[1] ?? { rung: 'reachable', unready: false };
  const services = await Promise.all(group.map(async ([name, { lie, sight }]) => {
    const service = await openHonest(lie);
    return { name, sight, service, node: `127.0.0.1:${service.target.port}` };
  }));
  t.after(() => Promise.all(services.map(({ service }) => service.close())));
  for (const { service } of services) service.database = !unready;
  const { env } = await openWorld(t, []);
  const TARGETS = services.map(({ node }) => node).join(',');
  // Where a liar lets us wait for the deadline, the deadline is short.
  const SCALE = /alive|ready/.test(rung) ? '0.2' : '1';
  const run = await runVerify({ ...env, SCALE, TARGETS, ...(unready ? { EXPECT: 'unready' } : {}) });
  assert.equal(run.code, 1, run.stdout + run.stderr);
  assertTap(run);
  const states = rungs.map((one, i) => `${one} ${i < rungs.indexOf(rung) ? 'yes' : one === rung ? 'no' : '–'}`);
  assert.equal(run.verdict, `# verdict: ${states.join(' · ')}${unready ? ' · EXPECT=unready' : ''}`);
  for (const { name, sight, node } of services) {
    await t.test(`when the service ${name}`, () => {
      const broken = run.points.filter(({ id, held }) => id.node === node && !held);
      const errors = broken.map(({ error = '' }) => error);
      assert.ok(errors.some(error => sight.test(error)), `wanted ${sight}, saw ${errors.join('\n')}`);
      assert.ok(errors.every(error => error.startsWith(`${node} ${rung}: wanted `)), errors.join('\n'));
      assert.ok(broken.every(({ id }) => id.rung === rung));
    });
  }
}
