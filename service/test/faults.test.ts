// The running service through every database fault: status, reason, time of each answer. FAULT_TABLE=file writes them.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { after, test } from 'node:test';
import type { TestContext } from 'node:test';
import { openDatabase, until } from './database.ts';
import { listFaults, listNetworkFaults } from './faults.ts';
import type { Fault } from './faults.ts';
import { openFaultyProxy } from './faulty-proxy.ts';
import { get, post } from './http-cases.ts';
import { talk } from './raw.ts';
import { startService } from './running.ts';

type Seen = { text: string; ms: number };
const columns = ['health', 'ready', 'post', 'get'] as const;
type Column = (typeof columns)[number];
type Line = { fault: string; answers: Record<Column, Seen[]>; healedMs: number };

const close = 'Connection: close';
// /health takes milliseconds; the rest of its limit is for machines that are busy with other things.
const limitMs: Record<Column, number> = { health: 500, ready: 1000, post: 4000, get: 4000 };

async function ask(port: number, bytes: string): Promise<Seen & { json: Record<string, unknown> }> {
  const { answers: [answer], ms } = await talk({ port, bytes });
  assert.ok(answer, `no answer after ${ms} ms`);
  assert.equal(answer.headers.has('retry-after'), answer.status === 503);
  const json = JSON.parse(answer.body);
  const why = json.checks?.database.reason ?? json.code;
  return { text: why === undefined ? `${answer.status}` : `${answer.status} ${why}`, ms, json };
}

function client(port: number) {
  return {
    health: () => ask(port, get('/health', close)),
    ready: () => ask(port, get('/ready', close)),
    post: () => ask(port, post([close, 'Content-Length: 0'], '', '/order?symbol=BTC&side=buy&qty=1')),
    get: (id: string) => ask(port, get(`/orders/${id}`, close)),
  };
}
type Client = ReturnType<typeof client>;

/** The fault in place, two looks at everything at once; then out of it, until an order is stored again. */
async function goThrough(fault: Fault, api: Client, id: string): Promise<Line> {
  await fault.inject();
  const answers: Line['answers'] = { health: [], ready: [], post: [], get: [] };
  try {
    await until(api.ready, ({ text, ms }) => text === fault.ready && ms < limitMs.ready, 5000);
    for (let look = 0; look < 2; look += 1) {
      const [health, ready, posted, found] = await Promise.all([api.health(), api.ready(), api.post(), api.get(id)]);
      answers.health.push(health);
      answers.ready.push(ready);
      answers.post.push(posted);
      answers.get.push(found);
    }
  } finally {
    await fault.recover();
  }
  const backMs = performance.now();
  await until(api.ready, ({ text }) => text === '200', 10_000);
  const healedMs = performance.now() - backMs;
  assert.equal((await api.post()).text, '201', 'ready, but the next order fails');
  return { fault: fault.name, answers, healedMs };
}

function judge(fault: Fault, { answers, healedMs }: Line): void {
  const want: Record<Column, string[]> = { health: ['200'], ready: [fault.ready], post: fault.post, get: fault.get };
  for (const column of columns) {
    for (const { text, ms } of answers[column]) {
      assert.ok(
        want[column].includes(text),
        `${column}: wanted ${want[column].join(' or ')}, saw ${text} after ${Math.round(ms)} ms`,
      );
      assert.ok(ms < limitMs[column], `${column}: ${text} after ${Math.round(ms)} ms`);
    }
  }
  assert.ok(healedMs < 2000, `ready again after ${Math.round(healedMs)} ms`);
}

function cell(seen: Seen[]): string {
  const texts = [...new Set(seen.map(({ text }) => text))].join(' or ');
  return `${texts}, ${Math.ceil(Math.max(...seen.map(({ ms }) => ms)))} ms`;
}

function table(lines: Line[]): string {
  const rows = lines.map(({ fault, answers, healedMs }) =>
    `| ${fault} | ${columns.map(column => cell(answers[column])).join(' | ')} | ${Math.ceil(healedMs)} ms |`);
  return [
    '| fault | `/health` | `/ready` | `POST /order` | `GET /orders/<id>` | ready again |', '|---|---|---|---|---|---|',
    ...rows, '',
  ].join('\n');
}

const database = await openDatabase({ after });
const lines: Line[] = [];

async function goThroughAll(t: TestContext, databasePort: number, faults: Fault[]) {
  const service = await startService(t, { DATABASE_PORT: String(databasePort), DATABASE_PASSWORD: database.password });
  const api = client(service.port);
  const version = async () => (await ask(service.port, get('/version', close))).json['instance_id'];
  const instance = await version();
  for (const fault of faults) {
    await t.test(fault.name, async () => {
      const before = await api.post();
      const line = await goThrough(fault, api, String(before.json['order_id'] ?? NO_ORDER));
      lines.push(line);
      judge(fault, line);
    });
  }
  assert.equal(await version(), instance);
  assert.equal(service.stderr(), '');
}

const NO_ORDER = '00000000-0000-4000-8000-000000000000';

test('through every fault of its database the service answers in time and truthfully, in one process', async t => {
  await database.cluster('stop');
  await goThroughAll(t, database.port, listFaults(database));
});

test('through every fault of the way to its database it does so too', async t => {
  const proxy = await openFaultyProxy(t, database.port);
  await goThroughAll(t, proxy.port, listNetworkFaults(proxy));
});

after(async () => {
  const markdown = table(lines);
  if (process.env['FAULT_TABLE']) await writeFile(process.env['FAULT_TABLE'], markdown);
});
