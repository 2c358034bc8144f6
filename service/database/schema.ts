// The tables of the service: the steps that make them, in order, and who takes a database forward to the last of them.
import { ConnectionError } from './connection.ts';
import type { Run } from './connection.ts';
import { parseCode } from './errors.ts';

/**
 * Step N makes version N of N - 1. A step that was released is never changed. The build before it must be able to
 * serve what it makes, for that one may still be at work; and it has no longer than an order has.
 */
export const steps: readonly string[] = [`
  create table if not exists orders (
    order_id uuid primary key,
    symbol text not null check (symbol ~ '^[A-Z][A-Z0-9.-]{0,15}$'),
    side text not null check (side in ('buy', 'sell')),
    qty numeric not null check (qty > 0 and qty < 'Infinity'),
    idempotency_key text not null unique check (length(idempotency_key) between 1 and 300),
    created_at timestamptz(3) not null default now()
  );
`];

/** Takes the tables forward: many callers at once, one statement. onMade is called whenever that was needed. */
export function openSchema(known: readonly string[], onMade: () => void): (run: Run) => Promise<void> {
  const statement = forward(known);
  let running: Promise<void> | undefined;
  async function make(run: Run): Promise<void> {
    try {
      await run(sql => sql.unsafe(statement));
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      const { kind, reason, ofOneRow } = parseCode(error.code);
      const isRefused = kind === 'bug' || ofOneRow || reason === 'statement_timeout';
      // No order depends on what became of it: it is one transaction, and may run any number of times.
      throw new ConnectionError(isRefused ? 'SCHEMA_FAILED' : error.code, false, error);
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
function forward(known: readonly string[]): string {
  const each = known.map((step, at) => `
    if is_version < ${at + 1} then
      ${step}
      insert into schema_version (version) values (${at + 1});
    end if;`);
  return `
    select pg_advisory_xact_lock(7201, 1);
    create table if not exists schema_version (
      version integer primary key, applied_at timestamptz not null default now()
    );
    do $forward$ declare is_version integer := (select coalesce(max(version), 0) from schema_version);
    begin
      if is_version > ${known.length} then raise exception using errcode = 'OR001'; end if;
      -- dropped by hand: whatever the version says, nothing of it is there
      if to_regclass('orders') is null then
        delete from schema_version;
        is_version := 0;
      end if;
      ${each.join('')}
    end $forward$;
  `;
}
