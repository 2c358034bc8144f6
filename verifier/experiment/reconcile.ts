// What the writers got as answers, held against what the service has.
import type { Answer, NewOrder, Order } from '../client/api.ts';
import { counted } from '../results/point.ts';
import { isAsSent, judge } from './load.ts';
import type { Attempt, Fate, Place, Told } from './load.ts';

export type Find = (orderId: string) => Promise<Answer<Order>>;
/** All but the first four must be 0; each list names the orders it counts, by id, or by key where no id is known. */
export type Reckoning = {
  acked: number; refused: number; ambiguous: number; resolved: number;
  missing: string[]; changed: string[]; present: string[]; doubled: string[]; unresolved: string[];
};
export type Reconciled = { attempts: readonly Attempt[]; place: Place; find: Find; atOnce?: number };
/** All that was answered under one key, or of one order without a key: its best fate, and every id that was given. */
type Sent = Attempt & { ids: readonly string[] };
type Keyed = Sent & { key: string };

/** Reads every acked order before anything is sent again: a repeated key would put a lost order back. */
export async function reconcile({ attempts, place, find, atOnce = 16 }: Reconciled): Promise<Reckoning> {
  const sent = mergeTwins(attempts);
  const told = (fate: Fate) => sent.filter(one => one.fate === fate);
  const [acked, refused, ambiguous] = [told('acked'), told('refused'), told('ambiguous')];
  const lookUp = async (attempt: Sent) => ({ attempt, answer: await find(attempt.orderId ?? '') });
  const found = await eachOf(acked, atOnce, lookUp);
  const repeated = await eachOf(ambiguous.filter(isKeyed), atOnce, one => insist(one, place));
  const resolved = repeated.filter(({ fate }) => fate === 'acked');
  const later = await eachOf(resolved, atOnce, lookUp);
  // without a key an order can only be looked up, and be there or not
  const named = ambiguous.filter(({ key, orderId }) => key === undefined && orderId !== undefined);
  const looked = await eachOf(named, atOnce, lookUp);
  const all = [...found, ...later, ...looked.filter(({ answer }) => answer.status !== 404)];
  const promised = [...found, ...later].map(({ attempt }) => attempt);
  const replayed = await eachOf(promised.filter(isKeyed), atOnce, async attempt => {
    return { attempt, again: judge(await place(attempt.order, attempt.key)) };
  });
  const ghosts = await eachOf(refused.filter(isKeyed), atOnce, async attempt => {
    return { attempt, there: await isThere(attempt, place) };
  });
  return {
    acked: acked.length, refused: refused.length, ambiguous: ambiguous.length,
    resolved: resolved.length + looked.length,
    missing: names(all.filter(({ answer }) => answer.value === undefined)),
    changed: names(all.filter(({ attempt, answer }) => answer.value !== undefined && isChanged(attempt, answer.value))),
    present: names(ghosts.filter(({ there }) => there === true)),
    doubled: [
      ...sharedIds(promised),
      ...names(replayed.filter(({ attempt, again: { orderId } }) => (
        orderId !== undefined && attempt.ids.some(id => id !== orderId)
      ))),
    ],
    unresolved: [
      ...repeated.filter(({ fate }) => fate !== 'acked').map(({ key }) => key),
      ...names(replayed.filter(({ again }) => again.fate !== 'acked')),
      ...names(ghosts.filter(({ there }) => there === undefined)),
    ],
  };
}

const fates: Fate[] = ['acked', 'ambiguous', 'refused'];

/** Of a key that was sent twice at once, one request may be refused and the other stored. */
function mergeTwins(attempts: readonly Attempt[]): Sent[] {
  const groups = new Map<string, Attempt[]>();
  attempts.forEach((attempt, i) => {
    const own = attempt.key ?? `without a key, ${i}`;
    groups.set(own, [...groups.get(own) ?? [], attempt]);
  });
  return [...groups.values()].flatMap(group => {
    const [best] = fates.flatMap(fate => group.find(attempt => attempt.fate === fate) ?? []);
    const ids = group.flatMap(({ fate, orderId }) => fate === 'acked' && orderId !== undefined ? [orderId] : []);
    return best === undefined ? [] : [{ ...best, ids }];
  });
}

function isKeyed(attempt: Sent): attempt is Keyed {
  return attempt.key !== undefined;
}

/** A few times at most: the system was proved sound before, so one answer ought to do. */
async function insist(attempt: Keyed, place: Place): Promise<Keyed> {
  const again = async (): Promise<Told> => judge(await place(attempt.order, attempt.key));
  const first = await again();
  const last = first.fate === 'acked' ? first : await again();
  return { ...attempt, ...last, ids: last.fate === 'acked' && last.orderId !== undefined ? [last.orderId] : [] };
}

/** The same key with another order: refused as re-used if the first was stored after all; undefined: neither. */
async function isThere({ order, key }: Keyed, place: Place): Promise<boolean | undefined> {
  const other: NewOrder = { ...order, qty: Number(order.qty) === 1 ? '2' : '1' };
  const { value, problem } = await place(other, key);
  if (value !== undefined) return false;
  return problem?.code === 'idempotency_key_reused' ? true : undefined;
}

function isChanged({ order, orderId }: Attempt, seen: Order): boolean {
  return seen.order_id !== orderId || !isAsSent(seen, order);
}

/** Two orders under one id. */
function sharedIds(attempts: readonly Attempt[]): string[] {
  const owners = new Map<string, string>();
  return attempts.flatMap(({ key, orderId = '' }, i) => {
    const own = key ?? `without a key, ${i}`;
    const owner = owners.get(orderId) ?? own;
    owners.set(orderId, owner);
    return owner === own ? [] : [orderId];
  });
}

function names(rows: { attempt: Attempt }[]): string[] {
  return [...new Set(rows.map(({ attempt: { orderId, key } }) => orderId ?? key ?? 'an order'))];
}

/** `acked 900 · refused 30 · …` */
export function tellReckoning({ acked, refused, ambiguous, resolved, ...lists }: Reckoning): string {
  const zeros = Object.entries(lists).map(([name, keys]) => `${name} ${keys.length}`);
  const counts = [`acked ${acked}`, `refused ${refused}`, `ambiguous ${ambiguous}, of these resolved ${resolved}`];
  return [...counts, ...zeros].join(' · ');
}

const words = {
  missing: 'accepted and missing', changed: 'accepted and changed', present: 'refused, yet stored',
  doubled: 'stored twice', unresolved: 'never answered, whatever was sent',
};

/** What must be 0 and is not, with some orders of each: `accepted and missing: 3 orders, such as …`. */
export function findLosses(reckoning: Reckoning): string[] {
  const names = Object.keys(words) as (keyof typeof words)[];
  const lists = names.map(name => ({ word: words[name], lost: reckoning[name] }));
  return lists.filter(({ lost }) => lost.length > 0).map(({ word, lost }) => (
    `${word}: ${counted(lost.length, 'order')}, ${lost.length > 3 ? 'such as ' : ''}${
      lost.slice(0, 3).join(', ')}`
  ));
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
