// What drills go by, as pure rules: forms of answers, budgets, when clients are served again, where verify is red.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { openApi } from '../client/api.ts';
import type { Answer, Order } from '../client/api.ts';
import { checks, rungs } from '../checks/rungs.ts';
import type { RungName } from '../checks/rungs.ts';
import { budgets, listBudgets, tellBudgets } from '../budgets.ts';
import { ordersAreSlower } from '../drills/db-slow.ts';
import type { Waiting } from '../experiment/experiment.ts';
import { keepsTo, onlyGood, servedAgain } from '../experiment/fault.ts';
import { observe, openProbes } from '../experiment/probes.ts';
import { duringFault, probeNames } from '../experiment/timeline.ts';
import type { ProbeName, Sample, Timeline } from '../experiment/timeline.ts';
import type { Grade } from '../results/watched.ts';
import { verifyIsRed } from '../experiment/verified.ts';
import { tellMatrix } from '../programs/prove.ts';
import type { Point } from '../results/point.ts';
import type { Ended } from '../results/run.ts';
import { ladderOf } from '../results/verdict.ts';

const say = () => undefined;

type More<T> = { value?: T; code?: string; orderId?: string; wait?: string };

function answer<T>(status: number, more: More<T> = {}): Answer<T> {
  const { value, code, orderId, wait = '1' } = more;
  const headers = new Headers(wait === '' ? {} : { 'retry-after': wait });
  const problem = code === undefined ? {} : { problem: {
    status, code, field: undefined, ...orderId === undefined ? {} : { orderId },
  } };
  const sight = { state: 'answered', status, headers, text: '', json: undefined, ms: 1 } as const;
  return { sight, status, ...value === undefined ? {} : { value }, ...problem };
}

test('an answer is good, refused in the promised form, or malformed', () => {
  const grade = (seen: Answer<unknown>, how = {}) => {
    const { grade: told, malformed = false } = observe(seen, how);
    return `${told}${malformed ? ' malformed' : ''}`;
  };
  const refused = { code: 'database_unavailable' };
  const cases: [string, Answer<unknown>, object?][] = [
    ['good', answer(200, { value: 'alive' })],
    ['refused', answer(503, refused)],
    ['refused', answer(503, { value: 'unready' })],
    // health that says "degraded", or a 503 in HTML
    ['bad malformed', { ...answer(200), trouble: 'status is "degraded", not "alive"' }],
    ['bad malformed', answer(503)],
    ['bad malformed', answer(503, { ...refused, wait: 'soon' })],
    ['bad malformed', answer(503, { ...refused, wait: '' })],
    ['bad malformed', answer(500, { code: 'internal_error' })],
    ['bad', answer(404, { code: 'order_not_found' })],
    ['bad', { sight: { state: 'silent', ms: 1 }, status: 0 }],
    // without a key only the order's id tells what became of it
    ['bad malformed', answer(503, { code: 'outcome_unknown' })],
    ['refused', answer(503, { code: 'outcome_unknown', orderId: 'an id' })],
    ['refused', answer(503, { code: 'outcome_unknown' }), { keyed: true }],
    // a router's own words, which no service has
    ['bad malformed', answer(502, { code: 'outcome_unknown' })],
    ['bad', answer(502, { code: 'outcome_unknown' }), { routed: true }],
    ['bad', answer(504, { code: 'outcome_unknown' }), { routed: true, keyed: true }],
    ['bad malformed', answer(502), { routed: true }],
    ['bad malformed', answer(503, { code: 'no_replica' })],
    ['refused', answer(503, { code: 'no_replica' }), { routed: true }],
  ];
  for (const [wanted, seen, how] of cases) assert.equal(grade(seen, how), wanted, JSON.stringify(seen));
});

test('a router without a replica refuses in its own words, whatever it is asked', async t => {
  let asked = 0;
  const server = createServer((_, reply) => {
    const id = `id-${asked += 1}`;
    reply.writeHead(503, { 'content-type': 'application/problem+json', 'x-request-id': id, 'retry-after': '1' });
    reply.end(JSON.stringify({
      type: 'about:blank', title: 'No', status: 503, code: 'no_replica', detail: 'none', request_id: id,
    }));
  });
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve); });
  t.after(() => server.close());
  const api = openApi({ host: '127.0.0.1', port: (server.address() as AddressInfo).port }, 2_000);
  const order = { symbol: 'A', side: 'buy', qty: '1' } as const;
  for (const answered of [await api.health(), await api.ready(), await api.find('x'), await api.place(order)]) {
    assert.deepEqual(observe(answered, { routed: true }), { grade: 'refused', word: '503 no_replica' });
    assert.ok(observe(answered).malformed);
  }
});

