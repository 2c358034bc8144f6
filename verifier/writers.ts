// Writers that post orders with a key each, and a log on this host of what they were told: acked, refused or ambiguous.
import { randomUUID } from 'node:crypto';
import { open } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import type { HttpSight } from './http.ts';

export type Draft = { symbol: string; side: 'buy' | 'sell'; qty: number };
/** acked: promised. refused: certainly not stored. ambiguous: nobody told, both are possible. */
export type Outcome = 'acked' | 'refused' | 'ambiguous';
export type Attempt = { key: string; order: Draft; outcome: Outcome; orderId?: string; said: string; ms: number };
export type Place = (order: Draft, key: string) => Promise<HttpSight>;
export type Writers = { readonly attempts: readonly Attempt[]; stop(): Promise<void> };
export type WritersOptions = {
  place: Place;
  /** Appended and fsynced: each order before it is sent, and each outcome before the next order. */
  file: string;
  count?: number;
  /** While this says false nobody posts: how a client behaves that follows readiness. */
  mayWrite?: () => boolean;
};

/** Starts posting at once; each writer sends its next order when it has logged the outcome of the last. */
export async function startWriters({ place, file, count = 16, mayWrite = () => true }: WritersOptions): Promise<Writers> {
  const log = await openAttemptLog(file);
  const attempts: Attempt[] = [];
  let stopping = false;
  const write = async (writer: number) => {
    for (let turn = 1; !stopping; turn += 1) {
      if (!mayWrite()) { await pause(20); continue; }
      const order: Draft = { symbol: `W${writer}`, side: turn % 2 === 0 ? 'sell' : 'buy', qty: turn + 0.25 };
      const key = randomUUID();
      await log.append({ key, order, outcome: 'sent' });
      const attempt = { key, order, ...judge(await place(order, key)) };
      attempts.push(attempt);
      await log.append(attempt);
      // turned away: a client that comes back at once would only add to the trouble
      if (attempt.outcome !== 'acked') await pause(50);
    }
  };
  const ended = Promise.all(Array.from({ length: count }, (_, i) => write(i + 1)));
  ended.catch(() => undefined);
  return { attempts, stop: async () => { stopping = true; await ended.finally(log.close); } };
}

const certainRefusals = new Set(['database_unavailable', 'overloaded']);

/** What an answer to a posted order promises. */
export function judge(sight: HttpSight): Pick<Attempt, 'outcome' | 'orderId' | 'said' | 'ms'> {
  const { ms } = sight;
  // a connection that was refused has carried nothing
  if (sight.state !== 'answered') return { outcome: sight.state === 'refused' ? 'refused' : 'ambiguous', said: sight.state, ms };
  const { order_id: orderId, code } = fields(sight.json);
  const said = typeof code === 'string' ? `${sight.status} ${code}` : String(sight.status);
  if (sight.status === 201 && typeof orderId === 'string') return { outcome: 'acked', orderId, said, ms };
  const refused = sight.status === 503 && typeof code === 'string' && certainRefusals.has(code);
  return { outcome: refused ? 'refused' : 'ambiguous', said, ms };
}

/** The members of a JSON object; none when it is something else. */
export function fields(json: unknown): Record<string, unknown> {
  return typeof json === 'object' && json !== null ? { ...json } : {};
}

type AttemptLog = { append(line: object): Promise<void>; close(): Promise<void> };

/** One fsync serves every line that waits for it: sixteen writers cost about as much as one. */
async function openAttemptLog(file: string): Promise<AttemptLog> {
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
  const append = (line: object) => {
    waiting += `${JSON.stringify(line)}\n`;
    next ??= last = last.then(flush);
    return next;
  };
  return { append, close: async () => { await last.catch(() => undefined); await handle.close(); } };
}
