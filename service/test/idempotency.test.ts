// A thousand keys, each sent three times at once, against a real database: a thousand orders.
import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';
import { test } from 'node:test';
import { openDatabase, until } from './database.ts';
import { get } from './http-cases.ts';
import { talk } from './raw.ts';
import { startService } from './running.ts';

const keys = 1000;

type Seen = { status: number; body: string };

function place(agent: Agent, port: number, key: string, qty: number): Promise<Seen> {
  return new Promise((resolve, reject) => {
    const req = request({ host: '127.0.0.1', port, agent, method: 'POST', path: `/order?symbol=BTC&side=buy&qty=${qty}`, headers: { 'Idempotency-Key': key } }, res => {
      let body = '';
      res.on('data', chunk => { body += String(chunk); });
      res.on('end', () => resolve({ status: res.statusCode ?? 0, body }));
    });
    req.on('error', reject);
    req.end();
  });
}

test('1,000 keys sent three times in parallel make 1,000 orders, and all three get the same answer', async t => {
  const closers: (() => Promise<void>)[] = [];
  t.after(async () => { for (const close of closers) await close(); });
  const database = await openDatabase({ after: close => void closers.push(close) });
  const { port } = await startService(t, { DATABASE_PORT: String(database.port), DATABASE_PASSWORD: database.password, LOG_LEVEL: 'error' });
  await until(async () => (await talk({ port, bytes: get('/ready', 'Connection: close') })).answers[0]?.status, status => status === 200, 10_000);
  const agent = new Agent({ keepAlive: true, maxSockets: 30 });
  t.after(() => agent.destroy());
  const counts: Record<number, number> = {};
  const insist = async (key: string, at: number): Promise<string> => {
    const { body } = await until(() => place(agent, port, key, at + 1), ({ status }) => {
      counts[status] = (counts[status] ?? 0) + 1;
      assert.ok([201, 409, 503].includes(status), String(status));
      return status === 201;
    }, 60_000);
    return body;
  };
  const answers = await Promise.all(Array.from({ length: keys }, (_, at) => Promise.all([insist(`k${at}`, at), insist(`"k${at}"`, at), insist(`k${at}`, at)])));
  t.diagnostic(`answers by status: ${JSON.stringify(counts)}`);
  for (const [first, ...others] of answers) for (const other of others) assert.equal(other, first);
  assert.equal(new Set(answers.map(([first]) => JSON.parse(first).order_id)).size, keys);
  assert.equal(await database.psql('select count(*) from orders'), String(keys));
});
