// The faults that are made with SQL, the same on every platform: what makes each, what undoes it, how it is seen.
import { setTimeout as pause } from 'node:timers/promises';
import type { LoopDisk } from '../loop-disk.ts';
import type { FaultName } from '../platform.ts';

/** The superuser's psql on some platform. */
export type Superuser = {
  /** Runs each statement by itself, and gives what they printed. Throws with what the server said. */
  sql: (text: string) => Promise<string>;
  /** Begins a session that runs this in the background, and returns. */
  hold: (text: string) => Promise<void>;
};
/**
 * `inject` and `recover` may run twice, `recover` also where there are no tables yet; `inPlace` gives t or f. The fault
 * with a `session` lasts as long as that does, and is made once it `holds`.
 */
type DatabaseFault = { inject: string; session?: string; recover: string; inPlace: string; holds?: string };

const endSessions = "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'orders';";
const isLocked = "from pg_stat_activity where application_name = 'orders-table-locked'";
const isRevoked = "has_table_privilege('orders', to_regclass('orders'), 'insert') = false";
const delayed = "from pg_file_settings where (name, setting) in (('commit_delay', '100000'), ('commit_siblings', '0'))";

// Whatever came into the tables that the service has made anew joins those that lie aside. A key that stands for
// another order there was promised twice: both stay, the later one under its own id.
const joinAside = `lock table public.orders, orders_aside.orders in access exclusive mode;
  update public.orders o set idempotency_key = order_id::text where exists (
    select from orders_aside.orders a where a.idempotency_key = o.idempotency_key and a.order_id <> o.order_id);
  insert into orders_aside.orders select * from public.orders on conflict do nothing;
  drop table public.orders, public.schema_version;`;

const faults = {
  // Ends by itself after ten minutes, and with the server. It sleeps as soon as it has the lock.
  'table-locked': {
    inject: '',
    session: `set application_name = 'orders-table-locked'; begin; lock table orders in access exclusive mode;
      select pg_sleep(600)`,
    recover: `select pg_terminate_backend(pid, 5000) ${isLocked};`,
    // one that waits for the lock keeps all others out already
    inPlace: `select exists (select ${isLocked});`,
    holds: `select exists (select ${isLocked} and wait_event = 'PgSleep');`,
  },
  // A disk that is somebody else's too is never filled: for a database without one of its own, in front of each insert
  // the server writes to a device that is always full. What the caller gets is the kernel's own ENOSPC; nothing but
  // inserts is touched.
  'disk-full': {
    inject: `begin;
      create or replace function orders_disk_full() returns trigger language plpgsql security definer
        as $$ begin copy (select 1) to '/dev/full'; return null; end $$;
      create or replace trigger orders_disk_full before insert on orders
        for each statement execute function orders_disk_full();
      commit;`,
    recover: `drop function if exists orders_disk_full() cascade;
      select 'alter table orders reset (autovacuum_enabled)' from pg_class
      where oid = to_regclass('orders') and 'autovacuum_enabled=off' = any (reloptions) \\gexec\n`,
    inPlace: "select to_regproc('orders_disk_full') is not null;",
  },
  // They lie in a schema aside, with every order that comes later. A second time puts those aside too.
  'tables-lost': {
    inject: `set lock_timeout = '20s';
      do $$ begin
        perform pg_advisory_xact_lock(7201, 1);
        if to_regclass('orders_aside.orders') is null then
          create schema orders_aside;
          alter table public.orders set schema orders_aside;
          alter table public.schema_version set schema orders_aside;
        elsif to_regclass('public.orders') is not null then
          ${joinAside}
        end if;
      end $$;`,
    recover: `do $$ begin
        if to_regclass('orders_aside.orders') is null then return; end if;
        perform pg_advisory_xact_lock(7201, 1);
        if to_regclass('public.orders') is not null then
          ${joinAside}
        end if;
        alter table orders_aside.orders set schema public;
        alter table orders_aside.schema_version set schema public;
        drop schema orders_aside;
      exception when others then
        raise warning 'the tables in orders_aside cannot come back: %', sqlerrm;
      end $$;`,
    inPlace: "select to_regclass('orders_aside.orders') is not null;",
  },
  'read-only': {
    inject: `alter database orders set default_transaction_read_only = on; ${endSessions}`,
    recover: 'alter database orders reset default_transaction_read_only;',
    inPlace: `select exists (select from pg_db_role_setting join pg_database on pg_database.oid = setdatabase
      where datname = 'orders' and setrole = 0 and 'default_transaction_read_only=on' = any (setconfig));`,
  },
  'connections-exhausted': {
    inject: `alter role orders connection limit 0; ${endSessions}`,
    recover: `select 'alter role orders connection limit -1' from pg_roles
      where rolname = 'orders' and rolconnlimit = 0 \\gexec\n`,
    inPlace: "select rolconnlimit = 0 from pg_roles where rolname = 'orders';",
  },
  'right-revoked': {
    inject: 'revoke insert on orders from orders;',
    recover: `select 'grant insert on orders to orders' where ${isRevoked} \\gexec\n`,
    inPlace: `select ${isRevoked};`,
  },
  // Every commit waits 100 ms before it is written, as on a slow disk. Nothing else is slower.
  'db-slow': {
    inject: `alter system set commit_delay = 100000; alter system set commit_siblings = 0; select pg_reload_conf();`,
    recover: `select format('alter system reset %I', name) ${delayed} \\gexec
      select pg_reload_conf() where current_setting('commit_delay') <> '0';`,
    inPlace: `select exists (select ${delayed})
      or (current_setting('commit_delay') = '100000' and current_setting('commit_siblings') = '0');`,
  },
  // One order that verify placed and was promised: the newest of them. It comes back as it was, with key and time.
  'orders-lost': {
    inject: `do $$ begin
        if to_regclass('orders_lost') is not null then return; end if;
        create table orders_lost (like orders);
        with gone as (
          delete from orders where order_id = (
            select order_id from orders where symbol like 'ZZV%' order by created_at desc limit 1
          ) returning *
        ) insert into orders_lost select * from gone;
        if not found then raise exception 'no order of verify is stored, make verify places one'; end if;
      end $$;`,
    recover: `do $$ begin
        if to_regclass('orders_lost') is null then return; end if;
        insert into orders select * from orders_lost on conflict (order_id) do nothing;
        drop table orders_lost;
      exception when others then
        -- it stays there, and keeps nothing else from its recovery
        raise warning 'an order in orders_lost cannot come back: %', sqlerrm;
      end $$;`,
    inPlace: "select to_regclass('orders_lost') is not null;",
  },
} satisfies Partial<Record<FaultName, DatabaseFault>>;

