// Load: writers that post orders with a key each, and a log on this host of the answers.
import { randomInt, randomUUID } from 'node:crypto';
import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Answer, NewOrder, Order } from '../client/api.ts';
import { anyQuantities, anySide, anySymbol } from '../client/ours.ts';

/** acked: promised. refused: certainly not stored. ambiguous: nobody told, both are possible. */
export type Fate = 'acked' | 'refused' | 'ambiguous';
/** `orderId` is also told with an unknown outcome of an order without a key: by it the order can be looked up. */
export type Told = { fate: Fate; orderId?: string; said: string; ms: number };
export type Attempt = Told & { key: string | undefined; order: NewOrder };
export type Place = (order: NewOrder, key: string | undefined) => Promise<Answer<Order>>;
export type How = { writers?: number; keyless?: number; restMs?: number; mayWrite?: () => boolean };
export type Load = {
  /** Appended and fsynced: each order before it is sent, and its fate before the writer's next order. */
  readonly file: string;
  readonly attempts: readonly Attempt[];
  /**
   * Starts sixteen writers; so many of them send no key, and each rests so long between two orders. While `mayWrite`
   * is false nobody posts, as clients do that follow readiness.
   */
  start: (how?: How) => Promise<void>;
  count: (...fates: Fate[]) => number;
  /** Returns when every writer has the answer to its last order; does nothing when there is none. */
  stop: () => Promise<void>;
};

/** Starts nothing yet. Each writer logs the fate of its last order, then sends the next; after a no, so much later. */
export function openLoad(place: Place, file: string, turnedAwayMs = 50): Load {
  const attempts: Attempt[] = [];
  let stopping = false;
  let ended: Promise<unknown> = Promise.resolve();
  const write = async (log: Log, isKeyed: boolean, { restMs = 0, mayWrite = () => true }: How) => {
    while (!stopping) {
      if (!mayWrite()) {
        await pause(20);
        continue;
      }
      const order = draftOrder();
      const key = isKeyed ? randomUUID() : undefined;
      await log.append({ key, order, fate: 'sent' });
      const attempt = { key, order, ...judge(await place(order, key)) };
      attempts.push(attempt);
      await log.append(attempt);
      // turned away: a client that comes back at once would only add to the trouble
      if (attempt.fate !== 'acked') await pause(turnedAwayMs);
      else if (restMs > 0) await pause(restMs);
    }
  };
  return {
    file, attempts,
    start: async (how = {}) => {
      const { writers = 16, keyless = 0 } = how;
      await mkdir(dirname(file), { recursive: true });
      const log = await openLog(file);
      const all = Array.from({ length: writers }, (_, i) => write(log, i >= keyless, how));
      ended = Promise.all(all).finally(log.close);
      // kept for whoever awaits stop()
      ended.catch(() => undefined);
    },
    count: (...fates) => attempts.filter(({ fate }) => fates.includes(fate)).length,
    stop: async () => {
      stopping = true;
      await ended;
    },
  };
}

/** An order of ours that nobody placed before. */
export function draftOrder(): NewOrder {
  const quantities = anyQuantities();
  const qty = quantities[randomInt(quantities.length)] ?? '1';
  return { symbol: anySymbol('drill'), side: anySide(), qty };
}

const certainRefusals = new Set(['database_unavailable', 'overloaded']);

/** What an answer to a posted order promises. */
export function judge(answer: Answer<Order>): Told {
  const { sight, status, value, problem } = answer;
  const { ms } = sight;
  // a connection that was refused has carried nothing
  if (sight.state !== 'answered') {
    return { fate: sight.state === 'refused' ? 'refused' : 'ambiguous', said: sight.state, ms };
  }
  const said = [status, problem?.code].filter(word => word !== undefined).join(' ');
  if (value !== undefined) return { fate: 'acked', orderId: value.order_id, said, ms };
  const refused = status === 503 && problem !== undefined && certainRefusals.has(problem.code);
  const { orderId } = problem ?? {};
  return { fate: refused ? 'refused' : 'ambiguous', ...orderId === undefined ? {} : { orderId }, said, ms };
}

/** Whether an order is as it was sent. */
export function isAsSent(order: Order, { symbol, side, qty }: NewOrder): boolean {
  return order.symbol === symbol && order.side === side && order.qty === Number(qty);
}

type Log = { append: (line: object) => Promise<void>; close: () => Promise<void> };

/** One fsync serves every line that waits for it: sixteen writers cost about as much as one. */
async function openLog(file: string): Promise<Log> {
  const handle = await open(file, 'a', 0o600);
  let waiting = '';
  let next: Promise<void> | null = null;
  let last = Promise.resolve();
  const flush = async () => {
    const text = waiting;
    waiting = '';
    next = null;
    await handle.appendFile(text);
    await handle.datasync();
  };
  return {
    append: line => {
      waiting += `${JSON.stringify(line)}\n`;
      next ??= last = last.then(flush);
      return next;
    },
    close: async () => {
      await last.catch(() => undefined);
      await handle.close();
    },
  };
}
