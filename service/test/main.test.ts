// The process: starting without a database, crashing with one line, leaving on signals, a log that nobody reads.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { freePort } from '../bench/port.ts';
import { until } from './database.ts';
import { get, post } from './http-cases.ts';
import { talk } from './raw.ts';
import { main, required, spawnService, startService } from './running.ts';

const close = 'Connection: close';
const order = '/order?symbol=BTC&side=buy&qty=1';

test('without any database it listens, is alive, unready with the reason, and stays', async t => {
  const { port, child, lines } = await startService(t);
  const ready = (await talk({ port, bytes: get('/ready', close) })).answers[0];
  assert.equal(ready?.status, 503);
  assert.equal(ready?.headers.get('retry-after'), '1');
  assert.equal(JSON.parse(ready?.body ?? '').checks.database.reason, 'connection_refused');
  const placed = (await talk({ port, bytes: post([close, 'Content-Length: 0'], '', order) })).answers[0];
  assert.deepEqual([placed?.status, JSON.parse(placed?.body ?? '').code], [503, 'database_unavailable']);
  assert.equal((await talk({ port, bytes: get('/health', close) })).answers[0]?.status, 200);
  const changes = lines().filter(({ event }) => event === 'unready' || event === 'database_down');
  assert.deepEqual(
    changes.map(({ event, reason }) => `${event} ${reason}`),
    ['database_down connection_refused', 'unready connection_refused'],
  );
  assert.equal(child.exitCode, null);
});

test('no PG* variable that happens to be there decides anything', async t => {
  const { port } = await startService(t, {
    PGHOST: '127.0.0.9', PGPORT: '2', PGSSLMODE: 'require', PGMAX: '0', PGTARGETSESSIONATTRS: 'none-such',
    PGOPTIONS: '-c bogus=1',
  });
  const ready = (await talk({ port, bytes: get('/ready', close) })).answers[0];
  assert.equal(JSON.parse(ready?.body ?? '').checks.database.reason, 'connection_refused');
  const placed = (await talk({ port, bytes: post([close, 'Content-Length: 0'], '', order) })).answers[0];
  assert.deepEqual([placed?.status, JSON.parse(placed?.body ?? '').code], [503, 'database_unavailable']);
});

test('a database that accepts and says nothing delays neither /health nor, past its deadline, /ready', async t => {
  const silent = createServer(() => {});
  await new Promise<void>(resolve => silent.listen(0, '127.0.0.1', resolve));
  const address = silent.address();
  assert.ok(address && typeof address === 'object');
  const { port } = await startService(t, { DATABASE_PORT: String(address.port) });
  t.after(() => silent.close());
  const orders = Array.from({ length: 50 }, () => talk({ port, bytes: post([close, 'Content-Length: 0'], '', order) }));
  const ready = await talk({ port, bytes: get('/ready', close) });
  assert.equal(ready.answers[0]?.status, 503);
  assert.ok(ready.ms < 1000, `ready after ${ready.ms} ms`);
  const health = await talk({ port, bytes: get('/health', close) });
  assert.ok(health.answers[0]?.status === 200 && health.ms < 250, `health after ${health.ms} ms`);
  for (const { answers, ms } of await Promise.all(orders)) {
    assert.ok(answers[0]?.status === 503 && ms < 4500, `order ${answers[0]?.status} after ${ms} ms`);
  }
});

test('an unexpected error is logged once with its stack and ends the process with 1', async t => {
  const thrower = 'data:text/javascript,process.once("SIGUSR2", () => { throw new Error("nobody expected this") })';
  const service = await startService(t, {}, ['--import', thrower]);
  service.child.kill('SIGUSR2');
  assert.equal((await service.exited).code, 1);
  const crashes = service.lines().filter(({ event }) => event === 'crashed');
  assert.equal(crashes.length, 1);
  assert.match(String(crashes[0]?.['error']), /nobody expected this[\s\S]*\n\s+at /);
});

test('what was logged in the turn of the crash is there too, before it', async t => {
  const thrower = 'data:text/javascript,const leap = () => { throw new Error("now") };'
    + 'process.once("SIGUSR2", () => { setImmediate(leap); process.emit("SIGTERM") })';
  const service = await startService(t, { DRAIN_GRACE_MS: '7000' }, ['--import', thrower]);
  service.child.kill('SIGUSR2');
  await service.exited;
  assert.deepEqual(service.lines().map(({ event }) => event).slice(-2), ['draining', 'crashed']);
});

