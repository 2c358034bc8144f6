// How each probe of a timeline looks at a service, and what it calls good, refused or bad.
import { randomUUID } from 'node:crypto';
import type { Target } from '#infra/platform';
import { describe, NO_REPLICA, openApi } from '../client/api.ts';
import type { Answer, NewOrder, Order } from '../client/api.ts';
import { probe } from '../client/tcp.ts';
import { draftOrder, isAsSent, judge } from './load.ts';
import type { Attempt, Place } from './load.ts';
import type { Grade } from '../results/watched.ts';
import type { Observation, ProbeName, Probes } from './timeline.ts';

/** What an answer may take, by probe, before SCALE. An order may wait for a connection, then for the database. */
export const lateMs: Record<ProbeName, number> = { tcp: 1_000, health: 1_000, ready: 1_000, read: 5_000, write: 5_000 };

/** `withoutWrites`: acts while `write` places no order. */
type WatchingProbes = {
  probes: Probes; readonly attempts: readonly Attempt[]; withoutWrites: <T>(act: () => Promise<T>) => Promise<T>;
};
/** `routed`: there is a router in front, which says 502 or 504 when nobody knows what became of a request. */
type Opening = { scaled: (ms: number) => number; orderId: string; place: Place; routed?: boolean };

/** Probes of one target, for one timeline. `write` places orders; `attempts` has each with its answer. */
export function openProbes(
  target: Target, { scaled, orderId, place, routed = false }: Opening,
): WatchingProbes {
  const attempts: Attempt[] = [];
  const [quick, patient] = [openApi(target, scaled(lateMs.ready)), openApi(target, scaled(lateMs.read))];
  let turn = 0;
  let pausing: Promise<unknown> = Promise.resolve();
  let writing: Promise<unknown> = Promise.resolve();
  const write = async () => {
    const order = draftOrder();
    turn += 1;
    // by turns one that only its own answer can account for, and one that is sent twice at once
    const keys = turn % 2 === 0 ? [undefined] : Array<string>(2).fill(randomUUID());
    const answers = await Promise.all(keys.map(key => place(order, key)));
    attempts.push(...answers.map((answer, i) => ({ order, key: keys[i], ...judge(answer) })));
    return worstOf(answers, order, routed);
  };
  const probes: Probes = {
    tcp: async () => {
      const { state } = await probe(target, scaled(lateMs.tcp), 50);
      return { grade: state === 'held' ? 'good' : 'bad', word: state };
    },
    health: async () => observe(await quick.health(), { routed }),
    ready: async () => {
      const answer = await quick.ready();
      const { status, reason } = answer.value ?? {};
      return observe(answer, { reason: status === 'draining' ? status : reason, routed });
    },
    read: async () => observe(await patient.find(orderId), { routed }),
    write: async () => {
      await pausing;
      const written = write();
      writing = written.catch(() => undefined);
      return written;
    },
  };
  return {
    probes, attempts,
    withoutWrites: async act => {
      let resume = () => {};
      pausing = new Promise<void>(resolve => { resume = resolve; });
      await writing;
      return act().finally(() => resume());
    },
  };
}

/** `keyed`: an unknown outcome can be settled by the order's key. `routed` as in Opening. */
type Observing = { reason?: string | undefined; keyed?: boolean; routed?: boolean };

/**
 * A 503 counts as refused only in its form, with Retry-After in seconds: that is the promise. Its word carries the
 * `reason`, else the problem's code.
 */
export function observe(
  answer: Answer<unknown>, { reason, keyed = false, routed = false }: Observing = {},
): Observation {
  const { sight, status, value, trouble, problem } = answer;
  if (sight.state !== 'answered') return { grade: 'bad', word: sight.state };
  if (status !== 503 && value !== undefined) return { grade: 'good', word: String(status) };
  const why = [reason, problem?.code].find(word => word !== undefined);
  const word = why === undefined ? String(status) : `${status} ${why}`;
  if (trouble !== undefined) return { grade: 'bad', word: describe(answer), malformed: true };
  const isRefusal = status === 503 && (value !== undefined || problem !== undefined)
    && (routed || problem?.code !== NO_REPLICA);
  if (routed && [502, 504].includes(status) && problem?.code === 'outcome_unknown') return { grade: 'bad', word };
  if (!isRefusal) return { grade: 'bad', word, malformed: problem === undefined || status >= 500 };
  const wait = sight.headers.get('retry-after');
  if (wait === null || !/^\d+$/.test(wait)) {
    return { grade: 'bad', word: `${word} with Retry-After ${wait ?? 'missing'}`, malformed: true };
  }
  if (problem?.code === 'outcome_unknown' && problem.orderId === undefined && !keyed) {
    return { grade: 'bad', word: `${word} without order_id`, malformed: true };
  }
  return { grade: 'refused', word };
}

const worst: Grade[] = ['bad', 'refused', 'good'];

/** Of an order that was sent twice at once, one may be refused while the other is under way; not two may be stored. */
function worstOf(answers: readonly Answer<Order>[], order: NewOrder, routed: boolean): Observation {
  const isInUse = ({ problem }: Answer<Order>) => problem?.code === 'idempotency_key_in_use';
  const counted = answers.every(isInUse) ? answers : answers.filter(answer => !isInUse(answer));
  const orders = counted.flatMap(({ value }) => value ?? []);
  const wrong = orders.some(value => !isAsSent(value, order)) ? '201 with another order'
    : orders.some(value => value.order_id !== orders[0]?.order_id) ? 'two orders for one key' : undefined;
  if (wrong !== undefined) return { grade: 'bad', word: wrong, malformed: true };
  const seen = counted.map(answer => observe(answer, { keyed: answers.length > 1, routed }));
  return worst.flatMap(grade => seen.filter(one => one.grade === grade))[0] ?? { grade: 'bad', word: 'nothing' };
}
