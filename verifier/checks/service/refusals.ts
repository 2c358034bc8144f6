// What the service has to refuse, and in which form: bad orders, what it does not have, and all orders when unready.
import { randomBytes, randomUUID } from 'node:crypto';
import { describe } from '../../client/api.ts';
import type { Answer } from '../../client/api.ts';
import { anySymbol } from '../../client/ours.ts';
import { broken } from '../climb.ts';
import type { Check } from '../climb.ts';
import { headerOf } from './alive.ts';
import { anyOrder, place } from './place.ts';
import type { Looking } from './service.ts';

type Run = (looking: Looking) => Promise<void>;

/** What must be refused while the service is ready. */
export function refusals(looking: Looking): Check[] {
  const check = (id: string, claim: string, run: Run): Check => ({ id, claim, run: () => run(looking) });
  return [
    check('bad-input', 'an order that is not valid is refused as invalid_order with its field', refusesBadInput),
    check('bad-body', 'a body that is not valid is refused, and its key stays free', refusesBadBodies),
    check('unknown-order', 'an unknown order is 404 order_not_found', knowsWhatItHasNot),
    ...always(looking),
  ];
}

/** What must be refused while it is not: all orders, quickly and in form. */
export function ordersAreRefused(looking: Looking): Check[] {
  const refused = (['query', 'json'] as const).map(as => ({
    id: `${as}-refused`,
    claim: `an order in the ${as} is refused with 503 and Retry-After`,
    run: () => isRefused(looking, as),
  }));
  return [...refused, ...always(looking)];
}

function always(looking: Looking): Check[] {
  return [
    { id: 'unknown-path', claim: 'an unknown path is 404 not_found', run: () => knowsItsPaths(looking) },
    {
      id: 'allowed-methods',
      claim: 'a method that is not offered is 405 with Allow',
      run: () => namesItsMethods(looking),
    },
  ];
}

async function isRefused({ at, patient }: Looking, as: 'query' | 'json'): Promise<void> {
  const answer = await patient.place(anyOrder(), { as });
  if (answer.status !== 503 || !answer.problem) {
    throw broken(at('usable'), '503 with a problem', `${describe(answer)} after ${answer.sight.ms} ms`);
  }
  const later = headerOf(answer, 'retry-after');
  if (!/^retry-after [1-9][0-9]*$/.test(later)) throw broken(at('usable'), '503 with retry-after in seconds', later);
}

type Field = 'symbol' | 'side' | 'qty';
/** What a field must not be: these always, some of the others each time. */
type Bad = Record<Field, { always: string[]; others: string[] }>;
const SOME = 3;
const badTexts: Bad = {
  symbol: { always: ['btc'], others: ['', '1BTC', 'ABCDEFGHIJKLMNOPQ', 'BTC/USD', 'B C', '.A', 'Ä'] },
  side: { always: ['hold'], others: ['', 'BUY', 'buy ', 'sell,buy', 'buysell'] },
  qty: {
    always: ['0', '-1', '1e3', '1.000000000000001'],
    others: [
      '', '0.0', '-0.5', '+1', '.5', '5.', '01', ' 1', '0x10', 'NaN', 'Infinity', '1,5', '1_000', '1234567890123456',
      '0.0000000000000001',
    ],
  },
};
const badValues: Bad = {
  symbol: { always: [], others: ['7', 'null', '["A"]'] },
  side: { always: [], others: ['1', 'true', 'null'] },
  qty: {
    always: ['0', '-1', '1.2345678901234567'],
    others: ['-0.000001', '0e5', '1e15', '1e-16', '1e999', 'null', 'true', '[1]', '{"a":1}'],
  },
};

function someOf({ always, others }: Bad[Field]): string[] {
  const drawn = others.map(text => ({ text, at: Math.random() })).sort((a, b) => a.at - b.at).slice(0, SOME);
  return [...always, ...drawn.map(({ text }) => text)];
}

async function refusesBadInput({ at, patient }: Looking): Promise<void> {
  const good = { symbol: anySymbol('verify'), side: 'buy', qty: '1' };
  const need = async (what: string, field: string, ask: { path: string; body?: string }) => {
    const headers: Record<string, string> = ask.body === undefined ? {} : { 'content-type': 'application/json' };
    const answer = await patient.raw({ method: 'POST', headers, ...ask });
    expectProblem(answer, { at: at('usable'), what, status: 400, code: 'invalid_order', field });
  };
  const inQuery = (field: string, pairs: string[][]) => {
    const query = pairs.map(pair => pair.map(encodeURIComponent).join('=')).join('&');
    return need(query, field, { path: `/order?${query}` });
  };
  const inJson = (field: string, pairs: string[][]) => {
    const body = `{${pairs.map(([name, value]) => `"${name}":${value}`).join(',')}}`;
    return need(body, field, { path: '/order', body });
  };
  const texts = Object.entries(good);
  const values = texts.map(([name, text]) => [name, JSON.stringify(text)]);
  for (const field of ['symbol', 'side', 'qty'] as const) {
    const others = (pairs: string[][]) => pairs.filter(([name]) => name !== field);
    for (const bad of someOf(badTexts[field])) await inQuery(field, [...others(texts), [field, bad]]);
    for (const bad of someOf(badValues[field])) await inJson(field, [...others(values), [field, bad]]);
    for (const pairs of [others(texts), [...texts, [field, good[field]]]]) await inQuery(field, pairs);
    for (const pairs of [others(values), [...values, [field, '"1"']]]) await inJson(field, pairs);
  }
  await inQuery('price', [...texts, ['price', '1']]);
}