test('a rejection that nobody took ends the process the same way', async t => {
  const rejecter = 'data:text/javascript,process.once("SIGUSR2", () => void Promise.reject(new Error("left alone")))';
  const service = await startService(t, {}, ['--import', rejecter]);
  service.child.kill('SIGUSR2');
  assert.equal((await service.exited).code, 1);
  assert.equal(service.lines().filter(({ event }) => event === 'crashed').length, 1);
});

test('a port that is taken is reported in one line, exit 1', async t => {
  const first = await startService(t);
  const second = spawnService(t, { ...required, PORT: String(first.port) });
  assert.equal((await second.exited).code, 1);
  assert.deepEqual(second.lines().map(({ event }) => event), ['cannot_listen']);
});

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  test(`${signal} with no database and nothing to do: exit 0 after the grace`, async t => {
    const service = await startService(t, { DRAIN_GRACE_MS: '200' });
    service.child.kill(signal);
    assert.equal((await service.exited).code, 0);
    assert.deepEqual(service.lines().slice(-3).map(({ event }) => event), ['draining', 'drained', 'exit']);
  });
}

test('a second SIGTERM leaves at once', async t => {
  const service = await startService(t, { DRAIN_GRACE_MS: '7000' });
  service.child.kill('SIGTERM');
  await until(() => service.lines().some(({ event }) => event === 'draining'), Boolean, 5000);
  const atMs = performance.now();
  service.child.kill('SIGTERM');
  assert.equal((await service.exited).code, 1);
  assert.ok(performance.now() - atMs < 1000);
  assert.equal(service.lines().at(-1)?.event, 'drain_cut_short');
});

test('a request that does not end in time is cut off at the deadline, exit 1', async t => {
  const service = await startService(t, { DRAIN_GRACE_MS: '100', DRAIN_DEADLINE_MS: '700' });
  const stuck = talk({ port: service.port, bytes: post(['Content-Length: 100'], 'half') });
  const scrape = (): ReturnType<typeof talk> => talk({ port: service.port, bytes: get('/metrics', close) });
  await until(scrape, ({ answers }) => /^http_requests_in_flight 2$/m.test(answers[0]?.body ?? ''), 5000);
  service.child.kill('SIGTERM');
  assert.equal((await service.exited).code, 1);
  assert.equal(service.lines().find(({ event }) => event === 'drain_deadline')?.['in_flight'], 1);
  assert.notEqual((await stuck).end, 'open');
});

// A write that blocked would block for ever here, so every answer proves that none did.
test('while nobody reads the log, all is answered, memory stays bounded, and the loss is counted', async t => {
  const port = await freePort();
  const env = { ...required, PORT: String(port), LOG_LEVEL: 'debug' };
  // A small heap: with a large one, Node 24 lets garbage lie for longer than this test lasts.
  const child = spawn(process.execPath, ['--max-old-space-size=64', '--max-semi-space-size=2', main], {
    env, stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<number | null>(resolve => child.once('exit', resolve));
  t.after(() => void child.kill('SIGKILL'));
  child.stdout.pause();
  await until(() => talk({ port, bytes: get('/health', close) }), ({ answers }) => answers.length === 1, 10_000);
  const flood = get('/health').repeat(500);
  const rss = async (): Promise<number> =>
    Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${child.pid}/status`, 'utf8'))?.[1]) / 1024;
  const twelve = async (): Promise<void> => {
    for (let round = 0; round < 12; round += 1) {
      assert.equal((await talk({ port, bytes: flood, until: 500 })).answers.length, 500);
    }
  };
  await twelve();
  const midMb = process.platform === 'linux' ? await rss() : 0;
  await twelve();
  if (process.platform === 'linux') assert.ok(await rss() < midMb + 30, `${midMb} MB, then ${await rss()} MB`);
  const metrics = (await talk({ port, bytes: get('/metrics', close) })).answers[0]?.body ?? '';
  assert.ok(Number(/^log_lines_dropped_total (\d+)$/m.exec(metrics)?.[1]) > 1000);
  child.kill('SIGTERM');
  assert.equal(await ended, 0);
});

test('with --check it judges its configuration and ends, whatever listens', async t => {
  const check = (env: Record<string, string>) => {
    const { status, stderr, stdout } = spawnSync(process.execPath, [main, '--check'], { env, encoding: 'utf8' });
    return { status, said: `${stdout}${stderr}` };
  };
  const { port } = await startService(t);
  assert.deepEqual(check({ ...required, PORT: String(port) }), { status: 0, said: '' });
  const refused = check({ ...required, PORT: '80a' });
  assert.equal(refused.status, 78);
  assert.match(refused.said, /^config: PORT must be /);
});
