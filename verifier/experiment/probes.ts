// How each probe of a timeline looks at a service, and what it calls good, refused or bad.
import type { Target } from '#infra/platform';
import { ask } from '../client/http.ts';
import type { HttpSight } from '../client/http.ts';
import { probe } from '../client/tcp.ts';
import type { Observation, ProbeName, Probes } from './timeline.ts';

/** What an answer may take, by probe, before SCALE. An order may wait for a connection, then for the database. */
export const lateMs: Record<ProbeName, number> = { tcp: 1_000, health: 1_000, ready: 1_000, read: 5_000, write: 5_000 };

export type Placed = { orderId: string; symbol: string; side: string; qty: number };

/** Probes of one target, for one timeline. `write` places orders; those that were accepted are in `placed`. */
export function openProbes(
  target: Target, { scaled, orderId }: { scaled: (ms: number) => number; orderId: string },
): { probes: Probes; readonly placed: readonly Placed[] } {
  const placed: Placed[] = [];
  const get = (name: ProbeName, path: string) => ask(target, { path, deadlineMs: scaled(lateMs[name]) });
  const probes: Probes = {
    tcp: async () => {
      const { state } = await probe(target, scaled(lateMs.tcp), 50);
      return { grade: state === 'held' ? 'good' : 'bad', word: state };
    },
    health: async () => observe(await get('health', '/health'), 200),
    ready: async () => observe(await get('ready', '/ready'), 200),
    read: async () => observe(await get('read', `/orders/${orderId}`), 200),
    write: async () => {
      const order = { symbol: 'DRILL', side: 'buy', qty: placed.length + 1 };
      const path = `/order?symbol=DRILL&side=buy&qty=${order.qty}`;
      const answer = await ask(target, { method: 'POST', path, deadlineMs: scaled(lateMs.write) });
      const { order_id } = answer.state === 'answered' && answer.status === 201 ? fieldsOf(answer.json) : {};
      if (typeof order_id === 'string') placed.push({ ...order, orderId: order_id });
      return observe(answer, 201);
    },
  };
  return { probes, placed };
}

/** A 503 counts as refused only with Retry-After: that is the promise. Its word carries the reason or the code. */
export function observe(answer: HttpSight, wanted: number): Observation {
  if (answer.state !== 'answered') return { grade: 'bad', word: answer.state };
  if (answer.status === wanted) return { grade: 'good', word: String(wanted) };
  const word = [String(answer.status), whyOf(answer.json)].filter(Boolean).join(' ');
  if (answer.status !== 503) return { grade: 'bad', word };
  if (answer.headers.has('retry-after')) return { grade: 'refused', word };
  return { grade: 'bad', word: `${word} without Retry-After` };
}

/** The members of a JSON object; none when it is something else. */
export function fieldsOf(json: unknown): Record<string, unknown> {
  return typeof json === 'object' && json !== null ? { ...json } : {};
}

/** Why a service is not ready or did not serve: the database's reason, `draining`, or the problem's code. */
function whyOf(json: unknown): string {
  const { status, code, checks } = fieldsOf(json);
  if (status === 'draining') return status;
  const { reason } = fieldsOf(fieldsOf(checks)['database']);
  return [reason, code].find(word => typeof word === 'string')?.toString() ?? '';
}