export type DatabaseFaultName = keyof typeof faults;
export const databaseFaults = Object.keys(faults) as DatabaseFaultName[];
const rows: Record<DatabaseFaultName, DatabaseFault> = faults;

/** How PostgreSQL's programs know who they are, on every platform; a frozen server keeps none of them waiting. */
export const superuser = { PGUSER: 'postgres', PGDATABASE: 'orders', PGCONNECT_TIMEOUT: '15' } as const;

/** In front of what the superuser has to do even while the default is to read only. */
export const writable = 'set default_transaction_read_only = off;\n';

/**
 * Undoes all of them, whichever was made. The order matters: a lock keeps all out, a full disk the lost orders, and
 * only a table that is back can get back its rights and its lost order.
 */
export const recoverAll = databaseFaults.map(name => rows[name].recover).join('\n');

// Orders that are never committed, until not one more has room: the pages of the table have room of their own when the
// disk has none. One that finds room there and none in an index has still used it up, and says nothing of the next.
// With the setting every connection forgets the page that only it knew to have room.
const filling = `do $$ declare refused int := 0; begin
  begin
    alter table orders set (autovacuum_enabled = off);
  exception when disk_full then null;
  end;
  for tried in 1..100000 loop
    begin
      insert into orders (order_id, symbol, side, qty, idempotency_key)
        values (gen_random_uuid(), 'ZZFULL', 'buy', 1, gen_random_uuid());
      refused := 0;
    exception when disk_full then
      refused := refused + 1;
      exit when refused = 200;
    end;
  end loop;
  if refused < 200 then raise exception 'an order had room still'; end if;
  raise exception 'as it must be' using errcode = 'ZZ000';
exception when sqlstate 'ZZ000' then null;
end $$;`;

/** Fills the disk of a database, then its table, so that from now on each new order fails. */
export async function fillTable({ sql }: Superuser, disk: Pick<LoopDisk, 'fill' | 'isFull'>): Promise<void> {
  // WAL begins a new file while there is room for one, for what is turned away is written about; later it would panic
  if (!await disk.isFull()) await sql('checkpoint; select pg_switch_wal(); checkpoint;');
  // what was not committed is swept out of the way otherwise
  await sql('alter table orders set (autovacuum_enabled = off);');
  await disk.fill();
  await sql(filling);
}

/** Throws when it could not be made within `deadlineMs`. */
export async function injectInDatabase(name: DatabaseFaultName, user: Superuser, deadlineMs: number): Promise<void> {
  const { inject, session, holds = '', recover } = rows[name];
  if (session === undefined) {
    await user.sql(inject);
    return;
  }
  if (!await isInDatabase(name, user)) await user.hold(session);
  const end = performance.now() + deadlineMs;
  while ((await user.sql(holds)).trim() !== 't') {
    if (performance.now() > end) {
      await user.sql(recover);
      throw new Error(`${name} is not in place after ${deadlineMs} ms`);
    }
    await pause(20);
  }
}

/** Throws when it is in place still. */
export async function recoverInDatabase(name: DatabaseFaultName, user: Superuser): Promise<void> {
  await user.sql(rows[name].recover);
  if (await isInDatabase(name, user)) throw new Error(`${name} is still in place; the database's log says why`);
}

/** Throws when that cannot be seen. */
export async function isInDatabase(name: DatabaseFaultName, { sql }: Superuser): Promise<boolean> {
  return (await sql(rows[name].inPlace)).trim() === 't';
}
