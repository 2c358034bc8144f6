// verify against services that lie about what they are, or about whether they are ready: one lie each.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import type { Lie, Reply, Request } from './honest.ts';
import { commit, openHonest, withFields } from './honest.ts';
import { at, headed, judgeLiars, worded } from './lies.ts';
import type { Liar } from './lies.ts';
import { openHonestWorld, runVerify } from './running.ts';

const up = '{"status":"ready","checks":{"database":{"status":"up","latency_ms":1,"since":"2026-01-02T03:04:05Z"}}}';
const told = (sight: RegExp, fields: Record<string, unknown>): Liar =>
  ({ rung: 'versioned', sight, lie: at('/version', reply => withFields(reply, fields)) });
const versioned = (sight: RegExp, lie: Lie): Liar => ({ rung: 'versioned', sight, lie });
const every = (many: number, change: (reply: Reply) => Reply) => (reply: Reply, { count }: Request) =>
  count % many === 0 ? change(reply) : reply;
const unreadySometimes = (which: (count: number) => boolean): Lie => {
  let count = 0;
  return at('/ready', reply => which(count += 1) ? { ...reply, status: 500 } : reply);
};

judgeLiars({
  'tells no commit': told(/git_sha is missing/, { git_sha: undefined }),
  'tells an empty version': told(/version is "", started_at is 7/, { version: '', started_at: 7 }),
  'is another service': told(/wanted service orders, saw service payments/, { service: 'payments' }),
  'has a blank in place of its environment': told(/env is " "/, { env: ' ' }),
  'is a development version': told(/version is "dev"/, { version: 'dev' }),
  'is built from no known commit': told(/wanted a commit, saw git_sha unknown/, { git_sha: 'unknown' }),
  'is built from another commit': told(/wanted commit c0ffee.*, saw commit decaf/, { git_sha: 'decaf'.repeat(8) }),
  'has started in the future': told(/wanted a start in the past, .*; if that clock was set back/, {
    started_at: '2999-01-02T03:04:05Z',
  }),
  'is built in the future': told(/wanted a build before/, { build_time: '2999-01-02T03:04:05Z' }),
  'is an instance without a UUID': told(/instance_id is "1"/, { instance_id: '1' }),
  'starts at no time': told(/started_at is "today"/, { started_at: 'today' }),
  'is another instance each time': versioned(/wanted instance_id/, at('/version', reply =>
    withFields(reply, { instance_id: randomUUID() }))),
  'changes a field from one ask to the next': versioned(/wanted log_level \w+ again, saw log_level/,
    at('/version', every(2, worded('"info"', '"debug"')))),
  'is another build on every tenth connection': versioned(/wanted git_sha .* again, saw git_sha/,
    (reply, { connection, path }) => path === '/version' && connection % 10 === 0
      ? withFields(reply, { git_sha: 'decaf'.repeat(8) }) : reply),
  'has no openapi.json': versioned(/200 with application\/json for \/openapi.json, saw 404/,
    at('/openapi.json', reply =>
    ({ ...reply, status: 404 }))),
  'describes another version': versioned(/openapi.json of 0.2.0, saw "0.1.0"/,
    at('/openapi.json', worded('0.2.0', '0.1.0'))),
  'describes no orders': versioned(/openapi.json with \/order, saw/,
    at('/openapi.json', worded('"/order"', '"/orders"'))),
  'has no metrics': versioned(/200 with text\/plain for \/metrics, saw 404/, at('/metrics', reply =>
    ({ ...reply, status: 404 }))),
  'shows a page in place of metrics': versioned(/200 with text\/plain for \/metrics/, at('/metrics', reply =>
    headed(reply, { 'content-type': 'text/html' }))),
  'writes metrics that nobody can read': versioned(/in the text format 0.0.4, saw "service_ready yes/, at('/metrics',
    worded(/service_ready \d/, 'service_ready yes'))),
  'writes metrics of no type': versioned(/in the text format 0.0.4/,
    at('/metrics', worded('# TYPE service_ready gauge\n', ''))),
  'counts nothing': versioned(/metrics with http_requests_total .* above/, at('/metrics',
    worded(/(status="200"}) \d+/, '$1 7'))),
  'counts for another build': versioned(/metrics with build_info git_sha="c0ffee/,
    at('/metrics', worded(commit, 'decaf'))),
  'has metrics of another process': versioned(/process_start_time_seconds of about/, at('/metrics',
    worded(/(process_start_time_seconds) \d.*/, '$1 7'))),

  'is always ready': {
    rung: 'ready', unready: true, sight: /wanted 503, saw 200 for \d{4} ms/,
    lie: at('/ready', reply => headed({ ...reply, status: 200, body: up }, { 'content-type': 'application/json' })),
  },
  'is unready for no known reason': {
    rung: 'ready', unready: true, sight: /saw 503 but reason is "Error: connect"/,
    lie: at('/ready', worded('connection_refused', 'Error: connect')),
  },
  'is unready without saying when': {
    rung: 'ready', unready: true, sight: /saw 503 with Retry-After soon/,
    lie: at('/ready', reply => headed(reply, { 'retry-after': 'soon' })),
  },
  'is unready and counts itself ready': {
    rung: 'ready', unready: true, sight: /metrics with service_ready 0, saw service_ready 1/,
    lie: at('/metrics', worded('service_ready 0', 'service_ready 1')),
  },
  'is never ready': {
    rung: 'ready', sight: /wanted 200, saw 503 .* for \d{4} ms/,
    lie: at('/ready', reply => ({ ...reply, status: 503 })),
  },
  'says ready in its status only': {
    rung: 'ready', sight: /saw 200 but checks.database is missing/,
    lie: at('/ready', reply => withFields(reply, { checks: {} })),
  },
  'says that it is ready and that it is not': {
    rung: 'ready', sight: /saw 200 but its body has "status" twice/,
    lie: at('/ready', worded('{', '{"status":"unready",')),
  },
  'is ready after the deadline': {
    rung: 'ready', sight: /saw silent for \d{4} ms/,
    lie: async (reply, { path }) => {
      if (path === '/ready') await new Promise(resolve => { setTimeout(resolve, 600); });
      return reply;
    },
  },
  'is ready one time of ten': { rung: 'ready', sight: /saw 500 /, lie: unreadySometimes(count => count % 10 > 0) },
  'is ready nine times of ten': {
    rung: 'ready', slow: true, sight: /wanted 200 for 1500 ms, saw 500 after \d+ ms of 200/,
    lie: unreadySometimes(count => count % 10 === 0),
  },
});

