// The rung `usable`: an order goes in and comes back equal; what is no order is refused in the promised form.
import { randomInt, randomUUID } from 'node:crypto';
import { describe } from '../client/api.ts';
import type { Answer, Api, NewOrder, PlaceHow } from '../client/api.ts';
import { broken } from './climb.ts';
import type { Check } from './climb.ts';
import { compare } from './lasting.ts';
import { appendLedger } from './ledger.ts';
import type { Promised } from './ledger.ts';

/** `at` names target and rung; each accepted order is appended to the file `ledger` at once. */
export type Usable = { at: string; api: Api; ledger: string };

/** What must hold while the service says that it is ready. */
export function ordersWork(usable: Usable): Check[] {
  type Run = (usable: Usable) => Promise<void>;
  const check = (id: string, claim: string, run: Run): Check => ({ id, claim, run: () => run(usable) });
  return [
    check('order-in-query', 'an order in the query comes back equal by Location, GET and HEAD', comesBackAs('query')),
    check('order-in-json', 'an order as a JSON body comes back equal by Location, GET and HEAD', comesBackAs('json')),
    check('idempotency-key', 'the same Idempotency-Key gives the first answer again, and no other order', isIdempotent),
    check('bad-input', 'bad input is refused as invalid_order with its field', refusesBadInput),
    check('unknown-order', 'an unknown order is 404 order_not_found', knowsWhatItHasNot),
    check('allowed-methods', 'a method that is not offered is 405 with Allow', namesItsMethods),
  ];
}

/** What must hold while it says that it is not: a quick, honest no. */
export function ordersAreRefused(usable: Usable): Check[] {
  return (['query', 'json'] as const).map(as => ({
    id: `${as}-refused`,
    claim: `an order in the ${as} is refused with 503 and Retry-After`,
    run: () => isRefused(usable, as),
  }));
}

/** An order nobody placed before, so that an answer learnt by heart shows; qty uses all 15 digits that are promised. */
export function anyOrder(): NewOrder {
  const qty = `${randomInt(1, 1e5)}.${randomInt(1, 1e9) * 10 + randomInt(1, 10)}`;
  return { symbol: 'BTC', side: randomInt(2) === 0 ? 'buy' : 'sell', qty };
}

async function isRefused({ at, api }: Usable, as: 'query' | 'json'): Promise<void> {
  const answer = await api.place(anyOrder(), { as });
  const later = answer.sight.state === 'answered' ? answer.sight.headers.get('retry-after') : null;
  if (answer.status !== 503 || !answer.problem) {
    throw broken(at, '503 with a problem', `${describe(answer)} after ${answer.sight.ms} ms`);
  }
  if (/^[0-9]+$/.test(later ?? '')) return;
  throw broken(at, '503 with Retry-After in seconds', `Retry-After ${later ?? 'missing'}`);
}

function comesBackAs(as: 'query' | 'json'): (usable: Usable) => Promise<void> {
  return async ({ at, api, ledger }) => {
    const order = anyOrder();
    const placed = await place({ at, api, ledger }, order, { as });
    const wanted = `/orders/${placed.promised.order_id}`;
    if (placed.location !== wanted) throw broken(at, `Location ${wanted}`, placed.location ?? 'no Location');
    const found = await api.find(placed.promised.order_id);
    const changed = compare(placed.promised, found);
    if (changed) throw broken(at, `GET ${placed.location} equal to what was placed`, changed);
    const head = await api.raw({ method: 'HEAD', path: placed.location });
    if (head.status !== 200) throw broken(at, `200 for HEAD ${placed.location}`, describe(head));
  };
}

type Placed = { promised: Promised; location: string | null };

// Places one order and writes the promise down before anything else is asked.
async function place({ at, api, ledger }: Usable, order: NewOrder, how: PlaceHow): Promise<Placed> {
  const answer = await api.place(order, how);
  if (!answer.value) {
    throw broken(at, `201 for an order in the ${how.as ?? 'query'}`, `${describe(answer)} after ${answer.sight.ms} ms`);
  }
  const promised = { ...order, order_id: answer.value.order_id, created_at: answer.value.created_at };
  const changed = compare(promised, answer);
  if (changed) throw broken(at, 'an answer equal to the order', changed);
  await appendLedger(ledger, promised);
  return { promised, location: answer.sight.state === 'answered' ? answer.sight.headers.get('location') : null };
}

async function isIdempotent({ at, api, ledger }: Usable): Promise<void> {
  const order = anyOrder();
  const key = randomUUID();
  const first = await place({ at, api, ledger }, order, { key });
  const again = await api.place(order, { key, as: 'json' });
  const changed = compare(first.promised, again);
  if (changed) throw broken(at, 'the first answer again', changed);
  const other = await api.place({ ...order, qty: '1' }, { key });
  expectProblem(other, { at, what: 'another order under the same key', status: 422, code: 'idempotency_key_reused' });
}

async function refusesBadInput({ at, api }: Usable): Promise<void> {
  const good = { symbol: 'BTC', side: 'buy', qty: '1' };
  const bad = [
    { field: 'symbol', query: { ...good, symbol: 'btc' } },
    { field: 'side', query: { ...good, side: 'hold' } },
    { field: 'qty', query: { ...good, qty: '0' } },
    { field: 'qty', query: { ...good, qty: '1e3' } },
    { field: 'qty', query: { ...good, qty: '1.000000000000001' } },
    { field: 'qty', query: { symbol: 'BTC', side: 'buy' } },
  ];
  for (const { field, query } of bad) {
    const what = String(new URLSearchParams(query));
    const answer = await api.raw({ method: 'POST', path: `/order?${what}` });
    expectProblem(answer, { at, what, status: 400, code: 'invalid_order', field });
  }
  const headers = { 'content-type': 'application/json' };
  const answer = await api.raw({ method: 'POST', path: '/order', headers, body: '{"symbol":' });
  expectProblem(answer, { at, what: 'half a JSON body', status: 400, code: 'invalid_json' });
}

async function knowsWhatItHasNot({ at, api }: Usable): Promise<void> {
  expectProblem(await api.find(randomUUID()), { at, what: 'an unknown order', status: 404, code: 'order_not_found' });
}

async function namesItsMethods({ at, api }: Usable): Promise<void> {
  const cases = [['GET', '/order', 'POST'], ['DELETE', `/orders/${randomUUID()}`, 'GET']] as const;
  for (const [method, path, offered] of cases) {
    const answer = await api.raw({ method, path });
    expectProblem(answer, { at, what: `${method} ${path}`, status: 405, code: 'method_not_allowed' });
    const allow = answer.sight.state === 'answered' ? answer.sight.headers.get('allow') ?? 'missing' : 'missing';
    if (!allow.split(/, */).includes(offered)) {
      throw broken(at, `Allow with ${offered} for ${method} ${path}`, `Allow ${allow}`);
    }
  }
}

type ProblemWish = { at: string; what: string; status: number; code: string; field?: string };

function expectProblem(answer: Answer<unknown>, { at, what, status, code, field }: ProblemWish): void {
  const wanted = `${status} ${code}${field ? ` with field ${field}` : ''} for ${what}`;
  const { problem } = answer;
  if (answer.status !== status || !problem) {
    throw broken(at, wanted, `${describe(answer)}${problem ? '' : ' without a problem'}`);
  }
  if (problem.code !== code || problem.field !== field) {
    throw broken(at, wanted, `${describe(answer)} with field ${problem.field}`);
  }
}
