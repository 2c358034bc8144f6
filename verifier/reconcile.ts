// What the writers were told, held against what the service has.
import { fields, judge } from './writers.ts';
import type { Attempt, Draft, Place } from './writers.ts';
import type { HttpSight } from './http.ts';

export type Find = (orderId: string) => Promise<HttpSight>;
/** All but the first four must be 0; each list names the keys it counts. */
export type Reckoning = {
  acked: number; refused: number; ambiguous: number; resolved: number;
  missing: string[]; changed: string[]; present: string[]; doubled: string[]; unresolved: string[];
};
export type ReconcileOptions = { attempts: readonly Attempt[]; place: Place; find: Find; atOnce?: number };

/** Reads every acked order before anything is sent again: a repeated key would put a lost order back. */
export async function reconcile({ attempts, place, find, atOnce = 16 }: ReconcileOptions): Promise<Reckoning> {
  const told = (outcome: Attempt['outcome']) => attempts.filter(attempt => attempt.outcome === outcome);
  const found = await eachOf(told('acked'), atOnce, async attempt => ({ attempt, sight: await find(attempt.orderId ?? '') }));
  const repeated = await eachOf(told('ambiguous'), atOnce, async attempt => ({ ...attempt, ...await insist(attempt, place) }));
  const resolved = repeated.filter(attempt => attempt.outcome === 'acked');
  const later = await eachOf(resolved, atOnce, async attempt => ({ attempt, sight: await find(attempt.orderId ?? '') }));
  const all = [...found, ...later];
  const promised = all.map(({ attempt }) => attempt);
  const replayed = await eachOf(promised, atOnce, async attempt => ({ attempt, again: judge(await place(attempt.order, attempt.key)) }));
  const ghosts = await eachOf(told('refused'), atOnce, async attempt => ({ attempt, there: await isThere(attempt, place) }));
  return {
    acked: found.length, refused: told('refused').length, ambiguous: repeated.length, resolved: resolved.length,
    missing: keys(all.filter(({ sight }) => sight.state !== 'answered' || sight.status !== 200)),
    changed: keys(all.filter(({ attempt, sight }) => sight.state === 'answered' && sight.status === 200 && !equal(attempt, sight.json))),
    present: keys(ghosts.filter(({ there }) => there)),
    doubled: [...sharedIds(promised), ...keys(replayed.filter(({ attempt, again }) => again.orderId !== attempt.orderId))],
    unresolved: repeated.filter(attempt => attempt.outcome !== 'acked').map(({ key }) => key),
  };
}

/** A few times at most: the system was proved sound before, so one answer ought to do. */
async function insist(attempt: Attempt, place: Place): Promise<Pick<Attempt, 'outcome' | 'orderId' | 'said' | 'ms'>> {
  const again = judge(await place(attempt.order, attempt.key));
  return again.outcome === 'acked' ? again : judge(await place(attempt.order, attempt.key));
}

/** The same key with another order: refused as re-used when the first was stored after all. */
async function isThere(attempt: Attempt, place: Place): Promise<boolean> {
  const other: Draft = { ...attempt.order, qty: attempt.order.qty + 1 };
  const sight = await place(other, attempt.key);
  return sight.state !== 'answered' || sight.status !== 201;
}

function equal({ order, orderId }: Attempt, json: unknown): boolean {
  const { order_id, symbol, side, qty } = fields(json);
  return order_id === orderId && symbol === order.symbol && side === order.side && qty === order.qty;
}

function sharedIds(attempts: readonly Attempt[]): string[] {
  const owners = new Map<string, string>();
  return attempts.flatMap(({ key, orderId = '' }) => {
    const owner = owners.get(orderId) ?? key;
    owners.set(orderId, owner);
    return owner === key ? [] : [key];
  });
}

function keys(rows: { attempt: Attempt }[]): string[] {
  return rows.map(({ attempt }) => attempt.key);
}

/** Works on every item, so many at once, and gives the results in the items' order. */
export async function eachOf<T, R>(items: readonly T[], atOnce: number, work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const queue = [...items.entries()].reverse();
  const worker = async () => {
    for (let next = queue.pop(); next !== undefined; next = queue.pop()) results[next[0]] = await work(next[1]);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return results;
}
