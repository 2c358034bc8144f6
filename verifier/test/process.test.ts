// Drills against a real PostgreSQL and a real service: a stack of plain processes on ports and in a folder of its own.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { until } from '../until.ts';
import { start } from './program.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../..', import.meta.url));
const program = fileURLToPath(new URL('../drill.js', import.meta.url));

/** A longer run: DRILLS="db-down mid-flight drain". */
const chosen = (process.env['DRILLS'] ?? 'db-down').split(' ');

type Stack = { env: Record<string, string>; journal: () => Promise<string>; ready: () => Promise<number>; sql: (text: string) => Promise<string> };

async function openStack(t: TestContext): Promise<Stack> {
  const folder = await mkdtemp(join(tmpdir(), 'orders-stack-'));
  const [port, dbPort] = [await freePort(), await freePort()];
  const env = {
    PATH: process.env['PATH'] ?? '', HOME: folder, PLATFORM: 'process', NODE: 'control', SCALE: '1.5', KILLS: process.env['KILLS'] ?? '3',
    ORDERS_STATE: folder, ORDERS_PORT: String(port), ORDERS_DB_PORT: String(dbPort),
  };
  const control = (...args: string[]) => run(`${root}infra/control`, args, { env, timeout: 120_000 });
  t.after(async () => {
    await control('destroy');
    await rm(folder, { recursive: true });
  });
  await control('up');
  return {
    env,
    journal: async () => (await control('journal')).stdout,
    ready: async () => (await fetch(`http://127.0.0.1:${port}/ready`, { signal: AbortSignal.timeout(2_000) })).status,
    // as a file of statements: several on one command line would be one transaction, which ALTER SYSTEM refuses
    sql: async text => {
      const child = run(process.execPath, [`${root}infra/dist/process/database/cluster-program.js`, 'psql', join(folder, 'process/control/db'), '-At'], { env, timeout: 20_000 });
      child.child.stdin?.end(text);
      return (await child).stdout;
    },
  };
}

test('drills on plain processes', async t => {
  const stack = await openStack(t);

  for (const name of chosen) {
    await t.test(`${name} holds`, async () => {
      const end = await start(program, [name], stack.env).ended;
      assert.equal(end.code, 0, end.stdout + end.stderr);
      assert.ok(end.stdout.endsWith(`# verdict: ${name} held\n`), end.stdout);
    });
  }

  await t.test('Ctrl-C in the middle of a drill brings the database back and says so', async () => {
    const drill = start(program, ['db-down'], stack.env);
    await until(async () => drill.said().includes('database stopped'), Boolean, 60_000, 20);
    drill.child.kill('SIGINT');
    const end = await drill.ended;
    assert.equal(end.code, 130);
    assert.match(end.stderr, /drill: undone on control: db-down/);
    assert.equal(await stack.journal(), '');
    assert.equal(await until(stack.ready, status => status === 200, 10_000), 200);
  });

  await t.test('mid-flight sees the loss when a database does not wait for its commits', async step => {
    // The service asks for it on every connection, whatever role and server are set to; a trigger has the last word.
    await stack.sql(`alter system set wal_writer_delay = '10s'; select pg_reload_conf();
      create function careless() returns trigger language plpgsql as
        $$ begin perform set_config('synchronous_commit', 'off', true); return null; end $$;
      create trigger careless before insert on orders for each statement execute function careless();\n`);
    await until(() => stack.sql('show wal_writer_delay;\n'), shown => shown.trim() === '10s', 10_000);
    const careless = await start(program, ['mid-flight'], { ...stack.env, KILLS: '2' }).ended;
    assert.equal(careless.code, 1, careless.stdout);
    assert.match(careless.stdout, /not ok \d+ - mid-flight reckoning: accepted and missing 0/);
    const [told = ''] = /acked \d+ · .*/.exec(careless.stdout) ?? [];
    assert.match(told, / · missing [1-9]/, careless.stdout);
    step.diagnostic(told);
    await stack.sql('drop function careless cascade; alter system reset wal_writer_delay; select pg_reload_conf();\n');
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise(resolve => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise(resolve => server.close(resolve));
  return port;
}
