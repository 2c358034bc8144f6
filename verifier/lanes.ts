// How each lane of a timeline looks at a service, and what it calls good, refused or bad.
import { ask } from './http.ts';
import type { HttpSight } from './http.ts';
import { probe } from './tcp.ts';
import type { Target } from './options.ts';
import type { Lane, Sight } from './timeline.ts';
import { fields } from './writers.ts';

/** What an answer may take, by lane; each is scaled before use. An order may wait for a connection, then for the database. */
export const lateMs: Record<Lane, number> = { tcp: 1_000, health: 1_000, ready: 1_000, read: 5_000, write: 5_000 };

export type Placed = { orderId: string; symbol: string; side: string; qty: number };
export type Looks = { look: Record<Lane, () => Promise<Sight>>; readonly placed: readonly Placed[] };

/** Looks at one target for one timeline. The write lane places orders; those that were accepted are in placed. */
export function openLooks(target: Target, { scaled, orderId }: { scaled: (ms: number) => number; orderId: string }): Looks {
  const placed: Placed[] = [];
  const get = (lane: Lane, path: string) => ask(target, { path, deadlineMs: scaled(lateMs[lane]) });
  const write = async () => {
    const order = { symbol: 'DRILL', side: 'buy', qty: placed.length + 1 };
    const sight = await ask(target, { method: 'POST', path: `/order?symbol=DRILL&side=buy&qty=${order.qty}`, deadlineMs: scaled(lateMs.write) });
    const { order_id } = sight.state === 'answered' && sight.status === 201 ? fields(sight.json) : {};
    if (typeof order_id === 'string') placed.push({ ...order, orderId: order_id });
    return sightOf(sight, 201);
  };
  const look = {
    tcp: async (): Promise<Sight> => {
      const { state } = await probe(target, scaled(lateMs.tcp), 50);
      return { grade: state === 'held' ? 'good' : 'bad', word: state };
    },
    health: async () => sightOf(await get('health', '/health'), 200),
    ready: async () => sightOf(await get('ready', '/ready'), 200),
    read: async () => sightOf(await get('read', `/orders/${orderId}`), 200),
    write,
  };
  return { look, placed };
}

/** A 503 counts as refused only with Retry-After: that is the promise. Its word carries the reason or the code. */
export function sightOf(sight: HttpSight, wanted: number): Sight {
  if (sight.state !== 'answered') return { grade: 'bad', word: sight.state };
  if (sight.status === wanted) return { grade: 'good', word: String(wanted) };
  const word = [String(sight.status), whyOf(sight.json)].filter(Boolean).join(' ');
  if (sight.status !== 503) return { grade: 'bad', word };
  return sight.headers.has('retry-after') ? { grade: 'refused', word } : { grade: 'bad', word: `${word} without Retry-After` };
}

/** Why a service is not ready or did not serve: the database's reason, `draining`, or the problem's code. */
export function whyOf(json: unknown): string {
  const { status, code, checks } = fields(json);
  if (status === 'draining') return status;
  const { reason } = fields(fields(checks)['database']);
  return [reason, code].find(word => typeof word === 'string')?.toString() ?? '';
}
