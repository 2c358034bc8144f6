// The bench: what wrk and pgbench print is read strictly, medians and tables are right, nothing of a run stays behind.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parsePgbench, parseWrk, runWrk } from '../bench/load.ts';
import type { Figures } from '../bench/load.ts';
import { requestsOf } from '../bench/parts.ts';
import type { Cell, Footprint } from '../bench/parts.ts';
import { ratesOf, render, spreadOf } from '../bench/table.ts';
import { openProcesses } from '../bench/testbed.ts';
import { until } from './database.ts';

const program = fileURLToPath(new URL('../bench/bench.js', import.meta.url));
const withoutTools = ['wrk', 'pgbench'].some(name => spawnSync(name, ['--version']).error !== undefined);
const skip = withoutTools ? 'wrk or pgbench is not installed (Debian: apt-get install wrk postgresql)' : false;

const wrkText = `Running 1s test @ http://127.0.0.1:41533
  1 threads and 128 connections
  Latency Distribution
     99%   66.67ms
  17632 requests in 1.00s, 5.94MB read
  Socket errors: connect 0, read 3, write 0, timeout 2
  Non-2xx or 3xx responses: 16521
figures duration_us=2000000 requests=17632 status=16521 connect=0 read=3 write=0 timeout=2 p50_us=5160 p99_us=66670
`;

const pgbenchText = (failed: number): string => `pgbench (15.18 (Debian 15.18-0+deb12u1))
transaction type: /var/tmp/orders-bench-J9Kd1v/statement.sql
query mode: prepared
number of transactions actually processed: 21998
number of failed transactions: ${failed} (0.000%)
latency average = 1.450 ms
initial connection time = 64.803 ms
tps = 22060.161803 (without initial connection time)
`;

test('of wrk only 2xx answers count as rate, everything else as an error', () => {
  assert.deepEqual(parseWrk(wrkText), { rate: 555.5, accepted: 1111, errors: 16_526, p50Ms: 5.16, p99Ms: 66.67 });
});

test('what wrk or pgbench did not say is a failure that quotes them, never a nought', () => {
  assert.throws(() => parseWrk(wrkText.replace(' status=16521', '')), /no status.*17632 requests/s);
  assert.throws(() => parseWrk('unable to connect to 127.0.0.1:1 Connection refused'), /Connection refused/);
  assert.throws(() => parsePgbench('pgbench: error: connection to server failed'), /connection to server failed/);
  assert.throws(() => parsePgbench(pgbenchText(3)), /did not succeed/);
});

test('the rate of pgbench is the one without the time to connect, whichever version prints it', () => {
  assert.equal(parsePgbench(pgbenchText(0)), 22_060.161803);
  const version13 = `tps = 980.1 (including connections establishing)
tps = 990.5 (excluding connections establishing)
`;
  assert.equal(parsePgbench(version13), 990.5);
});

test('medians stand between the least and the most, for odd and for even counts', () => {
  assert.deepEqual(spreadOf([30, 4, 10]), { median: 10, least: 4, most: 30 });
  assert.deepEqual(spreadOf([4, 1, 2, 3]), { median: 2.5, least: 1, most: 4 });
  assert.ok(Number.isNaN(spreadOf([]).median));
});

test('one write comes to nine reads, and every id is read', () => {
  const ids = Array.from({ length: 18 }, (_, at) => `id-${at}`);
  const requests = requestsOf('1 write, 9 reads', ids);
  assert.deepEqual(requests.filter(request => request.startsWith('GET ')), ids.map(id => `GET /orders/${id}`));
  assert.equal(requests.length, 20);
  for (const [at, request] of requests.entries()) assert.equal(request.startsWith('POST /order?'), at % 10 === 0);
  assert.deepEqual(requestsOf('/ready', ids), ['GET /ready']);
});

const figures = (rate: number, errors = 0): Figures => ({ rate, accepted: rate, errors, p50Ms: 1, p99Ms: 2.345 });
const cellOf = (given: Partial<Cell>): Cell => ({
  part: 'rows', row: 'POST /order', connections: 32, orders: 1000, processes: 1,
  ours: [], bare: [], pgbench: [], ...given,
});
const footprint: Footprint = { ms: [], idleMb: Number.NaN, loadedMb: Number.NaN };
const results = { cells: [], footprints: { ours: footprint, bare: footprint }, accepted: 0, stored: 0 };

test('ratios of medians come first, then the figures with their spread', () => {
  const ours = [figures(3000), figures(1500, 7), figures(1600)];
  const measured = cellOf({ ours, bare: [figures(800)], pgbench: [4000] });
  assert.deepEqual(ratesOf(measured), { ours: 1600, bare: 800, pgbench: 4000 });
  const [toBare = '', toPgbench = '', details = ''] = render({ ...results, cells: [measured] }).split('\n\n');
  assert.match(toBare, /^\| ours \/ bare.* \|   32 \|\n\| -+ \| ---: \|\n\| POST \/order .*\| 2\.00 \|$/);
  assert.match(toPgbench, /\| 0\.40 \|$/);
  assert.match(details, /\| 32 conn\. \| 1,600 \(1,500–3,000\) \| +800 \| +4,000 \|.*\| +7 \| +0 \|$/);
});

