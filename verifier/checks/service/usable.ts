// The rung `usable`: an order goes in and comes back equal, whatever it is; the same key never gives another.
import { randomUUID } from 'node:crypto';
import { describe } from '../../client/api.ts';
import type { Answer, NewOrder, Order, PlaceHow } from '../../client/api.ts';
import { anyNotation, anyQuantities, anySide, anySymbol } from '../../client/ours.ts';
import { broken } from '../climb.ts';
import type { Check } from '../climb.ts';
import { compare } from '../lasting.ts';
import { appendLedger } from '../ledger.ts';
import { likeGet } from './alive.ts';
import { anyOrder, needLocation, place } from './place.ts';
import type { Placed } from './place.ts';
import { expectProblem, refusals } from './refusals.ts';
import type { Looking } from './service.ts';

/** What must hold while the service says that it is ready. */
export function ordersWork(looking: Looking): Check[] {
  const keyed: Keyed = {};
  const rememberedMs = looking.span(1_200);
  const check = (id: string, claim: string, run: () => Promise<void>): Check => ({ id, claim, run });
  const within = `each answer within ${looking.scaled(5_000)} ms`;
  const back = `comes back equal by Location, GET and HEAD, whatever its symbol, side and qty, ${within}`;
  return [
    check('order-in-query', `an order in the query ${back}`, () => comeBack(looking, 'query')),
    check('order-in-json', `an order as a JSON body ${back}`, () => comeBack(looking, 'json')),
    check('idempotency-key', 'the same Idempotency-Key gives the first answer again, and no other order', () =>
      isIdempotent(looking, keyed)),
    check('key-at-once', 'the same key sent eight times at once gives one order', () => isOneAtOnce(looking)),
    ...refusals(looking),
    check('key-remembered', `a key is still known after ${rememberedMs} ms`, () =>
      isRemembered(looking, keyed, rememberedMs)),
  ];
}

/** All are placed before the first is read: a later one must not change it. */
async function comeBack(looking: Looking, as: 'query' | 'json'): Promise<void> {
  const sides = anySide() === 'buy' ? ['buy', 'sell'] as const : ['sell', 'buy'] as const;
  const placed: Placed[] = [];
  for (const [i, qty] of anyQuantities().entries()) {
    const order: NewOrder = { symbol: anySymbol('verify'), side: sides[i % 2] ?? 'buy', qty };
    // as a number in one of its notations, or as a string
    const spelled = i === 0 ? JSON.stringify(qty) : anyNotation(qty);
    placed.push(await place(looking, order, as === 'json' ? { as, spelled } : { as }));
  }
  for (const one of placed) await needBack(looking, one);
}

async function needBack({ at, patient }: Looking, { promised, location }: Placed): Promise<void> {
  const found = await patient.find(promised.order_id);
  const changed = compare(promised, found);
  if (changed) throw broken(at('usable'), `GET ${location} equal to what was placed`, changed);
  const head = await patient.raw({ method: 'HEAD', path: location });
  const finding = likeGet(found, head, ['content-type', 'content-length']);
  if (finding !== null) throw broken(at('usable'), `HEAD ${location} ${finding.wanted}`, finding.saw);
}

type Keyed = { first?: { order: NewOrder; key: string; placed: Placed; atMs: number } };

async function isIdempotent(looking: Looking, keyed: Keyed): Promise<void> {
  const { at, patient } = looking;
  const [order, key] = [anyOrder(), randomUUID()];
  const placed = await place(looking, order, { key });
  keyed.first = { order, key, placed, atMs: performance.now() };
  // in double quotes it is the same key
  for (const how of [{ key, as: 'json' }, { key: `"${key}"` }] as const) await needReplay(looking, keyed.first, how);
  const others: NewOrder[] = [
    { ...order, side: order.side === 'buy' ? 'sell' : 'buy' },
    { ...order, qty: Number(order.qty) === 1 ? '2' : '1' },
    { ...order, symbol: order.symbol.replace(/.$/, last => last === 'A' ? 'B' : 'A') },
  ];
  for (const changed of others) {
    expectProblem(await patient.place(changed, { key }), {
      at: at('usable'), what: 'another order under the same key', status: 422, code: 'idempotency_key_reused',
    });
  }
}

async function needReplay(
  looking: Looking, { order, placed }: { order: NewOrder; placed: Placed }, how: PlaceHow,
): Promise<void> {
  const again = await looking.patient.place(order, how);
  const changed = compare(placed.promised, again);
  if (changed) throw broken(looking.at('usable'), 'the first answer again', changed);
  needLocation(looking, again, placed.location);
}

async function isOneAtOnce(looking: Looking): Promise<void> {
  const { at, patient, placed } = looking;
  const [order, key] = [anyOrder(), randomUUID()];
  const answers = await Promise.all(Array.from({ length: 8 }, () => patient.place(order, { key })));
  const ids = new Set(answers.flatMap(({ value }) => value?.order_id ?? []));
  // one that finds the same key at work may be asked to come again
  const good = ({ value, problem }: Answer<Order>) => value !== undefined || problem?.code === 'idempotency_key_in_use';
  const saw = [...answers.map(describe), `${ids.size} ids`].join(', ');
  if (ids.size !== 1 || !answers.every(good)) throw broken(at('usable'), 'one order for eight posts at once', saw);
  const again = await patient.place(order, { key });
  const value = again.value;
  if (value === undefined || !ids.has(value.order_id)) {
    throw broken(at('usable'), `order ${[...ids].join()} again`, value?.order_id ?? describe(again));
  }
  const promised = { ...order, order_id: value.order_id, created_at: value.created_at };
  placed.set(promised.order_id, promised);
  await appendLedger(looking.ledger, promised);
}

async function isRemembered(looking: Looking, keyed: Keyed, spanMs: number): Promise<void> {
  const { first } = keyed;
  if (first === undefined) throw broken(looking.at('usable'), 'a key that was taken', 'none, see idempotency-key');
  do {
    await needReplay(looking, first, { key: first.key });
    await new Promise(resolve => { setTimeout(resolve, 100); });
  } while (performance.now() - first.atMs < spanMs + 100);
}
