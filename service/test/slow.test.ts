// Sockets that take their time, in eight shapes, are cut off, while the rest of the world is served.
// SLOW_SOCKETS=1000 sends slowhttptest against the real limits, if that program is installed.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { get, post } from './http-cases.ts';
import { echo, openLayer } from './layer.ts';
import { talk } from './raw.ts';
import { startService } from './running.ts';

const headersTimeoutMs = 700;
const requestTimeoutMs = 1500;
const each = 5;
const thousand = Number(process.env['SLOW_SOCKETS'] ?? 0);

type Shape = { name: string; first: string; drip: string; cutAfterMs: number; reads: boolean; want: number[] };
const shapes: Shape[] = [
  { name: 'silence', first: '', drip: '', cutAfterMs: headersTimeoutMs, reads: true, want: [408] },
  { name: 'half a request line', first: 'GET /hea', drip: '', cutAfterMs: headersTimeoutMs, reads: true, want: [408] },
  {
    name: 'a dripping head', first: 'GET / HTTP/1.1\r\nHost: a\r\n', drip: 'X-A: 1\r\n', cutAfterMs: headersTimeoutMs,
    reads: true, want: [408],
  },
  { name: 'dripping empty lines', first: '\r\n', drip: '\r\n', cutAfterMs: headersTimeoutMs, reads: true, want: [408] },
  {
    name: 'a dripping body', first: post(['Content-Length: 1000']), drip: 'a', cutAfterMs: requestTimeoutMs,
    reads: true, want: [408],
  },
  {
    name: 'dripping chunks', first: post(['Transfer-Encoding: chunked']), drip: '1\r\na\r\n',
    cutAfterMs: requestTimeoutMs, reads: true, want: [408],
  },
  {
    name: 'a slow second request', first: `${get('/')}GET / HTTP/1.1\r\n`, drip: 'X-A: 1\r\n',
    cutAfterMs: headersTimeoutMs, reads: true, want: [200, 408],
  },
  {
    name: 'answers that nobody reads', first: get('/big').repeat(60), drip: '', cutAfterMs: requestTimeoutMs,
    reads: false, want: [],
  },
];

type Cut = { ms: number; statuses: number[] };

function drip(port: number, { first, drip: piece, reads }: Shape): Promise<Cut> {
  return new Promise(resolve => {
    const startedMs = performance.now();
    let heard = '';
    const socket: Socket = connect(port, '127.0.0.1');
    // Queued at once: on a busy machine the first drip would otherwise come before it.
    if (first) socket.write(first);
    const timer = setInterval(() => void (piece && socket.write(piece)), 100);
    if (reads) socket.on('data', chunk => { heard += String(chunk); });
    // Who never reads hears of the cut only when he writes.
    else setTimeout(() => socket.resume(), requestTimeoutMs + 1500);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      clearInterval(timer);
      const statuses = [...heard.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status));
      resolve({ ms: performance.now() - startedMs, statuses });
    });
  });
}

test('eight shapes of slowness are cut off in their time, and a quick caller is answered meanwhile', async t => {
  const big = { status: 200, body: 'x'.repeat(1_000_000) };
  const { port, layer } = await openLayer(
    t, request => (request.path === '/big' ? big : echo(request)), { headersTimeoutMs, requestTimeoutMs },
  );
  const cuts = shapes.map(
    shape => ({ shape, all: Promise.all(Array.from({ length: each }, () => drip(port, shape))) }),
  );
  for (let look = 0; look < 10; look += 1) {
    assert.equal((await talk({ port, bytes: get('/', 'Connection: close') })).answers[0]?.status, 200);
  }
  for (const { shape, all } of cuts) {
    for (const { ms, statuses } of await all) {
      const slackMs = shape.reads ? 2500 : 5000;
      assert.ok(
        ms >= shape.cutAfterMs - 50 && ms < shape.cutAfterMs + slackMs, `${shape.name}: cut after ${Math.round(ms)} ms`,
      );
      assert.deepEqual(statuses, shape.want, shape.name);
    }
  }
  assert.equal(layer.stats().connections, 0);
});

const found = await promisify(execFile)('slowhttptest', ['-h']).then(
  () => true, (error: NodeJS.ErrnoException) => error.code !== 'ENOENT',
);
const reason = found ? false : 'slowhttptest is not installed (Debian: apt-get install slowhttptest)';
const attacks = [['heads', '-H', 20], ['bodies', '-B', 25], ['reads', '-X', 15]] as const;

// only on demand, so that they are no skips anywhere else
for (const [what, flag, seconds] of thousand === 0 ? [] : attacks) {
  test(`${thousand} slow ${what} of slowhttptest: the service stays available`, { skip: reason }, async t => {
    const { port } = await startService(t, { LOG_LEVEL: 'error' });
    const url = `http://127.0.0.1:${port}${flag === '-B' ? '/order' : '/openapi.json'}`;
    const reads = ['-w', '512', '-y', '1024', '-n', '5', '-z', '32', '-k', '3'];
    const shape = flag === '-X' ? reads : ['-i', '3', '-x', '24'];
    const run = promisify(execFile)(
      'slowhttptest',
      [flag, '-c', String(thousand), '-r', '500', '-l', String(seconds), '-p', '3', ...shape, '-u', url],
    );
    const state = { over: false };
    const ended = run.finally(() => { state.over = true; });
    let worstMs = 0;
    while (!state.over) {
      const { answers, ms } = await talk({ port, bytes: get('/health', 'Connection: close') });
      assert.equal(answers[0]?.status, 200);
      worstMs = Math.max(worstMs, ms);
      await new Promise(resolve => setTimeout(resolve, 100));
    }
    const plain = (await ended).stdout.replace(/\x1b\[[0-9;]*m/g, '');
    const [told, status] = [/Test ended on.*/, /Exit status:.*/].map(line => line.exec(plain)?.[0]);
    t.diagnostic(`${told}; ${status}; worst /health ${Math.round(worstMs)} ms`);
    assert.equal(/service available:\s+NO/.exec(plain), null);
    assert.ok(worstMs < 3000, `${worstMs} ms`);
  });
}