test('the probe write sends one key twice at once, and is given one order, the one that was sent', async () => {
  const target = { node: 'control', host: '127.0.0.1', port: 1 };
  const write = async (...given: ((order: Order) => Answer<Order>)[]) => {
    let turn = 0;
    const { probes, attempts } = openProbes(target, { scaled: ms => ms, orderId: '', place: async order => {
      const value = { ...order, qty: Number(order.qty), order_id: 'first', created_at: '' };
      return (given[turn++] ?? (() => answer<Order>(500)))(value);
    } });
    const { grade, word } = await probes.write();
    return [`${grade} ${word}`, attempts.map(({ key }) => key === attempts[0]?.key && key !== undefined)];
  };
  const taken = (value: Order) => answer(201, { value });
  const inUse = () => answer<Order>(409, { code: 'idempotency_key_in_use' });
  assert.deepEqual(await write(taken, taken), ['good 201', [true, true]]);
  assert.deepEqual((await write(taken, inUse))[0], 'good 201');
  assert.match(String((await write(inUse, inUse))[0]), /^bad 409/);
  const two = await write(taken, value => taken({ ...value, order_id: 'other' }));
  assert.equal(two[0], 'bad two orders for one key');
  const other = await write(taken, value => taken({ ...value, qty: 1e16 }));
  assert.equal(other[0], 'bad 201 with another order');
  const refused = () => answer<Order>(503, { code: 'overloaded' });
  assert.deepEqual((await write(taken, refused))[0], 'refused 503 overloaded');
});

type Words = Partial<Record<ProbeName, (ms: number) => [Grade, string]>>;

/** Each probe is made every 100 ms; recovery begins at 1,000, and the system is whole at 1,200. */
function timelineOf(words: Words): Timeline {
  const samples = probeNames.flatMap(probe => Array.from({ length: 60 }, (_, i): Sample => {
    const [grade, word] = words[probe]?.(i * 100) ?? ['good', '200'];
    return { probe, grade, word, fromMs: i * 100, toMs: i * 100 + 10 };
  }));
  const marks = new Map([['inject', 100], ['injected', 200], ['recover', 1_000], ['recovered', 1_200]]);
  return { samples, marks, mark: () => 0, renew: () => undefined, stop: async () => undefined };
}

async function judge(timeline: Timeline): Promise<string> {
  const experiment = {
    timeline, scaled: (ms: number) => ms, budgets: budgets.process, measured: [],
    wait: async <T>({ look, good, tell }: Waiting<T>) => {
      const seen = await look();
      if (!good(seen)) throw new Error(`late: ${tell(seen)}`);
      return seen;
    },
  };
  return servedAgain(experiment, say).then(() => 'served', (error: Error) => error.message);
}

test('clients are served again within the budgets; an order that is lost was answered', async () => {
  const until = (ms: number, word: string) => (at: number): [Grade, string] => [at < ms ? 'bad' : 'good', word];
  assert.equal(await judge(timelineOf({})), 'served');
  assert.equal(await judge(timelineOf({ write: until(3_000, '503') })), 'served');
  assert.match(await judge(timelineOf({ write: until(3_500, '503') })), /^served again: write 2310 ms .* 2000 ms$/);
  assert.match(await judge(timelineOf({ ready: until(9_000, '503 timeout') })), /^late: ready 503 timeout$/);
  assert.equal(await judge(timelineOf({ read: () => ['bad', '404 order_not_found'] })), 'served');
});

test('alive all the time means every look, but for one of a hundred that is late', () => {
  const of = (many: number, word: string) => {
    const words = (i: number): [Grade, string] => i < many ? ['bad', word] : ['good', '200'];
    const samples = Array.from({ length: 200 }, (_, i): Sample => {
      const [grade, said] = words(i);
      return { probe: 'health', grade, word: said, fromMs: i, toMs: i + 1 };
    });
    return { timeline: { ...timelineOf({}), samples, marks: new Map([['inject', 0]]) }, scaled: (ms: number) => ms };
  };
  onlyGood(of(2, 'silent'), 'health');
  const lost = /health: wanted it to hold within 1000 ms, saw silent \(3\)/;
  assert.throws(() => onlyGood(of(3, 'silent'), 'health'), lost);
  assert.throws(() => onlyGood(of(1, '503'), 'health'), /saw 503 \(1\)/);
});

