// What may be ordered: every refusal names its field, nothing is rounded, folded or guessed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newOrderId, parseOrder } from '../orders/order.ts';
import { Problem } from '../http/problem.ts';
import { post } from './http-cases.ts';
import { openLayer, realRoutes } from './layer.ts';
import { talk } from './raw.ts';

const nothing = Buffer.alloc(0);

function refused(query: string, body: string | Buffer = nothing): string {
  try {
    return `accepted ${JSON.stringify(parseOrder(query, Buffer.from(body)))}`;
  } catch (problem) {
    assert.ok(problem instanceof Problem, String(problem));
    return `${problem.code} ${problem.extra.field ?? ''}`.trim();
  }
}

const ask = (more: Record<string, string>): string => Object.entries({ symbol: 'BTC', side: 'buy', qty: '1', ...more })
  .map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&');
const json = (qty: string): string => `{"symbol":"BTC","side":"buy","qty":${qty}}`;

test('an order comes in the query or as JSON, with a number or a string', () => {
  const wanted = { symbol: 'BTC-USD.1', side: 'sell', qty: '12.25' };
  assert.deepEqual(parseOrder('symbol=BTC-USD.1&side=sell&qty=12.25', nothing), wanted);
  assert.deepEqual(parseOrder('', Buffer.from('{"symbol":"BTC-USD.1","side":"sell","qty":12.25}')), wanted);
  const odd = ' { "qty" : "12.250" ,\n"side":"sell", "symbol":"\\u0042TC-USD.1"} ';
  assert.deepEqual(parseOrder('', Buffer.from(odd)), wanted);
});

test('qty keeps its value and loses only what does not count', () => {
  for (const [given, kept] of [
    ['1', '1'], ['0.5', '0.5'], ['1.50', '1.5'], ['1.000', '1'], ['100', '100'], ['999999999999999', '999999999999999'],
    ['0.000000000000001', '0.000000000000001'], ['123456789.012345', '123456789.012345'],
    ['0.123456789012345000', '0.123456789012345'], [`2.5${'0'.repeat(5000)}`, '2.5'],
  ] as const) {
    assert.equal(parseOrder(ask({ qty: given }), nothing).qty, kept);
    assert.equal(parseOrder('', Buffer.from(json(given))).qty, kept);
    assert.equal(JSON.parse(JSON.stringify(Number(kept))), Number(given));
  }
});

test('a JSON number is taken by its value, whatever its notation; a text stays plain', () => {
  for (const [given, kept] of [
    ['1e-7', '0.0000001'], ['1e-05', '0.00001'], ['1e3', '1000'], ['1.50e2', '150'], ['1E+2', '100'],
    ['0.0000001', '0.0000001'], ['123456789012345e-15', '0.123456789012345'], ['123.4500e-1', '12.345'],
    ['1e14', '100000000000000'], ['12e0', '12'], ['0.00001e5', '1'], ['1000e-18', '0.000000000000001'],
    ['9.99999999999999E14', '999999999999999'], ['1e-0000000007', '0.0000001'],
  ] as const) {
    assert.equal(parseOrder('', Buffer.from(json(given))).qty, kept);
    if (/e/i.test(given)) assert.equal(refused('', json(`"${given}"`)), 'invalid_order qty', given);
    if (/e/i.test(given)) assert.equal(refused(ask({ qty: given })), 'invalid_order qty', given);
  }
});

test('a number is refused at once, however long it or its exponent is', () => {
  const startedMs = performance.now();
  for (const qty of [
    '1e999999999', '1e-999999999', `1e${'9'.repeat(9000)}`, `1e-${'9'.repeat(9000)}`, `1${'0'.repeat(9000)}1`,
    '0e999999999', `0.${'0'.repeat(9000)}1`, `${'10'.repeat(4500)}e-9000`, `1e${'0'.repeat(9000)}15`,
  ]) assert.equal(refused('', json(qty)), 'invalid_order qty', qty.slice(0, 20));
  const ms = performance.now() - startedMs;
  assert.ok(ms < 200, `${ms} ms`);
});

test('every qty that is answered is accepted when it is posted back, and answered alike', async t => {
  const { port } = await openLayer(t, realRoutes());
  const place = async (qty: string): Promise<string> => {
    const body = json(qty);
    const bytes = post([`Content-Length: ${body.length}`, 'Connection: close'], body);
    const [answer] = (await talk({ port, bytes })).answers;
    assert.equal(answer?.status, 201, `${qty}: ${answer?.body}`);
    return /"qty":([^,}]+)/.exec(answer?.body ?? '')?.[1] ?? '';
  };
  const digits = '123456789012345';
  for (let point = 0; point <= 15; point += 1) {
    for (const figures of [digits.slice(0, 1), digits.slice(0, point), digits, '9'.repeat(15)]) {
      if (figures.length > 15 || figures === '') continue;
      const answered = await place(`${figures}e-${point}`);
      assert.equal(await place(answered), answered);
    }
  }
});

