// A real PostgreSQL in a folder and on a port of its own, for as long as a test file runs.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { freePort } from '../bench/port.ts';
import { Connection } from '../database/connection.ts';
import type { StoreOptions } from '../database/store.ts';

export type Owner = { after(close: () => Promise<void>): void };

export type Database = {
  port: number;
  password: string;
  /** A verb of the cluster program: start, stop, kill, freeze, thaw, … */
  cluster(verb: string, ...more: string[]): Promise<string>;
  /** Runs SQL as the superuser; gives back the bare rows. In the database orders, or in one that is always there. */
  psql(text: string, database?: 'orders' | 'postgres'): Promise<string>;
};

export const root = fileURLToPath(new URL('../../../', import.meta.url));

/** The cluster is running when this returns, and is gone after the owner. */
export async function openDatabase(owner: Owner): Promise<Database> {
  const dir = await mkdtemp(join(tmpdir(), "orders' test-"));
  const cluster = async (verb: string, ...more: string[]): Promise<string> => {
    const program = join(root, 'infra/dist/process/database/cluster-program.js');
    const args = [program, verb, dir, ...more];
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 60_000 });
    return stdout.trim();
  };
  owner.after(async () => {
    await cluster('remove');
    await rm(dir, { recursive: true, force: true });
  });
  const port = await freePort();
  await cluster('init', String(port));
  await cluster('start');
  const password = (await readFile(join(dir, 'password'), 'utf8')).trim();
  return {
    port, password, cluster, psql: (text, database = 'orders') => cluster('psql', '-d', database, '-At', '-c', text),
  };
}

/** Store options with the service's defaults, for the given port. Readiness is asked again each time. */
export function storeOptions(password: string, port: number, more: Partial<StoreOptions> = {}): StoreOptions {
  return {
    host: '127.0.0.1', port, database: 'orders', user: 'orders', password, applicationName: 'orders-test',
    writeConnections: 2, readConnections: 1, queueSize: 4096, waitTimeoutMs: 1000, connectTimeoutMs: 1000,
    queryTimeoutMs: 2500, statementTimeoutMs: 1200, lockTimeoutMs: 1000, ready: { timeoutMs: 800, maxAgeMs: 0 },
    onEvent: () => {}, ...more,
  };
}

/** A session of the test's own, for as long as it likes. */
export function openSession(owner: Owner, { password, port }: Database): (text: string) => Promise<unknown> {
  const patience = { statementTimeoutMs: 60_000, lockTimeoutMs: 60_000 };
  const connection = new Connection(
    { ...storeOptions(password, port), ...patience, applicationName: 'test' }, () => {},
  );
  owner.after(async () => connection.end());
  return text => connection.run(sql => sql.unsafe(text), 60_000);
}

/** Every insert waits until it is released, so that a test can act in its middle. */
export async function holdInserts(owner: Owner, database: Database) {
  const session = openSession(owner, database);
  await session('select pg_advisory_lock(42)');
  await database.psql(`create function wait() returns trigger language plpgsql as
    $$ begin perform pg_advisory_xact_lock(42); return new; end $$;
    create trigger wait before insert on orders for each row execute function wait()`);
  owner.after(async () => {
    await database.psql('drop function wait cascade');
  });
  const held = () => database.psql(`select count(*) from pg_stat_activity
    where application_name = 'orders-test' and wait_event = 'advisory'`);
  const release = () => session('select pg_advisory_unlock(42)');
  return { release, untilHeld: (count: string) => until(held, seen => seen === count, 10_000) };
}

/** Looks again until it holds; throws with the last thing seen. */
export async function until<T>(see: () => T | Promise<T>, holds: (seen: T) => boolean, deadlineMs: number): Promise<T> {
  const endMs = performance.now() + deadlineMs;
  for (;;) {
    const seen = await see();
    if (holds(seen)) return seen;
    if (performance.now() > endMs) throw new Error(`not within ${deadlineMs} ms, last seen: ${JSON.stringify(seen)}`);
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}
