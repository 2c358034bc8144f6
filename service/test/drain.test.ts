// Leaving under load and with a database in trouble. SIGTERMS=20 for the long run.
import assert from 'node:assert/strict';
import { before, after, test } from 'node:test';
import type { TestContext } from 'node:test';
import { openCallers } from './caller.ts';
import { openDatabase, until } from './database.ts';
import type { Database } from './database.ts';
import { get, post } from './http-cases.ts';
import { talk } from './raw.ts';
import { startService } from './running.ts';
import type { Running } from './running.ts';

const rounds = Number(process.env['SIGTERMS'] ?? 3);
const closers: (() => Promise<void>)[] = [];
let database: Database;
before(async () => { database = await openDatabase({ after: close => void closers.push(close) }); });
after(async () => { for (const close of closers) await close(); });

const ready = async (port: number): Promise<number | undefined> => {
  const { answers } = await talk({ port, bytes: get('/ready', 'Connection: close') });
  return answers[0]?.status;
};

async function start(t: TestContext, env: Record<string, string> = {}): Promise<Running> {
  const { port, password } = database;
  const service = await startService(t, {
    DATABASE_PORT: String(port), DATABASE_PASSWORD: password, LOG_LEVEL: 'warn', DRAIN_GRACE_MS: '1000', ...env,
  });
  await until(() => ready(service.port), status => status === 200, 10_000);
  return service;
}

for (const heed of [true, false]) {
  const promise = heed ? 'who heeds readiness has no failed request'
    : 'who does not has no reset on a connection in use';
  test(`${rounds} SIGTERMs under load: ${promise}, exit 0`, async t => {
    let service = await start(t);
    const callers = openCallers(service.port, 16, { heed });
    t.after(() => callers.stop());
    for (let round = 0; round < rounds; round += 1) {
      const enough = callers.tally.ok + 200;
      await until(() => callers.tally.ok, ok => ok > enough, 20_000);
      service.child.kill('SIGTERM');
      await until(() => ready(service.port), status => status === 503, 500);
      assert.equal(
        (await talk({ port: service.port, bytes: get('/health', 'Connection: close') })).answers[0]?.status, 200,
      );
      assert.equal((await service.exited).code, 0);
      service = await start(t, { PORT: String(service.port) });
    }
    await callers.stop();
    t.diagnostic(`${JSON.stringify(callers.tally)}`);
    const { resetReused, wrong, refused, resetNew } = callers.tally;
    assert.deepEqual({ resetReused, wrong }, { resetReused: 0, wrong: [] });
    if (heed) assert.deepEqual({ refused, resetNew }, { refused: 0, resetNew: 0 });
  });
}

for (const [state, verb, back] of [['frozen', 'freeze', 'thaw'], ['killed', 'kill', 'start']] as const) {
  test(`SIGTERM with the database ${state}: what was taken is answered, and the exit is in time`, async t => {
    const service = await start(t, { DRAIN_GRACE_MS: '500' });
    await database.cluster(verb);
    const { port } = service;
    const order = post(['Content-Length: 0'], '', '/order?symbol=BTC&side=buy&qty=1');
    const orders = Array.from({ length: 20 }, () => talk({ port, bytes: order, until: 1, deadlineMs: 9000 }));
    await until(
      async () => (await talk({ port, bytes: get('/health', 'Connection: close') })).answers[0]?.status,
      status => status === 200, 2000,
    );
    const atMs = performance.now();
    service.child.kill('SIGTERM');
    try {
      for (const { answers } of await Promise.all(orders)) assert.equal(answers[0]?.status, 503);
      assert.equal((await service.exited).code, 0);
      assert.ok(performance.now() - atMs < 8000);
    } finally {
      await database.cluster(back);
    }
  });
}
