// Orders in Postgres. The only file that speaks SQL, but for the text of the tables in schema.ts.
import type { Sql } from 'postgres';
import { Batcher } from './batch.ts';
import type { BatchStats, Work } from './batch.ts';
import { ConnectionError } from './connection.ts';
import type { ConnectionOptions, Run } from './connection.ts';
import { openDialer } from './dialer.ts';
import { parseCode, StoreError } from './errors.ts';
import type { Reason } from './errors.ts';
import { openReadiness } from './readiness.ts';
import type { Probe, Readiness, ReadinessOptions } from './readiness.ts';
import { openSchema, steps as ours } from './schema.ts';

export type { Probe, Reason, Readiness };
export { StoreError };

export type Side = 'buy' | 'sell';

/** qty is the exact decimal, without trailing zeros after the point. createdAt is RFC 3339 in UTC with milliseconds. */
export type Order = { orderId: string; symbol: string; side: Side; qty: string; createdAt: string };

/** key null: the order's own id serves as key. */
export type NewOrder = { orderId: string; symbol: string; side: Side; qty: string; key: string | null };

/** Numbers since the start, but for connections, busy and waiting, which are as of now. */
export type StoreStats = {
  connections: { writes: number; reads: number; readiness: number }; busy: number; waiting: number; waitMsTotal: number;
  shed: number; opened: number; discarded: number; batches: number; batched: number; retries: number;
};

/**
 * Times in ms. onEvent is called once per change: database_up, database_down (reason, code); and schema_created
 * whenever tables were missing or of an older version, and have been made. steps: those of schema.ts unless given.
 */
export type StoreOptions = ConnectionOptions & {
  writeConnections: number; readConnections: number; queueSize: number; waitTimeoutMs: number; queryTimeoutMs: number;
  ready: ReadinessOptions; onEvent: (event: string, fields: Record<string, string>) => void;
  steps?: readonly string[];
};

export type Store = {
  /**
   * The order stored under this key, which may be an earlier one with other values. left: the caller is gone, and an
   * order that still waits is not written.
   */
  place(order: NewOrder, left?: () => boolean): Promise<Order>;
  find(orderId: string, left?: () => boolean): Promise<Order | null>;
  readiness: Readiness;
  stats(): StoreStats;
  close(graceMs: number): Promise<void>;
};

const stays = (): boolean => false;

/** Opens nothing. place and find throw StoreError only, within waitTimeoutMs + queryTimeoutMs. */
export function openStore(options: StoreOptions): Store {
  const { steps = ours } = options;
  const repair = openSchema(steps, () => options.onEvent('schema_created', { version: String(steps.length) }));
  let isNewer = false;
  const schema: Schema = { repair, newest: steps.length, seen: version => { isNewer = version > steps.length; } };
  // What a newer build made is not ours to write in, nor to read. Nobody has looked yet when a first order comes early.
  const admitted = async <T>(act: () => Promise<T>): Promise<T> => {
    if (readiness.last() === null) await readiness.check();
    if (isNewer) throw new StoreError('unavailable', 'schema_newer', 'SCHEMA_NEWER');
    return act();
  };
  const dialer = openDialer(options, () => readiness.suspect());
  const readiness = openReadiness(options, options.ready, {
    look: run => look(run, schema),
    onUp: dialer.proven,
    onChange: (reason, code) =>
      options.onEvent(reason ? 'database_down' : 'database_up', reason ? { reason, code: code ?? '' } : {}),
  });
  const writes = new Batcher(placing(repair), dialer, { ...options, connections: options.writeConnections });
  const reads = new Batcher(finding(repair), dialer, { ...options, connections: options.readConnections });
  return {
    place: (order, left = stays) =>
      admitted(() => writes.submit(order, left).catch(error => fail(error, true))),
    find: (orderId, left = stays) =>
      admitted(() => reads.submit(orderId, left).catch(error => fail(error, false))),
    readiness,
    stats: () => gather(writes.stats(), reads.stats(), dialer.stats(), readiness.stats()),
    async close(graceMs) {
      readiness.close();
      await Promise.all([writes.close(graceMs), reads.close(graceMs)]);
      dialer.close();
    },
  };
}

type Row = { order_id: string; symbol: string; side: Side; qty: string; created_at: string };
type Repair = (run: Run) => Promise<void>;

const setLockTimeout = (run: Run, ms: number) => run(sql => sql.unsafe(`set lock_timeout = ${Math.ceil(ms)}`));

