// The tables of the service, their version, and who makes them when they are missing.
import { ConnectionError } from './connection.ts';
import type { Run } from './connection.ts';

/** The newest version of the tables that this build knows. */
export const VERSION = 1;

/** Makes the tables: many callers at once, one statement. onMade is called whenever that was needed. */
export function openSchema(onMade: () => void): (run: Run) => Promise<void> {
  let running: Promise<void> | undefined;
  async function make(run: Run): Promise<void> {
    try {
      await run(sql => sql.unsafe(MIGRATION));
    } catch (error) {
      // No order depends on what became of it: it is one transaction, and may run any number of times.
      throw error instanceof ConnectionError ? new ConnectionError(error.code, false, error) : error;
    }
    onMade();
  }
  return run => {
    running ??= make(run).finally(() => {
      running = undefined;
    });
    return running;
  };
}

// One string is one transaction. `create table if not exists` alone fails when several do it at once, hence the lock.
const MIGRATION = `
  select pg_advisory_xact_lock(7201, 1);
  create table if not exists schema_version (
    version integer primary key, applied_at timestamptz not null default now()
  );
  create table if not exists orders (
    order_id uuid primary key,
    symbol text not null check (symbol ~ '^[A-Z][A-Z0-9.-]{0,15}$'),
    side text not null check (side in ('buy', 'sell')),
    qty numeric not null check (qty > 0 and qty < 'Infinity'),
    idempotency_key text not null unique check (length(idempotency_key) between 1 and 300),
    created_at timestamptz(3) not null default now()
  );
  insert into schema_version (version) values (${VERSION}) on conflict do nothing;
`;
