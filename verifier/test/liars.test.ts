// verify against services that tell one lie each: red at the right rung, for the right reason, and nothing above it looked at.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { RUNGS } from '../report.ts';
import { openHonest, withFields } from './honest.ts';
import type { Lie, Reply, Request } from './honest.ts';
import { assertTap, openWorld, runVerify } from './running.ts';

type Liar = { lie: Lie; rung: string; sight: RegExp; unready?: boolean; env?: Record<string, string> };

const at = (path: string, change: (reply: Reply, request: Request) => Reply | 'silence' | 'cut' | 'reset'): Lie =>
  (reply, request) => (request.path === path ? change(reply, request) : reply);
const placing = (change: (reply: Reply) => Reply): Lie => (reply, { path }) => (path === '/order' && reply.status === 201 ? change(reply) : reply);
const finding = (change: (reply: Reply) => Reply): Lie => (reply, { method, path }) => (method === 'GET' && path.startsWith('/orders/') && reply.status === 200 ? change(reply) : reply);
const headed = (reply: Reply, headers: Record<string, string>): Reply => ({ ...reply, headers: { ...reply.headers, ...headers } });
const coded = (status: number): Lie => (reply, { path }) => (path === '/order' ? { ...reply, status } : reply);
const html: Reply = { status: 200, headers: { 'content-type': 'text/html' }, body: '<h1>It works!</h1>' };
const gone: Reply = { status: 404, headers: { 'content-type': 'application/problem+json' }, body: '{"status":404,"code":"order_not_found"}' };

