// The rung `lasting`: what this host was promised earlier is still there, and equal.
import { randomUUID } from 'node:crypto';
import { describe } from '../client/api.ts';
import type { Answer, Api, Order } from '../client/api.ts';
import { broken } from './climb.ts';
import type { Check } from './climb.ts';
import { readLedger } from './ledger.ts';
import type { Promised } from './ledger.ts';

const NEWEST = 200;
const SAMPLE = 100;
const AT_ONCE = 8;
// A service that has stopped answering is known after a few; the rest would only wait.
const ENOUGH = 20;

/** `at` names target and rung; `ledger` is the file of promises. */
export type Lasting = { at: string; api: Api; ledger: string };

/** Asks for every promised order; of a long ledger for the newest and an even sample of the rest, and says so. */
export function promisesAreKept({ at, api, ledger }: Lasting): Check {
  return { id: 'promises-kept', claim: 'every order promised so far is there and equal', run: async say => {
    const { promised, unreadable } = await readLedger(ledger);
    const chosen = choose(promised, Math.random());
    if (unreadable > 0) say(`${at}: ${unreadable} torn or unreadable lines in ${ledger}`);
    if (chosen.length === 0) throw broken(at, 'a promise to hold the service to', `none in ${ledger}`);
    const lost = await findLost(chosen, api);
    const since = `${promised.length} orders promised since ${promised[0]?.created_at}`;
    say(`${at}: ${since}, ${chosen.length} asked for, ${lost.length} not kept`);
    const [first] = lost;
    if (!first) return;
    const many = `${lost.length < ENOUGH ? '' : 'at least '}${lost.length} of ${chosen.length} orders in ${ledger}`;
    const { order_id, created_at } = first.promised;
    throw broken(at, `${order_id} of ${created_at} as promised`, `${first.saw}, as for ${many}`);
  } };
}

/** Without its database a service cannot know an order, so it must not deny one. */
export function promisesAreNotDenied({ at, api, ledger }: Lasting): Check {
  const claim = 'a promised order is not denied while the database is away';
  return { id: 'promises-not-denied', claim, run: async () => {
    const { promised } = await readLedger(ledger);
    const answer = await api.find(promised.at(-1)?.order_id ?? randomUUID());
    if (answer.status === 503 && answer.problem) return;
    throw broken(at, '503 with a problem', `${describe(answer)} after ${answer.sight.ms} ms`);
  } };
}

/** All when they are few, else the newest and an even sample of the older ones, which `shift` from 0 to 1 moves. */
export function choose(promised: Promised[], shift: number): Promised[] {
  const older = promised.slice(0, Math.max(0, promised.length - NEWEST));
  const step = Math.max(1, older.length / SAMPLE);
  const length = Math.min(SAMPLE, older.length);
  const sample = Array.from({ length }, (_, i) => older[Math.floor((i + shift) * step)]);
  return [...sample.filter(one => one !== undefined), ...promised.slice(-NEWEST)];
}

/** What is wrong with an answer for a promised order, or null. */
export function compare(promised: Promised, answer: Answer<Order>): string | null {
  const { value } = answer;
  if (!value) return describe(answer);
  const wish = { ...promised, qty: Number(promised.qty) };
  const fields = ['order_id', 'symbol', 'side', 'qty', 'created_at'] as const;
  const changed = fields.filter(field => wish[field] !== value[field]);
  return changed.length === 0 ? null : changed.map(field => `${field} ${value[field]} for ${wish[field]}`).join(', ');
}

type Lost = { promised: Promised; saw: string };

async function findLost(chosen: Promised[], api: Api): Promise<Lost[]> {
  const lost: Lost[] = [];
  const waiting = [...chosen];
  const seek = async () => {
    for (let promised = waiting.pop(); promised && lost.length < ENOUGH; promised = waiting.pop()) {
      const saw = compare(promised, await api.find(promised.order_id));
      if (saw !== null) lost.push({ promised, saw });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, seek));
  return lost;
}
