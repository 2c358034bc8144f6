// The rung `lasting`: what this host was promised earlier is still there, and equal.
import { describe } from './api.ts';
import type { Answer, Api, Order } from './api.ts';
import { readLedger } from './ledger.ts';
import type { Promised } from './ledger.ts';
import { broken } from './ladder.ts';
import type { Check } from './ladder.ts';
import { randomUUID } from 'node:crypto';

const NEWEST = 200;
const SAMPLE = 100;
const AT_ONCE = 8;
// A service that has stopped answering is known after a few; the rest would only wait.
const ENOUGH = 20;

/** `at` names target and rung; `ledger` is the file of promises. */
export type Lasting = { at: string; api: Api; ledger: string };

/** Asks for every promised order; of a long ledger for the newest and an even sample of the rest, and says so. */
export function promisesAreKept({ at, api, ledger }: Lasting): Check {
  return { claim: 'every order promised so far is there and equal', run: async say => {
    const { promised, unreadable } = await readLedger(ledger);
    const chosen = choose(promised, Math.random());
    if (unreadable > 0) say(`${at}: ${unreadable} torn or unreadable lines in ${ledger}`);
    if (chosen.length === 0) throw broken(at, 'a promise to hold the service to', `none in ${ledger}`);
    const lost = await findLost(chosen, api);
    say(`${at}: ${promised.length} orders promised since ${promised[0]?.created_at}, ${chosen.length} asked for, ${lost.length} not kept`);
    const [first] = lost;
    if (!first) return;
    throw broken(at, `${first.promised.order_id} of ${first.promised.created_at} as promised`,
      `${first.saw}, as for ${lost.length < ENOUGH ? '' : 'at least '}${lost.length} of ${chosen.length} orders in ${ledger}`);
  } };
}

/** Without its database a service cannot know an order, so it must not deny one. */
export function promisesAreNotDenied({ at, api, ledger }: Lasting): Check {
  return { claim: 'a promised order is not denied while the database is away', run: async () => {
    const { promised } = await readLedger(ledger);
    const answer = await api.find(promised.at(-1)?.order_id ?? randomUUID());
    if (answer.status !== 503 || !answer.problem) throw broken(at, '503 with a problem', `${describe(answer)} after ${answer.sight.ms} ms`);
  } };
}

/** All when they are few, else the newest and an even sample of the older ones; `shift` from 0 to 1 moves the sample. */
export function choose(promised: Promised[], shift: number): Promised[] {
  const older = promised.slice(0, Math.max(0, promised.length - NEWEST));
  const step = Math.max(1, older.length / SAMPLE);
  const sample = Array.from({ length: Math.min(SAMPLE, older.length) }, (_, i) => older[Math.floor((i + shift) * step)]);
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
