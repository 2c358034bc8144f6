// What the writers were told, held against what the service has.
import type { HttpSight } from '../client/http.ts';
import { judge } from './load.ts';
import type { Attempt, Draft, Fate, Place, Told } from './load.ts';
import { fieldsOf } from './probes.ts';

export type Find = (orderId: string) => Promise<HttpSight>;
/** All but the first four must be 0; each list names the keys it counts. */
export type Reckoning = {
  acked: number; refused: number; ambiguous: number; resolved: number;
  missing: string[]; changed: string[]; present: string[]; doubled: string[]; unresolved: string[];
};
export type Reconciled = { attempts: readonly Attempt[]; place: Place; find: Find; atOnce?: number };

/** Reads every acked order before anything is sent again: a repeated key would put a lost order back. */
export async function reconcile({ attempts, place, find, atOnce = 16 }: Reconciled): Promise<Reckoning> {
  const told = (fate: Fate) => attempts.filter(attempt => attempt.fate === fate);
  const lookUp = async (attempt: Attempt) => ({ attempt, answer: await find(attempt.orderId ?? '') });
  const found = await eachOf(told('acked'), atOnce, lookUp);
  const repeated = await eachOf(told('ambiguous'), atOnce, async one => ({ ...one, ...await insist(one, place) }));
  const resolved = repeated.filter(attempt => attempt.fate === 'acked');
  const later = await eachOf(resolved, atOnce, lookUp);
  const all = [...found, ...later];
  const promised = all.map(({ attempt }) => attempt);
  const replayed = await eachOf(promised, atOnce, async attempt => {
    return { attempt, again: judge(await place(attempt.order, attempt.key)) };
  });
  const ghosts = await eachOf(told('refused'), atOnce, async attempt => {
    return { attempt, there: await isThere(attempt, place) };
  });
  return {
    acked: found.length, refused: told('refused').length, ambiguous: repeated.length, resolved: resolved.length,
    missing: keys(all.filter(({ answer }) => jsonOf(answer) === undefined)),
    changed: keys(all.filter(({ attempt, answer }) => jsonOf(answer) !== undefined && !equal(attempt, jsonOf(answer)))),
    present: keys(ghosts.filter(({ there }) => there)),
    doubled: [
      ...sharedIds(promised),
      ...keys(replayed.filter(({ attempt, again }) => again.orderId !== attempt.orderId)),
    ],
    unresolved: repeated.filter(attempt => attempt.fate !== 'acked').map(({ key }) => key),
  };
}

/** A few times at most: the system was proved sound before, so one answer ought to do. */
async function insist(attempt: Attempt, place: Place): Promise<Told> {
  const again = judge(await place(attempt.order, attempt.key));
  return again.fate === 'acked' ? again : judge(await place(attempt.order, attempt.key));
}

/** The same key with another order: refused as re-used when the first was stored after all. */
async function isThere(attempt: Attempt, place: Place): Promise<boolean> {
  const other: Draft = { ...attempt.order, qty: attempt.order.qty + 1 };
  const answer = await place(other, attempt.key);
  return answer.state !== 'answered' || answer.status !== 201;
}

/** The order as the service gave it; undefined when it gave none. */
function jsonOf(answer: HttpSight): unknown {
  return answer.state === 'answered' && answer.status === 200 ? answer.json ?? null : undefined;
}

function equal({ order, orderId }: Attempt, json: unknown): boolean {
  const { order_id, symbol, side, qty } = fieldsOf(json);
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

/** `acked 900 · refused 30 · …` */
export function tellReckoning({ acked, refused, ambiguous, resolved, ...lists }: Reckoning): string {
  const zeros = Object.entries(lists).map(([name, keys]) => `${name} ${keys.length}`);
  const counts = [`acked ${acked}`, `refused ${refused}`, `ambiguous ${ambiguous}, of these resolved ${resolved}`];
  return [...counts, ...zeros].join(' · ');
}

/** What must be 0 and is not, with some keys of each. */
export function findLosses({ missing, changed, present, doubled, unresolved }: Reckoning): string[] {
  return Object.entries({ missing, changed, present, doubled, unresolved })
    .flatMap(([name, keys]) => keys.length === 0 ? [] : [`${name} ${keys.length}: ${keys.slice(0, 3).join(', ')}`]);
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
