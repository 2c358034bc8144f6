// The rung `lasting`: what this host was promised earlier is still there, and equal.
import { randomUUID } from 'node:crypto';
import { describe } from '../client/api.ts';
import type { Answer, Api, Order } from '../client/api.ts';
import { counted } from '../results/point.ts';
import { broken } from './climb.ts';
import type { Check } from './climb.ts';
import { readLedger } from './ledger.ts';
import type { Ledger, Promised } from './ledger.ts';

const NEWEST = 200;
const SAMPLE = 100;
const AT_ONCE = 8;
// A service that has stopped answering is known after a few; the rest would only wait.
const ENOUGH = 20;

/**
 * `at` names target and rung; `ledger` is the file of promises; `starts` is when what runs now has started, as far as
 * it is known; `all`: every order is asked for, however many they are.
 */
export type Lasting = {
  at: string; api: Api; ledger: string; all: boolean; starts: () => Promise<Starts>;
};
/** Times as they are given; undefined is not known. */
export type Starts = { service: string | undefined; database: string | undefined };
type Older = { service: number | undefined; database: number | undefined };
type Seen = { ledger: Ledger; chosen: number; lost: Lost[]; older: Older };

/**
 * Asks for every promised order; of a long ledger for the newest and an even sample of the rest, and says so. What this
 * start of the service and of the database has promised itself proves nothing about the next: then it is a skip.
 */
export function promisesAreKept(lasting: Lasting): Check {
  const { at, all } = lasting;
  let looked: Promise<Seen> | undefined;
  const look = () => looked ??= lookUp(lasting);
  const many = NEWEST + SAMPLE;
  const sample = all ? '' : ` (of more than ${many} the newest ${NEWEST} and ${SAMPLE} others; ALL=1 asks for all)`;
  return {
    id: 'promises-kept',
    claim: `every order promised before this start is there and equal${sample}`,
    skip: async () => {
      const seen = await look().catch(() => undefined);
      if (seen === undefined || judgeSeen(seen, lasting) !== null) return undefined;
      if ((seen.older.service ?? 0) > 0 || (seen.older.database ?? 0) > 0) return undefined;
      return 'nothing promised before this start; what was promised since is there';
    },
    run: async say => {
      const seen = await look();
      say(`${at}: ${tellSeen(seen)}`);
      const finding = judgeSeen(seen, lasting);
      if (finding !== null) throw broken(at, finding.wanted, finding.saw);
    },
  };
}

async function lookUp({ api, ledger: file, all, starts }: Lasting): Promise<Seen> {
  const [ledger, { service, database }] = [await readLedger(file), await starts()];
  const chosen = all ? ledger.promised : choose(ledger.promised, Math.random());
  const older = { service: countOlder(ledger.promised, service), database: countOlder(ledger.promised, database) };
  return { ledger, chosen: chosen.length, lost: await findLost(chosen, api), older };
}

/**
 * How many were promised before a start; undefined when that is not known. What was promised after one that is not
 * older is none either, whatever time a clock that was set back meanwhile has given it.
 */
export function countOlder(promised: readonly Pick<Promised, 'created_at'>[], start = ''): number | undefined {
  const ms = Date.parse(start);
  if (Number.isNaN(ms)) return undefined;
  const first = promised.findIndex(({ created_at }) => !(Date.parse(created_at) < ms));
  return first < 0 ? promised.length : first;
}

/** null: all is kept. */
function judgeSeen({ ledger, chosen, lost }: Seen, { ledger: file }: Lasting): { wanted: string; saw: string } | null {
  const { unreadable } = ledger;
  const wanted = 'a ledger that can be read';
  if (unreadable > 0) return { wanted, saw: `${counted(unreadable, 'unreadable line')} in ${file}` };
  if (chosen === 0) return { wanted: 'a promise to hold the service to', saw: `none in ${file}` };
  const [first] = lost;
  if (first === undefined) return null;
  const many = `${lost.length < ENOUGH ? '' : 'at least '}${lost.length} of ${chosen} orders in ${file}`;
  const { order_id, created_at } = first.promised;
  return { wanted: `${order_id} of ${created_at} as promised`, saw: `${first.saw}, as for ${many}` };
}

function tellSeen({ ledger: { promised, torn }, chosen, lost, older }: Seen): string {
  const before = Object.entries(older).map(([what, count]) =>
    count === undefined ? `the ${what}'s is not known` : `${count} before the present start of the ${what}`);
  return [
    `${counted(promised.length, 'order')} promised since ${promised[0]?.created_at ?? 'ever'}`, ...before,
    `${chosen} asked for, ${lost.length} not kept`, ...torn > 0 ? [`${counted(torn, 'line')} torn by a crash`] : [],
  ].join('; ');
}

/** Without its database a service cannot know an order, so it must not deny one. */
export function promisesAreNotDenied({ at, api, ledger }: Pick<Lasting, 'at' | 'api' | 'ledger'>): Check {
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
