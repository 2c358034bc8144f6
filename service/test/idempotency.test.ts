// How a key is spelt; and a thousand keys, each sent three times at once, against a real database: a thousand orders.
import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';
import { test } from 'node:test';
import { Problem } from '../http/problem.ts';
import { parseKey } from '../orders/idempotency.ts';
import { openapi } from '../telemetry/openapi.ts';
import { openDatabase, until } from './database.ts';
import { get } from './http-cases.ts';
import { talk } from './raw.ts';
import { startService } from './running.ts';

const keys = 1000;
const bareAlphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~:/+=@-';

test('a key is taken bare or quoted as openapi.json says, and a refusal spells out the alphabet', () => {
  const parameter = openapi.paths['/order'].post.parameters.find(({ name }) => name === 'Idempotency-Key');
  const pattern = new RegExp(Object(parameter?.schema)['pattern'], 'u');
  const spelt: [string, string | null][] = [
    ['a', 'a'], ['"a"', 'a'], [bareAlphabet, bareAlphabet], ['k'.repeat(255), 'k'.repeat(255)], ['"a b"', 'a b'],
    ['"a\\"b\\\\"', 'a"b\\'], [`"${'\\"'.repeat(255)}"`, '"'.repeat(255)], ['""', null], ['', null], ['"', null],
    ['a b', null], ['a,b', null], ['k'.repeat(256), null],
    [`"${'k'.repeat(256)}"`, null], ['"a"b"', null], ['"\\n"', null],
    ['ключ', null], ['"ключ"', null], ['a;b', null], ["'a'", null], ['a\n', null],
  ];
  for (const at of Array(128).keys()) {
    const sign = String.fromCharCode(at);
    spelt.push([`a${sign}`, bareAlphabet.includes(sign) ? `a${sign}` : null]);
  }
  for (const [header, key] of spelt) {
    assert.equal(pattern.test(header), key !== null, header);
    if (key === null) assert.throws(() => parseKey(header), isRefusal, header);
    else assert.equal(parseKey(header), key);
  }
});

function isRefusal(problem: unknown): boolean {
  assert.ok(problem instanceof Problem && problem.code === 'invalid_idempotency_key');
  return problem.message.includes('A-Z a-z 0-9 . _ ~ : / + = @ -');
}

type Seen = { status: number; body: string };

function place(agent: Agent, port: number, key: string, qty: number): Promise<Seen> {
  return new Promise((resolve, reject) => {
    const path = `/order?symbol=BTC&side=buy&qty=${qty}`;
    const where = { host: '127.0.0.1', port, agent, method: 'POST', path };
    const req = request({ ...where, headers: { 'Idempotency-Key': key } }, res => {
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
  const { port } = await startService(t, {
    DATABASE_PORT: String(database.port), DATABASE_PASSWORD: database.password, LOG_LEVEL: 'error',
  });
  const look = (): ReturnType<typeof talk> => talk({ port, bytes: get('/ready', 'Connection: close') });
  await until(look, ({ answers }) => answers[0]?.status === 200, 10_000);
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
  const answers = await Promise.all(Array.from({ length: keys }, (_, at) =>
    Promise.all([insist(`k${at}`, at), insist(`"k${at}"`, at), insist(`k${at}`, at)])));
  t.diagnostic(`answers by status: ${JSON.stringify(counts)}`);
  for (const [first, ...others] of answers) for (const other of others) assert.equal(other, first);
  assert.equal(new Set(answers.map(([first]) => JSON.parse(first).order_id)).size, keys);
  assert.equal(await database.psql('select count(*) from orders'), String(keys));
});