test('orders that are answered sooner than their database commits are no slow orders', async () => {
  const timeline = timelineOf({});
  assert.equal(duringFault(timeline, 'write', 'injected').length, 8);
  await assert.rejects(ordersAreSlower({ timeline }).run(say), /wanted half of them to take 90 ms, saw 10 ms/);
});

test('a verb over its budget is red, and every platform has a number for every word', () => {
  const of = { scaled: (ms: number) => ms * 2, budgets: budgets.process, measured: [] };
  keepsTo(of, 'halt', budgets.process.halt * 2);
  assert.throws(() => keepsTo(of, 'halt', budgets.process.halt * 2 + 1), /halt: wanted it within 40000 ms/);
  assert.equal(listBudgets().length, 4);
  const table = tellBudgets().split('\n');
  assert.equal(table.length, 10);
  assert.equal(new Set(table.map(line => line.split('|').length)).size, 1);
});

const point = { claim: '', error: undefined, said: [], skip: undefined, blockedBy: undefined };

test('the matrix has what was expected and what was seen of every fault, or why it was not possible', () => {
  const point: Point = {
    id: { node: 'control', drill: 'loosened' }, claim: 'loosened', held: true, skip: 'not run: no container',
    blockedBy: undefined, error: undefined, said: [],
  };
  const ladders = new Map([['disk-full', ladderOf(verified('usable').points)], ['db-down', ladderOf([])]]);
  const lines = tellMatrix(ladders, [point]);
  const row = (start: RegExp) => lines.find(line => start.test(line))?.split(/\s{2,}/) ?? [];
  assert.deepEqual(row(/^fault/), ['fault', ...rungs]);
  const wanted = ['yes', 'yes', 'yes', 'yes', 'yes', 'yes', 'no', '–', '–'];
  assert.deepEqual(row(/^disk-full/), ['disk-full', 'expected', ...wanted]);
  const seen = lines[lines.findIndex(line => line.startsWith('disk-full')) + 1];
  assert.deepEqual(seen?.trim().split(/\s{2,}/), ['seen', ...wanted]);
  assert.deepEqual(row(/^loosened/), ['loosened', 'not run: no container']);
  assert.ok(lines.some(line => / seen +verify was not asked$/.test(line)), lines.join('\n'));
});

/** What verify comes to when one rung is red. `ran`: a rung that ran all the same; `without`: one that is missing. */
function verified(red: RungName | undefined, { ran, without }: { ran?: RungName; without?: RungName } = {}): Ended {
  const at = rungs.findIndex(rung => rung === red);
  const points = rungs.filter(rung => rung !== without).flatMap(rung => checks[rung].map((check): Point => {
    const isBlocked = at >= 0 && rungs.indexOf(rung) > at && rung !== ran;
    const blockedBy = isBlocked ? red : undefined;
    return { ...point, id: { node: 'control', rung, check }, held: rung !== red, skip: blockedBy, blockedBy };
  }));
  const inPlace = { ...point, id: { node: 'control', rung: 'journal', check: 'a-fault' }, held: false };
  return { points: [...points, inPlace], cannotRun: undefined, exit: 1, ms: 1 };
}

test('verify is red at exactly one rung, and all above it is blocked by that rung', async () => {
  const judged = async (end: Ended, red: Parameters<typeof verifyIsRed>[1] = ['usable']) => {
    const check = verifyIsRed({ verify: async () => end, tellLadder: async () => undefined }, red);
    return check.run(say).then(() => 'as expected', (error: Error) => error.message);
  };
  assert.equal(await judged(verified('usable')), 'as expected');
  assert.equal(await judged(verified('contained'), ['contained']), 'as expected');
  assert.equal(await judged(verified('published'), ['reachable', 'published']), 'as expected');
  assert.match(await judged({ ...verified('usable'), exit: 0 }), /wanted exit 1, saw exit 0/);
  assert.match(await judged(verified(undefined)), /usable: wanted no, saw yes; lasting: wanted –, saw yes/);
  assert.match(await judged(verified('ready')), /ready: wanted yes, saw no; usable: wanted no, saw –/);
  assert.match(await judged(verified('usable', { ran: 'contained' })), /contained: wanted –, saw yes/);
  assert.match(await judged(verified('usable', { without: 'lasting' })), /lasting: wanted it blocked .* saw nothing/);
});
