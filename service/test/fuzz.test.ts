// Mutated requests over raw sockets, from a printed seed. FUZZ_RUNS=100000 for the long run, FUZZ_SEED to repeat one.
import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { until } from './database.ts';
import { get, post } from './http-cases.ts';
import { ask, talk } from './raw.ts';
import { startService } from './running.ts';

const runs = Number(process.env['FUZZ_RUNS'] ?? 3000);
const seed = Number(process.env['FUZZ_SEED'] ?? 20_261);
const workers = 24;

type Random = (below: number) => number;

// mulberry32
function openRandom(from: number): Random {
  let state = from >>> 0;
  return below => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const json = '{"symbol":"BTC","side":"buy","qty":1.5}';
const seeds = [
  get('/health'), get('/ready'), get('/version', 'X-Request-Id: abc'), get('/metrics'), get('/openapi.json'),
  get('/orders/00000000-0000-4000-8000-000000000000'),
  get('/nothing?a=b&c=%20'), get('http://a/health'), get('/order').replace('GET', 'OPTIONS'),
  get('/health').replace('GET', 'HEAD'),
  post(['Content-Length: 0'], '', '/order?symbol=BTC&side=buy&qty=1'),
  post([`Content-Length: ${json.length}`, 'Idempotency-Key: "k"'], json),
  post(['Transfer-Encoding: chunked'], `${json.length.toString(16)}\r\n${json}\r\n0\r\nX-Sum: 1\r\n\r\n`),
  post([`Content-Length: ${json.length}`, 'Expect: 100-continue'], json),
];
const tokens = [
  '\r\n', '\r', '\n', '\0', ' ', '\t', ':', ';', ',', '%', '%00', '%ff', '%0d%0a', '/', '//', '\\', '?', '#', '&', '=',
  '"', '{', '}', '[', '0', '-1', '1e3', '99999999999999999999', 'chunked',
  'Transfer-Encoding: chunked\r\n', 'Content-Length: 5\r\n', 'Host: b\r\n', 'Expect: 100-continue\r\n',
  'Connection: close\r\n', 'Upgrade: h2c\r\n', 'HTTP/1.0', 'HTTP/0.9', 'HTTP/2.0', 'CONNECT', 'TRACE',
  'é', '\u0080', 'a'.repeat(300), 'a: b\r\n'.repeat(70), '/../', '__proto__', 'null', 'NaN', '[[[[',
  '\r\n\r\n', '0\r\n\r\n', get('/health'),
];

function mutate(text: string, random: Random): string {
  const [from, to] = [random(text.length + 1), random(text.length + 1)].sort((a, b) => a - b);
  const [start = 0, end = 0] = [from, to];
  const token = tokens[random(tokens.length)] ?? '';
  switch (random(6)) {
    case 0: return text.slice(0, start) + text.slice(Math.min(end, start + 20));
    case 1: return text.slice(0, Math.min(end, start + 30)) + text.slice(start);
    case 2: return text.slice(0, start) + token + text.slice(start);
    case 3: return text.slice(0, start) + String.fromCharCode(random(256)) + text.slice(start + 1);
    case 4: return text.slice(0, start) + token + text.slice(start + token.length);
    default: return random(4) === 0 ? text.slice(0, start) : text + token;
  }
}

function makeRequest(random: Random): Buffer {
  let text = seeds[random(seeds.length)] ?? '';
  for (let left = 1 + (random(3) === 0 ? random(4) : 0); left > 0; left -= 1) text = mutate(text, random);
  return Buffer.from(text, 'latin1');
}

const fine = new Set([100, 200, 201, 204, 400, 404, 405, 408, 409, 413, 414, 415, 417, 431, 501, 505]);

function judge(status: number, body: string): boolean {
  // There is no database: 503 with its code is the right answer to a good order.
  return fine.has(status) || (status === 503 && /"code":"database_unavailable"|"unready"/.test(body));
}

test(`${runs} mutated requests (FUZZ_SEED=${seed}): no unexpected 5xx, nothing is left behind, exit 0`, async t => {
  t.diagnostic(`FUZZ_SEED=${seed} FUZZ_RUNS=${runs}`);
  const { child, pid, port, exited } = await startService(t, { LOG_LEVEL: 'error' });
  const linux = process.platform === 'linux';
  const openFiles = async (): Promise<number> => (linux ? (await readdir(`/proc/${pid}/fd`)).length : 0);
  const rssMb = async (): Promise<number> => {
    const text = linux ? await readFile(`/proc/${pid}/status`, 'utf8') : 'VmRSS: 0';
    return Number(/VmRSS:\s+(\d+)/.exec(text)?.[1]) / 1024;
  };
  const random = openRandom(seed);
  const filesBefore = await openFiles();
  const statuses: Record<string, number> = {};
  const rss: number[] = [];
  let left = runs;
  async function work(): Promise<void> {
    while (left > 0) {
      left -= 1;
      if (left % Math.ceil(runs / 20) === 0) rss.push(await rssMb());
      const bytes = makeRequest(random);
      // Many addresses, since one has too few ports for a hundred thousand connections.
      const from = `127.0.0.${1 + (left % 20)}`;
      const { answers, end } = await talk({ port, bytes, halfClose: true, deadlineMs: 15_000, from });
      const repeat = `after ${runs - left} runs: ${JSON.stringify(bytes.toString('latin1'))}`;
      assert.notEqual(end, 'open', `no end ${repeat}`);
      for (const { status, body } of answers) {
        statuses[status] = (statuses[status] ?? 0) + 1;
        assert.ok(judge(status, body), `${status} ${body} ${repeat}`);
      }
    }
  }
  await Promise.all(Array.from({ length: workers }, work));
  assert.equal(child.exitCode, null);
  assert.equal((await ask(port, '/health')).status, 200);
  await until(openFiles, files => files <= filesBefore, 10_000);
  await until(() => ask(port, '/metrics'), ({ body }) => /^http_requests_in_flight 1$/m.test(body), 10_000);
  t.diagnostic(`answers by status: ${JSON.stringify(statuses)}; RSS in MB: ${rss.map(Math.round).join(' ')}`);
  const [third, last] = [rss.slice(10, 15), rss.slice(15)].map(part => Math.max(...part));
  // A short run is still warming up.
  const warm = runs >= 50_000 && third !== undefined && last !== undefined;
  if (warm) assert.ok(last < third * 1.1 + 5, `RSS in MB: ${rss.join(' ')}`);
  child.kill('SIGTERM');
  assert.equal((await exited).code, 0);
});