test('a qty that is not a plain decimal above 0 is refused, never rounded', () => {
  const numbers = [
    '0', '0.0', '0e5', '-1', '-0', '-1e3', '0.10000000000000000555', '1234567890123456', '1'.repeat(40), '1e15',
    '1e-16', '0.0000000000000001', `0.${'0'.repeat(40)}1`, '1e400', '1234567890.123456', '1234567890123456e-10',
    '1e309', '5e-324',
  ];
  const texts = [
    'NaN', 'Infinity', '0x10', '+1', ' 1', '1 ', '1,5', '1_000', '.5', '5.', '01', '00', '1.2.3',
    '１', '١', '1\u0660', '1\u200b', '½', '', '\u0000', '1\n', 'one',
  ];
  for (const qty of [...numbers, ...texts]) {
    assert.equal(refused(ask({ qty })), 'invalid_order qty', qty);
    assert.equal(refused('', json(JSON.stringify(qty))), 'invalid_order qty', qty);
  }
  for (const qty of [...numbers, 'true', 'null', '[1]', '{"a":1}', '[[1,2],{"qty":3}]']) {
    assert.equal(refused('', json(qty)), 'invalid_order qty', qty);
  }
});

test('symbol and side are taken letter by letter', () => {
  for (const symbol of [
    'btc', 'Btc', '1BTC', '', 'B TC', 'B'.repeat(17), 'ВТС', 'BTC\u200b', 'BTC\n', 'BT/C', '-BTC', 'Ｂ', '\ud83d\ude00',
  ]) {
    assert.equal(refused(ask({ symbol })), 'invalid_order symbol', symbol);
    assert.equal(refused('', JSON.stringify({ symbol, side: 'buy', qty: 1 })), 'invalid_order symbol', symbol);
  }
  for (const side of ['BUY', 'hold', '', 'buy ', 'sеll']) {
    assert.equal(refused(ask({ side })), 'invalid_order side', side);
  }
  assert.equal(refused('', '{"symbol":1,"side":"buy","qty":1}'), 'invalid_order symbol');
});

test('a field is given once, and no other field is', () => {
  for (const name of ['symbol', 'side', 'qty']) {
    assert.equal(refused(`${ask({})}&${name}=1`), `invalid_order ${name}`);
    const others = ask({}).split('&').filter(pair => !pair.startsWith(name));
    assert.equal(refused(others.join('&')), `invalid_order ${name}`);
  }
  assert.equal(refused(`${ask({})}&price=1`), 'invalid_order price');
  assert.equal(refused(`${ask({})}&qty[]=1`), 'invalid_order qty[]');
  assert.equal(refused(`${ask({})}&q%74y=2`), 'invalid_order qty');
  assert.equal(refused('', '{"symbol":"BTC","side":"buy","qty":1,"qty":2}'), 'invalid_order qty');
  assert.equal(refused('', '{"symbol":"BTC","side":"buy","qty":1,"\\u0071ty":2}'), 'invalid_order qty');
  assert.equal(refused('', '{"symbol":"BTC","side":"buy","qty":1,"__proto__":2}'), 'invalid_order __proto__');
  assert.equal(refused('', '{"a,b\\"}":1,"symbol":"BTC","side":"buy","qty":1}'), 'invalid_order a,b"}');
  assert.equal(refused(''), 'invalid_order symbol');
  assert.equal(refused('', '{}'), 'invalid_order symbol');
});

test('a body that is no JSON object, or comes beside a query, is distinguished from a wrong order', () => {
  for (const body of [
    '{', '[]', '1', '"a"', 'null', 'symbol=BTC', '{"a":1}{', "{'a':1}", '\ufeff{}', '[{"symbol":"BTC"}]',
    '{"qty":01}', '{"qty":+1}', '{"qty":NaN}', '{"qty":.5}', '{"a":1,}',
  ]) {
    assert.equal(refused('', body), 'invalid_json', body);
  }
  assert.equal(refused('', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])), 'invalid_json');
  assert.equal(refused('', '['.repeat(16_000)), 'invalid_json');
  assert.equal(refused(ask({}), json('1')), 'bad_request');
});

test('the id of an order is a UUIDv7 of its time, later ones sort behind, and no two are equal', () => {
  const ids = Array.from({ length: 1000 }, (_, at) => newOrderId(1_700_000_000_000 + at));
  assert.deepEqual([...new Set(ids)].sort(), ids);
  for (const [at, id] of ids.entries()) {
    assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.equal(parseInt(id.replaceAll('-', '').slice(0, 12), 16), 1_700_000_000_000 + at);
  }
  assert.notEqual(newOrderId(1), newOrderId(1));
});