const liars: Record<string, Liar> = {
  'hangs up without an answer': { lie: at('/health', () => 'cut'), rung: 'alive', sight: /saw accepted_then_closed after \d+ ms/ },
  'resets without an answer': { lie: at('/health', () => 'reset'), rung: 'alive', sight: /saw reset \(ECONNRESET\)/ },
  'answers nothing': { lie: at('/health', () => 'silence'), rung: 'alive', sight: /saw silent after 4\d\d ms/ },
  'is not alive without its database': { lie: at('/health', reply => ({ ...reply, status: 503 })), rung: 'alive', sight: /saw 503/, unready: true },
  'answers 500': { lie: at('/health', reply => ({ ...reply, status: 500 })), rung: 'alive', sight: /saw 500/ },
  'redirects': { lie: at('/health', reply => headed({ ...reply, status: 302 }, { location: '/ready' })), rung: 'alive', sight: /saw 302 to \/ready/ },
  'shows a page': { lie: at('/health', () => html), rung: 'alive', sight: /saw 200 but its type is text\/html/ },
  'calls a page JSON': { lie: at('/health', () => ({ ...html, headers: { 'content-type': 'application/json' } })), rung: 'alive', sight: /its body is no JSON object/ },
  'sends JSON as text': { lie: at('/health', reply => headed(reply, { 'content-type': 'text/plain' })), rung: 'alive', sight: /its type is text\/plain/ },
  'sends half a body': { lie: at('/health', reply => headed(reply, { 'content-length': '900' })), rung: 'alive', sight: /saw malformed \(half a body\)/ },
  'sends another body': { lie: at('/health', reply => withFields(reply, { status: 'ok' })), rung: 'alive', sight: /status is "ok", not "alive"/ },
  'tells no commit': { lie: at('/version', reply => withFields(reply, { git_sha: undefined })), rung: 'versioned', sight: /git_sha missing or no text/ },
  'tells an empty version': { lie: at('/version', reply => withFields(reply, { version: '', started_at: 7 })), rung: 'versioned', sight: /version, started_at missing/ },
  'is another instance each time': { lie: at('/version', reply => withFields(reply, { instance_id: String(Math.random()) })), rung: 'versioned', sight: /wanted instance/ },
  'is always ready': { lie: at('/ready', () => ({ ...html, headers: { 'content-type': 'application/json' }, body: '{"status":"ready","checks":{"database":{"status":"up"}}}' })),
    rung: 'ready', sight: /wanted 503, saw 200 for \d{4} ms/, unready: true },
  'is unready for no known reason': { lie: at('/ready', reply => ({ ...reply, body: reply.body.replace('connection_refused', 'Error: connect') })),
    rung: 'ready', sight: /saw 503 but reason is "Error: connect"/, unready: true },
  'is never ready': { lie: at('/ready', reply => ({ ...reply, status: 503 })), rung: 'ready', sight: /wanted 200, saw 503 .* for \d{4} ms/ },
  'says ready in its status only': { lie: at('/ready', reply => withFields(reply, { checks: {} })), rung: 'ready', sight: /saw 200 but checks.database is missing/ },
  'is ready after the deadline': { lie: async (reply, { path }) => { if (path === '/ready') await new Promise(resolve => { setTimeout(resolve, 600); }); return reply; },
    rung: 'ready', sight: /saw silent for \d{4} ms/ },
  'takes orders without a database': { lie: coded(201), rung: 'usable', sight: /wanted 503 with a problem, saw 201/, unready: true },
  'refuses without saying when': { lie: at('/order', ({ headers: { 'retry-after': _, ...headers }, ...reply }) => ({ ...reply, headers })), rung: 'usable', sight: /Retry-After missing/, unready: true },
  'denies orders without a database': { lie: (reply, { path }) => (path.startsWith('/orders/') ? gone : reply), rung: 'lasting', sight: /wanted 503 .*saw 404 order_not_found/, unready: true },
  'fails every order': { lie: coded(500), rung: 'usable', sight: /wanted 201 for an order in the query, saw 500/ },
  'answers 200 for a new order': { lie: coded(200), rung: 'usable', sight: /wanted 201 .*saw 200/ },
  'echoes another side': { lie: placing(reply => withFields(reply, { side: 'hold' })), rung: 'usable', sight: /saw side hold for/ },
  'echoes qty as text': { lie: placing(reply => ({ ...reply, body: reply.body.replace(/"qty":([\d.]+)/, '"qty":"$1"') })), rung: 'usable', sight: /qty is "[\d.]+", no JSON number/ },
  'rounds qty': { lie: placing(reply => ({ ...reply, body: reply.body.replace(/("qty":\d+)\.\d+/, '$1') })), rung: 'usable', sight: /saw qty \d+ for \d+\.\d+/ },
  'gives no Location': { lie: placing(({ headers: { location: _, ...headers }, ...reply }) => ({ ...reply, headers })), rung: 'usable', sight: /wanted Location .*saw no Location/ },
  'points elsewhere': { lie: placing(reply => headed(reply, { location: '/order' })), rung: 'usable', sight: /wanted Location \/orders\/.*saw \/order/ },
  'stores another qty': { lie: finding(reply => withFields(reply, { qty: 1 })), rung: 'usable', sight: /wanted GET .* equal .*saw qty 1 for/ },
  'dates orders anew': { lie: finding(reply => withFields(reply, { created_at: '2001-01-01T00:00:00Z' })), rung: 'usable', sight: /created_at 2001/ },
  'loses orders at once': { lie: finding(() => gone), rung: 'usable', sight: /saw 404 order_not_found/ },
  'has no HEAD': { lie: (reply, { method }) => (method === 'HEAD' ? { ...reply, status: 405 } : reply), rung: 'usable', sight: /wanted 200 for HEAD .*saw 405/ },
  'stores a repeated key twice': { lie: (reply, request, { orders }) => {
    const order = request.key && reply.status === 201 ? { ...[...orders.values()].at(-1), order_id: String(Math.random()) } : undefined;
    return order ? headed(withFields(reply, order), { location: `/orders/${order.order_id}` }) : reply;
  }, rung: 'usable', sight: /wanted the first answer again/ },
  'takes another order under a used key': { lie: reply => (reply.status === 422 ? { ...reply, status: 201 } : reply), rung: 'usable', sight: /wanted 422 idempotency_key_reused/ },
  'takes bad input': { lie: (reply, { query }) => (query.get('side') === 'hold' ? { ...reply, status: 201 } : reply), rung: 'usable', sight: /wanted 400 invalid_order with field side for symbol=BTC&side=hold&qty=1, saw 201/ },
  'names another field': { lie: reply => ({ ...reply, body: reply.body.replace('"field":"qty"', '"field":"side"') }), rung: 'usable', sight: /with field qty .*with field side/ },
  'refuses in plain JSON': { lie: reply => (reply.status === 400 ? headed(reply, { 'content-type': 'application/json' }) : reply), rung: 'usable', sight: /saw 400 without a problem/ },
  'knows every order': { lie: (reply, { path }) => (path.startsWith('/orders/') && reply.status === 404 ? { ...reply, status: 200 } : reply), rung: 'usable', sight: /wanted 404 order_not_found/ },
  'offers no methods': { lie: reply => (reply.status === 405 ? headed(reply, { allow: '' }) : reply), rung: 'usable', sight: /wanted Allow with POST/ },
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
  const { rung, unready } = group[0]?.[1] ?? { rung: '', unready: false };
  const services = await Promise.all(group.map(async ([name, { lie, sight }]) => ({ name, sight, service: await openHonest(lie) })));
  t.after(() => Promise.all(services.map(({ service }) => service.close())));
  for (const { service } of services) service.database = !unready;
  const { env } = await openWorld(t, []);
  const TARGETS = services.map(({ service }) => `127.0.0.1:${service.target.port}`).join(',');
  // Where a liar lets us wait for the deadline, the deadline is short.
  const SCALE = /alive|ready/.test(rung) ? '0.2' : '1';
  const run = await runVerify({ ...env, SCALE, TARGETS, ...(unready ? { EXPECT: 'unready' } : {}) });
  assert.equal(run.code, 1, run.stdout + run.stderr);
  assertTap(run);
  const states = RUNGS.map((one, i) => `${one} ${i < RUNGS.indexOf(rung) ? 'yes' : one === rung ? 'no' : '–'}`);
  assert.equal(run.verdict, `# verdict: ${states.join(' · ')}${unready ? ' · EXPECT=unready' : ''}`);
  for (const { name, sight, service } of services) {
    await t.test(`when the service ${name}`, () => {
      const errors = run.stdout.split('\n').filter(line => line.startsWith(`  error: '127.0.0.1:${service.target.port} `));
      assert.ok(errors.some(line => sight.test(line)), `wanted ${sight}, saw ${errors.join('\n')}`);
      assert.ok(errors.every(line => line.includes(` ${rung}: wanted `)), errors.join('\n'));
    });
  }
}
