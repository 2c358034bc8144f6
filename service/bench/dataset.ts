// Orders made by SQL: as many as wanted, under ids that can be computed again from their number.
import type { Ids, Testbed } from './testbed.ts';

/** sample: ids that are there, drawn from all of them. */
export type Dataset = { orders: number; sample: string[] };

const columns = 'order_id, symbol, side, qty, idempotency_key';
const returned = 'order_id, symbol, side, qty, created_at';
// A multiple of nine, so that one write to nine reads comes out even.
const sampleSize = 4500;

/** For pgbench: the bare program's statements, with ids that the database makes. */
export const statements = {
  insert: `insert into orders (${columns})
    values (bench_new(), 'BTC', 'buy', 1, bench_new()::text) returning ${returned};`,
  select: (orders: number): string =>
    `\\set n random(1, ${orders})\nselect ${returned} from orders where order_id = bench_id(:n);`,
};

/** Removes all orders and makes new ones; the table must be there. */
export async function fill(testbed: Testbed, orders: number): Promise<Dataset> {
  await testbed.psql(
    'set client_min_messages = warning',
    "set maintenance_work_mem = '256MB'",
    functions(testbed.ids),
    // Indexes are built afterwards: kept up row by row beyond the cache, 10^7 orders would take many times as long.
    `do $$
      declare
        one record;
      begin
        truncate orders;
        create temporary table kept on commit drop as
          select conname, pg_get_constraintdef(oid) as definition
          from pg_constraint where conrelid = 'orders'::regclass and contype in ('p', 'u');
        for one in select * from kept loop
          execute format('alter table orders drop constraint %I', one.conname);
        end loop;
        insert into orders (${columns}) select id, 'BTC', 'buy', 1, id::text
          from (select bench_id(n) as id from generate_series(1, ${orders}) n offset 0) made;
        for one in select * from kept loop
          execute format('alter table orders add constraint %I %s', one.conname, one.definition);
        end loop;
      end $$`,
    'vacuum analyze orders',
    'checkpoint',
  );
  const drawn = `select bench_id(1 + floor(random() * ${orders})::bigint) from generate_series(1, ${sampleSize})`;
  return { orders, sample: (await testbed.psql(drawn)).split('\n') };
}

// Versions 4 and 7 of RFC 9562: scattered over the whole index, or each behind the one before.
function functions(ids: Ids): string {
  const random = ids === 'random';
  const head = random ? 'substr(md5(n::text), 1, 12)' : "lpad(to_hex(1700000000000 + n), 12, '0')";
  const id = `(${head} || '${random ? 4 : 7}' || substr(md5(n::text), 14, 3) || '8' || substr(md5(n::text), 18))::uuid`;
  const ms = '(extract(epoch from clock_timestamp()) * 1000)::bigint';
  const fresh = `(lpad(to_hex(${ms}), 12, '0') || '7' || substr(gen_random_uuid()::text, 16))::uuid`;
  return `
    create or replace function bench_id(n bigint) returns uuid language sql immutable as $$ select ${id} $$;
    create or replace function bench_new() returns uuid language sql volatile as
      $$ select ${random ? 'gen_random_uuid()' : fresh} $$`;
}
