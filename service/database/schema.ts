// The tables of the service, and when to see to it that they are there.
import { LaneError } from './lane.ts';
import type { Statement } from './lane.ts';

/** Runs one statement on a connection that the caller holds. */
export type Run = <Row extends object>(statement: Statement<Row>) => Promise<Row[]>;

export type Schema = {
  /** Makes the tables, unless they are known to be there. Many callers, one statement. */
  ensure(run: Run): Promise<void>;
  /** A table was missed. */
  doubt(): void;
};

/** onReady is called when the tables have been made or found for the first time. */
export function watchSchema(onReady: () => void): Schema {
  let sure = false;
  let told = false;
  let running: Promise<void> | undefined;

  async function make(run: Run): Promise<void> {
    try {
      await run(sql => sql.unsafe(MIGRATION));
    } catch (error) {
      // No order depends on what became of it: it is one transaction, and may run any number of times.
      throw error instanceof LaneError ? new LaneError(error.code, false, error) : error;
    }
    sure = true;
    if (!told) onReady();
    told = true;
  }
  return {
    async ensure(run) {
      if (sure) return;
      running ??= make(run).finally(() => { running = undefined; });
      await running;
    },
    doubt() { sure = false; },
  };
}

// One string is one transaction. `create table if not exists` alone fails when several do it at once, hence the lock.
const MIGRATION = `
  select pg_advisory_xact_lock(7201, 1);
  create table if not exists schema_version (version integer primary key, applied_at timestamptz not null default now());
  create table if not exists orders (
    order_id uuid primary key,
    symbol text not null check (symbol ~ '^[A-Z][A-Z0-9.-]{0,15}$'),
    side text not null check (side in ('buy', 'sell')),
    qty numeric not null check (qty > 0 and qty < 'Infinity'),
    idempotency_key text not null unique check (length(idempotency_key) between 1 and 300),
    created_at timestamptz(3) not null default now()
  );
  insert into schema_version (version) values (1) on conflict do nothing;
`;