test('growth compares with the fewest orders, processes with one; what was not measured has no line', () => {
  const growing = (orders: number, rate: number): Cell => cellOf({ part: 'growth', orders, ours: [figures(rate)] });
  const fleet = (processes: number): Cell => cellOf({ part: 'processes', processes, ours: [figures(processes * 100)] });
  const text = render({ ...results, cells: [growing(1e3, 200), growing(1e7, 150), fleet(1), fleet(4)] });
  assert.match(text, /fewest orders +\| 1,000 \| 10,000,000 \|\n.*\n\| POST \/order +\| +1\.00 \| +0\.75 \|/);
  assert.match(text, /by processes \| +1 \| +4 \|\n.*\n\| POST \/order +\| 1\.00 \| 4\.00 \|/);
  assert.doesNotMatch(text, /by connections|once|NaN|LOST/);
});

test('an answer without its row is shouted', () => {
  assert.match(render({ ...results, accepted: 1000, stored: 1005 }), /1,000\. Rows stored meanwhile: 1,005\.$/);
  assert.match(render({ ...results, accepted: 1000, stored: 998 }), /998\. 2 ARE LOST\.$/);
});

test('wrk sends the requests in turn and tells refused from accepted', { skip }, async t => {
  const seen = new Map<string, number>();
  const server = createServer(({ method, url }, response) => {
    const request = `${method} ${url}`;
    seen.set(request, (seen.get(request) ?? 0) + 1);
    response.writeHead(url === '/bad' ? 503 : 201).end();
  });
  const port = await new Promise<number>(resolve => server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    resolve(typeof address === 'object' ? address?.port ?? 0 : 0);
  }));
  const [dir, processes] = [await mkdtemp(join(tmpdir(), "orders test's ")), openProcesses()];
  t.after(async () => {
    server.closeAllConnections();
    server.close();
    await processes.close();
    await rm(dir, { recursive: true });
  });
  const requests = ['POST /good?a=1&b=2', 'GET /bad'];
  const load = { requests, connections: 4, seconds: 1 };
  const { rate, accepted, errors, p50Ms, p99Ms } = await runWrk({ dir, run: processes.run }, port, load);
  assert.deepEqual([...seen.keys()].toSorted(), requests.toSorted());
  assert.ok(accepted > 0 && Math.abs(accepted - errors) <= 8, `${accepted} accepted, ${errors} refused`);
  assert.ok(accepted <= (seen.get('POST /good?a=1&b=2') ?? 0), 'no more answers than requests');
  assert.ok(rate <= accepted * 1.1 && p50Ms <= p99Ms, JSON.stringify({ rate, p50Ms, p99Ms }));
});

type Run = { child: ChildProcess; err: () => string; ended: Promise<number | null> };

function startBench(t: TestContext, env: Record<string, string>): Run {
  const surroundings = { PATH: process.env['PATH'] ?? '', ...env };
  const child = spawn(process.execPath, [program], { env: surroundings, stdio: ['ignore', 'ignore', 'pipe'] });
  let err = '';
  child.stderr.on('data', chunk => { err += String(chunk); });
  const ended = new Promise<number | null>(resolve => child.once('close', resolve));
  t.after(async () => {
    child.kill('SIGTERM');
    await ended;
  });
  return { child, err: () => err, ended };
}

test('wrong settings are refused, all at once, and missing programs are named with their packages', async t => {
  const wrong = startBench(t, { BENCH: 'fast', BENCH_ONLY: 'rows,none', BENCH_IDS: 'v7' });
  const bare = startBench(t, { PATH: '/nowhere' });
  assert.deepEqual([await wrong.ended, await bare.ended], [2, 2]);
  assert.deepEqual(wrong.err().match(/^bench: BENCH\w*/gm), ['bench: BENCH', 'bench: BENCH_IDS', 'bench: BENCH_ONLY']);
  assert.match(bare.err(), /^bench: .*apt-get install wrk postgresql\n$/);
});

const moments = [
  { signal: 'SIGINT', code: 130, moment: 'while the database is being made', sign: /\/(home|data)/ },
  { signal: 'SIGTERM', code: 143, moment: 'under load', sign: /requests-\d+/ },
] as const;
for (const { signal, code, moment, sign } of moments) {
  test(`${signal} ${moment} ends everything that the bench has started`, { skip, timeout: 60_000 }, async t => {
    const { child, ended, err, files } = await startQuickly(t, 'processes');
    await until(files, seen => sign.test(seen), 20_000);
    const started = childrenOf(child.pid);
    assert.ok(started.length > 0);
    child.kill(signal);
    await until(() => child.exitCode, seen => seen !== null, 20_000);
    assert.equal(await ended, code, err());
    assert.equal(await files(), '');
    assert.deepEqual(started.filter(isRunning), []);
  });
}

test('a run that nobody listens to writes its figures and leaves nothing else', { skip, timeout: 60_000 }, async t => {
  const { child, ended, files } = await startQuickly(t, 'start');
  child.stderr?.destroy();
  assert.deepEqual([await ended, await files()], [0, 'bench.json']);
});

async function startQuickly(t: TestContext, part: string): Promise<Run & { files: () => Promise<string> }> {
  const folder = await mkdtemp(join(tmpdir(), "orders bench's "));
  const run = startBench(t, { TMPDIR: folder, ORDERS_STATE: folder, BENCH: 'quick', BENCH_ONLY: part });
  t.after(() => rm(folder, { recursive: true, force: true }));
  return { ...run, files: async () => (await readdir(folder, { recursive: true }).catch(() => [])).join(' ') };
}

function childrenOf(parent: number | undefined): number[] {
  const { stdout } = spawnSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' });
  return stdout.trim().split('\n').map(line => line.trim().split(/\s+/).map(Number))
    .flatMap(([pid = 0, ppid]) => (ppid === parent ? [pid] : []));
}

function isRunning(pid: number): boolean {
  const { stdout } = spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' });
  return !/^\s*(Z|$)/.test(stdout);
}