test('a service that is started again every 2.5 s is not the same at the end', async t => {
  const { service, world } = await openHonestWorld(t);
  const loop = setInterval(service.restart, 2_500);
  t.after(() => clearInterval(loop));
  const run = await runVerify({ ...world.env, TEST_PACE: '1' });
  assert.equal(run.code, 1);
  assert.match(run.stdout, /versioned: wanted instance_id .* again, saw instance_id/);
  assert.match(run.verdict, / versioned no /);
});

test('what a target should be built from is a skip, unless COMMIT names it, all or its first letters', async t => {
  const service = await openHonest();
  t.after(() => service.close());
  const { world } = await openHonestWorld(t);
  const { COMMIT: _commit, ...bare } = world.env;
  const env = { ...bare, TARGETS: `127.0.0.1:${service.target.port}` };
  const fate = async (more: Record<string, string>) => {
    const run = await runVerify({ ...env, ...more });
    const point = run.points.find(({ id }) => id.check === 'commit');
    return point?.skip !== undefined ? 'skipped' : point?.held;
  };
  assert.equal(await fate({}), 'skipped');
  assert.equal(await fate({ COMMIT: commit.slice(0, 8) }), true);
  assert.equal(await fate({ COMMIT: commit.slice(1, 9) }), false);
});