async function refusesBadBodies(looking: Looking): Promise<void> {
  const { at, patient } = looking;
  const order = anyOrder();
  const key = randomUUID();
  const good = `{"symbol":"${order.symbol}","side":"${order.side}","qty":${order.qty}}`;
  const bad: [what: string, body: string | Buffer, status: number, code: string, type?: string][] = [
    ['half a JSON body', '{"symbol":', 400, 'invalid_json'],
    ['JSON with something behind it', `${good}{}`, 400, 'invalid_json'],
    ['JSON with a comma too many', good.replace('}', ',}'), 400, 'invalid_json'],
    ['a list', `[${good}]`, 400, 'invalid_json'],
    ['null', 'null', 400, 'invalid_json'],
    ['a body that is no UTF-8', Buffer.from(good.replace('ZZV', 'ZZ\xff'), 'latin1'), 400, 'invalid_json'],
    ['a body with a BOM', `\ufeff${good}`, 400, 'invalid_json'],
    ['text', good, 415, 'unsupported_media_type', 'text/plain'],
  ];
  for (const [what, body, status, code, type = 'application/json'] of bad) {
    const headers = { 'content-type': type, 'idempotency-key': key };
    const answer = await patient.raw({ method: 'POST', path: '/order', headers, body });
    expectProblem(answer, { at: at('usable'), what, status, code });
  }
  await place(looking, order, { key });
}

async function knowsWhatItHasNot({ at, patient }: Looking): Promise<void> {
  // a UUID as anybody draws it, one that begins with the time as the service's own, and what is none
  const time = Date.now().toString(16).padStart(12, '0');
  const timed = `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`;
  for (const id of [randomUUID(), timed, '1', randomBytes(16).toString('hex'), `${randomUUID()}0`]) {
    const what = `the unknown order ${id}`;
    expectProblem(await patient.find(id), { at: at('usable'), what, status: 404, code: 'order_not_found' });
  }
}

async function knowsItsPaths({ at, quick }: Looking): Promise<void> {
  const drawn = randomBytes(4).toString('hex');
  for (const path of ['/', `/${drawn}`, '/orders', '/health/', '/Health', `/orders/${drawn}/lines`, '/order/1']) {
    const method = path === `/${drawn}` ? 'POST' : 'GET';
    expectProblem(await quick.raw({ method, path }), {
      at: at('usable'), what: `${method} ${path}`, status: 404, code: 'not_found',
    });
  }
}

async function namesItsMethods({ at, quick }: Looking): Promise<void> {
  const id = `/orders/${randomUUID()}`;
  const cases = [
    ['GET', '/order', 'POST'], ['PUT', '/order', 'POST'], ['DELETE', id, 'GET'], ['POST', id, 'GET'],
    ['DELETE', '/health', 'GET'], ['POST', '/version', 'GET'],
  ] as const;
  for (const [method, path, offered] of cases) {
    const answer = await quick.raw({ method, path });
    const what = `${method} ${path}`;
    expectProblem(answer, { at: at('usable'), what, status: 405, code: 'method_not_allowed' });
    const allow = headerOf(answer, 'allow').replace('allow ', '');
    if (!allow.split(/, */).includes(offered)) {
      throw broken(at('usable'), `Allow with ${offered} for ${what}`, `Allow ${allow}`);
    }
  }
}

type ProblemWish = { at: string; what: string; status: number; code: string; field?: string };

/** Broken unless this answer is a problem with these. */
export function expectProblem(answer: Answer<unknown>, { at, what, status, code, field }: ProblemWish): void {
  const wanted = `${status} ${code}${field ? ` with field ${field}` : ''} for ${what}`;
  const { problem } = answer;
  if (answer.status !== status || !problem) {
    throw broken(at, wanted, `${describe(answer)}${problem ? '' : ' without a problem'}`);
  }
  if (problem.code !== code || problem.field !== field) {
    throw broken(at, wanted, `${describe(answer)} with field ${problem.field}`);
  }
}