function placing(repair: Repair): Work<NewOrder, Order> {
  const key = (order: NewOrder): string => order.key ?? order.orderId;
  return {
    key, repair, setLockTimeout,
    async run(run, orders) {
      const list = (value: (order: NewOrder) => string): string => arrayOf(orders.map(value));
      // `do nothing` would give no row back when the first of two is not yet visible to the second.
      const rows = await run(sql => sql<(Row & { key: string })[]>`
        insert into orders (order_id, symbol, side, qty, idempotency_key)
        select * from unnest(${list(order => order.orderId)}::uuid[], ${list(order => order.symbol)}::text[],
          ${list(order => order.side)}::text[], ${list(order => order.qty)}::numeric[], ${list(key)}::text[])
        on conflict (idempotency_key) do update set idempotency_key = excluded.idempotency_key
        returning ${columns(sql)}, idempotency_key as key`);
      const byKey = new Map(rows.map(row => [row.key, toOrder(row)]));
      return orders.map(order => byKey.get(key(order)));
    },
  };
}

function finding(repair: Repair): Work<string, Order | null> {
  return {
    key: orderId => orderId, repair, setLockTimeout,
    async run(run, orderIds) {
      const rows = await run(sql => sql<Row[]>`
        select ${columns(sql)} from orders where order_id = any(${arrayOf(orderIds)}::uuid[])`);
      const byId = new Map(rows.map(row => [row.order_id, toOrder(row)]));
      return orderIds.map(orderId => byId.get(orderId) ?? null);
    },
  };
}

function columns(sql: Sql) {
  return sql`order_id, symbol, side, trim_scale(qty)::text as qty,
    to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as created_at`;
}

function toOrder(row: Row): Order {
  return { orderId: row.order_id, symbol: row.symbol, side: row.side, qty: row.qty, createdAt: row.created_at };
}

/** A text array as PostgreSQL writes it; the library could do it only after asking the server for its types. */
function arrayOf(values: string[]): string {
  return `{${values.map(value => `"${/["\\]/.test(value) ? value.replace(/["\\]/g, '\\$&') : value}"`).join(',')}}`;
}

type Sight = { read_only: boolean; durable: boolean; version: number; usable: boolean };
type Schema = { repair: Repair; newest: number; seen: (version: number) => void };

// A server that answers is of no use while it is read-only, not durable or newer than us, or while tables are missing
// or older and cannot be made. Names of missing tables are refused with 42P01.
async function look(run: Run, { repair, newest, seen }: Schema): Promise<void> {
  const see = async (): Promise<Sight | undefined> => {
    const [sight] = await run(sql => sql<Sight[]>`
      select current_setting('transaction_read_only') = 'on' as read_only,
        current_setting('synchronous_commit') <> 'off' as durable,
        (select coalesce(max(version), 0) from schema_version) as version,
        has_table_privilege('orders', 'insert') and has_table_privilege('orders', 'update')
        and has_table_privilege('orders', 'select') as usable`);
    if (sight) seen(sight.version);
    return sight;
  };
  let sight = await see().catch((error: unknown) => {
    if (error instanceof ConnectionError && error.code === '42P01') return undefined;
    throw error;
  });
  if (sight?.read_only) throw new ConnectionError('25006', false);
  if (!sight || sight.version < newest) {
    await repair(run);
    sight = await see();
  }
  if (!sight || sight.read_only) throw new ConnectionError('25006', false);
  if (!sight.durable) throw new ConnectionError('NOT_DURABLE', false);
  if (sight.version > newest) throw new ConnectionError('SCHEMA_NEWER', false);
  if (!sight.usable) throw new ConnectionError('42501', false);
}

function gather(
  writes: BatchStats, reads: BatchStats, dialed: { opened: number; discarded: number },
  readiness: { open: number; opened: number },
): StoreStats {
  const both = (name: 'busy' | 'waiting' | 'waitMsTotal' | 'shed' | 'batches' | 'batched' | 'retries'): number =>
    writes[name] + reads[name];
  return {
    connections: { writes: writes.open, reads: reads.open, readiness: readiness.open },
    busy: both('busy'), waiting: both('waiting'), waitMsTotal: Math.round(both('waitMsTotal')), shed: both('shed'),
    opened: dialed.opened + readiness.opened, discarded: dialed.discarded,
    batches: both('batches'), batched: both('batched'), retries: both('retries'),
  };
}

function fail(error: unknown, writes: boolean): never {
  if (!(error instanceof ConnectionError)) throw new StoreError('bug', 'unknown', 'NO_CODE', error);
  const { kind, reason } = parseCode(error.code);
  // A try that may have stored it outweighs whatever the last one died of.
  throw new StoreError(writes && error.maybeApplied ? 'unknown' : kind, reason, error.code, error.cause);
}
