// One order placed and promised: what the answer must have, and the ledger before anything else is asked.
import { randomInt } from 'node:crypto';
import { describe, timeOf } from '../../client/api.ts';
import type { Answer, NewOrder, Order, PlaceHow } from '../../client/api.ts';
import { anyQuantities, anySide, anySymbol } from '../../client/ours.ts';
import { broken } from '../climb.ts';
import { compare } from '../lasting.ts';
import { appendLedger } from '../ledger.ts';
import type { Promised } from '../ledger.ts';
import { headerOf } from './alive.ts';
import type { Looking } from './service.ts';

/** An order nobody placed before, so that an answer learnt by heart shows. */
export function anyOrder(): NewOrder {
  const quantities = anyQuantities();
  return { symbol: anySymbol('verify'), side: anySide(), qty: quantities[randomInt(quantities.length)] ?? '1' };
}

export type Placed = { promised: Promised; location: string };

// The database's clock dates an order, the service's its answer; they may be on two machines.
const CLOCKS_MS = 3_600_000;

/** Places one order and writes the promise down before anything else is asked. */
export async function place(looking: Looking, order: NewOrder, how: PlaceHow = {}): Promise<Placed> {
  const { at, patient, ledger, placed } = looking;
  const answer = await patient.place(order, how);
  const what = `${order.side} ${how.spelled ?? order.qty} ${order.symbol} in the ${how.as ?? 'query'}`;
  if (answer.value === undefined) {
    throw broken(at('usable'), `201 for ${what}`, `${describe(answer)} after ${answer.sight.ms} ms`);
  }
  const { order_id, created_at } = answer.value;
  const promised = { ...order, order_id, created_at };
  const changed = compare(promised, answer);
  if (changed) throw broken(at('usable'), `an answer equal to the order ${what}`, changed);
  const another = placed.get(order_id);
  if (another !== undefined) throw broken(at('usable'), `an id of its own for ${what}`, `that of ${another.symbol}`);
  placed.set(order_id, promised);
  await appendLedger(ledger, promised);
  if (!(Math.abs(Date.parse(created_at) - timeOf(answer)) <= CLOCKS_MS)) {
    throw broken(at('usable'), `created_at of about ${new Date(timeOf(answer)).toISOString()}`, created_at);
  }
  const location = `/orders/${order_id}`;
  needLocation(looking, answer, location);
  return { promised, location };
}

/** Broken unless this answer names that place. */
export function needLocation({ at }: Looking, answer: Answer<Order>, location: string): void {
  const saw = headerOf(answer, 'location');
  if (saw !== `location ${location}`) throw broken(at('usable'), `location ${location}`, saw);
}
