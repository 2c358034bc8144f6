// Load: writers that post orders with a key each, and a log on this host of what they were told.
import { randomUUID } from 'node:crypto';
import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { HttpSight } from '../client/http.ts';
import { fieldsOf } from './probes.ts';

export type Draft = { symbol: string; side: 'buy' | 'sell'; qty: number };
/** acked: promised. refused: certainly not stored. ambiguous: nobody told, both are possible. */
export type Fate = 'acked' | 'refused' | 'ambiguous';
export type Told = { fate: Fate; orderId?: string; said: string; ms: number };
export type Attempt = Told & { key: string; order: Draft };
export type Place = (order: Draft, key: string) => Promise<HttpSight>;
export type Load = {
  /** Appended and fsynced: each order before it is sent, and its fate before the writer's next order. */
  readonly file: string;
  readonly attempts: readonly Attempt[];
  /** Starts sixteen writers. While `mayWrite` is false nobody posts, as clients do that follow readiness. */
  start: (how?: { writers?: number; mayWrite?: () => boolean }) => Promise<void>;
  count: (...fates: Fate[]) => number;
  /** Returns when every writer has the answer to its last order; does nothing when there is none. */
  stop: () => Promise<void>;
};

/** Starts nothing yet. Each writer sends its next order when it has logged the fate of the last. */
export function openLoad(place: Place, file: string): Load {
  const attempts: Attempt[] = [];
  let stopping = false;
  let ended: Promise<unknown> = Promise.resolve();
  const write = async (writer: number, log: Log, mayWrite: () => boolean) => {
    for (let turn = 1; !stopping; turn += 1) {
      if (!mayWrite()) {
        await pause(20);
        continue;
      }
      const order: Draft = { symbol: `W${writer}`, side: turn % 2 === 0 ? 'sell' : 'buy', qty: turn + 0.25 };
      const key = randomUUID();
      await log.append({ key, order, fate: 'sent' });
      const attempt = { key, order, ...judge(await place(order, key)) };
      attempts.push(attempt);
      await log.append(attempt);
      // turned away: a client that comes back at once would only add to the trouble
      if (attempt.fate !== 'acked') await pause(50);
    }
  };
  return {
    file, attempts,
    start: async ({ writers = 16, mayWrite = () => true } = {}) => {
      await mkdir(dirname(file), { recursive: true });
      const log = await openLog(file);
      ended = Promise.all(Array.from({ length: writers }, (_, i) => write(i + 1, log, mayWrite))).finally(log.close);
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

const certainRefusals = new Set(['database_unavailable', 'overloaded']);

/** What an answer to a posted order promises. */
export function judge(answer: HttpSight): Told {
  const { ms } = answer;
  // a connection that was refused has carried nothing
  if (answer.state !== 'answered') {
    return { fate: answer.state === 'refused' ? 'refused' : 'ambiguous', said: answer.state, ms };
  }
  const { order_id: orderId, code } = fieldsOf(answer.json);
  const said = typeof code === 'string' ? `${answer.status} ${code}` : String(answer.status);
  if (answer.status === 201 && typeof orderId === 'string') return { fate: 'acked', orderId, said, ms };
  const refused = answer.status === 503 && typeof code === 'string' && certainRefusals.has(code);
  return { fate: refused ? 'refused' : 'ambiguous', said, ms };
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
