// Orders in Postgres. The only file that speaks SQL, but for the text of the tables in schema.ts.
import type { Sql } from 'postgres';
import { LaneError } from './lane.ts';
import { persist } from './persist.ts';
import { openPool } from './pool.ts';
import type { PoolOptions, StoreStats, Turn } from './pool.ts';
import { openProber } from './prober.ts';
import type { Probe } from './prober.ts';
import { watchSchema } from './schema.ts';
import type { Run, Schema } from './schema.ts';
import { parseCode } from './errors.ts';
import type { Kind, Reason } from './errors.ts';

export type { Kind, Probe, Reason, StoreStats };

export type Side = 'buy' | 'sell';

/** qty is the exact decimal, without trailing zeros after the point. createdAt is RFC 3339 in UTC with milliseconds. */
export type Order = { orderId: string; symbol: string; side: Side; qty: string; createdAt: string };

/** key null: the order's own id serves as key. */
export type NewOrder = { orderId: string; symbol: string; side: Side; qty: string; key: string | null };

/** created false: the key was there before, and order is the one stored under it. */
export type Placed = { order: Order; created: boolean };

/** code is a SQLSTATE or errno name and belongs in the log only. */
export class StoreError extends Error {
  readonly kind: Kind;
  readonly reason: Reason;
  readonly code: string;
  constructor(kind: Kind, reason: Reason, code: string, cause?: unknown) {
    super(`${kind} ${reason} ${code}`, { cause });
    this.kind = kind;
    this.reason = reason;
    this.code = code;
  }
}

/** onEvent is called once per change: database_up, database_down (reason, code), schema_ready (once). */
export type StoreOptions = PoolOptions & { onEvent: (event: string, fields: Record<string, string | number | boolean>) => void };

export type Store = {
  place(order: NewOrder): Promise<Placed>;
  find(orderId: string): Promise<Order | null>;
  probe(budgetMs: number): Promise<Probe>;
  /** The listener is called whenever a connection died. */
  onDoubt(listener: () => void): void;
  stats(): StoreStats;
  close(graceMs: number): Promise<void>;
};

/** Opens nothing. place and find throw StoreError only, within waitTimeoutMs + queryTimeoutMs. */
export function openStore(options: StoreOptions): Store {
  const listeners: (() => void)[] = [];
  const schema = watchSchema(() => options.onEvent('schema_ready', {}));
  const doubt = () => {
    for (const listener of listeners) listener();
  };
  const pool = openPool(options, () => {
    prober.suspect();
    doubt();
  });
  const prober = openProber({
    lane: options, onDeath: doubt, look: run => look(run, schema),
    onChange: (reason, code) => options.onEvent(reason ? 'database_down' : 'database_up', reason ? { reason, code } : {}),
  });

  return {
    async place(order) {
      return pool.use(turn => persist({ turn, schema, eager: true }, again => insert(turn, order, again))).catch(error => fail(error, true));
    },
    async find(orderId) {
      return pool.use(turn => persist({ turn, schema, eager: false }, () => select(turn, orderId))).catch(error => fail(error, false));
    },
    async probe(budgetMs) {
      const probe = await prober.probe(budgetMs);
      if (probe.up) pool.proven();
      return probe;
    },
    onDoubt(listener) { listeners.push(listener); },
    stats() {
      const [lanes, own] = [pool.stats(), prober.stats()];
      return { ...lanes, open: lanes.open + own.open, opened: lanes.opened + own.opened };
    },
    async close(graceMs) {
      prober.close();
      await pool.close(graceMs);
    },
  };
}

type Row = { order_id: string; symbol: string; side: Side; qty: string; created_at: string };

async function insert(turn: Turn, order: NewOrder, again: boolean): Promise<Placed> {
  const { orderId, symbol, side, qty, key } = order;
  // `do nothing` would give no row back when the first of two is not yet visible to the second.
  const [row] = await turn.run(sql => sql<(Row & { created: boolean })[]>`
    insert into orders (order_id, symbol, side, qty, idempotency_key) values (${orderId}, ${symbol}, ${side}, ${qty}, ${key ?? orderId})
    on conflict (idempotency_key) do update set idempotency_key = excluded.idempotency_key
    returning ${columns(sql)}, (xmax = 0) as created`);
  if (!row) {
    // After a reset the library may report a statement as done that was never sent: with no row.
    turn.discard('NO_ROW');
    throw new LaneError('NO_ROW', true);
  }
  // The try before this one may have stored the order and died before it could say so.
  return { order: toOrder(row), created: row.created || (again && row.order_id === orderId) };
}

async function select(turn: Turn, orderId: string): Promise<Order | null> {
  const [row] = await turn.run(sql => sql<Row[]>`select ${columns(sql)} from orders where order_id = ${orderId}`);
  return row ? toOrder(row) : null;
}

function columns(sql: Sql) {
  return sql`order_id, symbol, side, trim_scale(qty)::text as qty,
    to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as created_at`;
}

function toOrder(row: Row): Order {
  return { orderId: row.order_id, symbol: row.symbol, side: row.side, qty: row.qty, createdAt: row.created_at };
}

type Sight = { read_only: boolean; usable: boolean | null };

// A server that answers is of no use while it is read-only, or while the tables are missing and cannot be made.
async function look(run: Run, schema: Schema): Promise<void> {
  const see = () => run(sql => sql<Sight[]>`
    select current_setting('transaction_read_only') = 'on' as read_only,
      to_regclass('schema_version') is not null and has_table_privilege(to_regclass('orders'), 'insert')
      and has_table_privilege(to_regclass('orders'), 'update') and has_table_privilege(to_regclass('orders'), 'select') as usable`);
  const [before] = await see();
  if (before?.read_only) throw new LaneError('25006', false);
  if (before?.usable) return;
  schema.doubt();
  await schema.ensure(run);
  const [after] = await see();
  if (!after?.usable) throw new LaneError('42501', false);
}

function fail(error: unknown, writes: boolean): never {
  if (!(error instanceof LaneError)) throw new StoreError('bug', 'unknown', 'NO_CODE', error);
  const { kind, reason } = parseCode(error.code);
  if (kind === 'bug') throw new StoreError(kind, reason, error.code, error);
  throw new StoreError(writes && error.maybeApplied ? 'unknown' : kind, reason, error.code);
}
