// Bytes, JSON and our own orders: what is read strictly, and what is drawn.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readAnswer } from '../client/answer.ts';
import type { Read } from '../client/answer.ts';
import { parseJson } from '../client/json.ts';
import { anyNotation, anyQuantities, anySymbol } from '../client/ours.ts';

const read = (text: string | Buffer, method = 'GET'): Read => readAnswer(Buffer.from(text), method);
const head = (...lines: string[]) => ['HTTP/1.1 200 OK', ...lines, '', ''].join('\r\n');
const bodyOf = (seen: Read) => ('answer' in seen ? [seen.answer.text, String(seen.rest)] : seen);

test('a whole answer is read by its length or its chunks, and what stands behind it is left', () => {
  assert.deepEqual(bodyOf(read(`${head('content-length: 2')}{}HTTP`)), ['{}', 'HTTP']);
  const chunked = `${head('Transfer-Encoding: chunked')}1\r\n{\r\n1;x=y\r\n}\r\n0\r\n\r\n`;
  assert.deepEqual(bodyOf(read(`${chunked}x`)), ['{}', 'x']);
  assert.deepEqual(bodyOf(read(`${head('content-length: 2')}{}`, 'HEAD')), ['', '{}']);
  for (let cut = 0; cut < chunked.length; cut += 1) {
    assert.ok('missing' in read(chunked.slice(0, cut)), `${cut} bytes`);
  }
});

const wrong: [text: string | Buffer, trouble: RegExp][] = [
  ['HTTP/1.0 200 OK\r\n\r\n', /^HTTP\/1\.0$/],
  ['HTTP/2 200\r\n\r\n', /^no HTTP$/],
  ['SSH-2.0-x\r\n', /^no HTTP$/],
  ['HTTP/1.1 200\r\n\r\n', /^the status line/],
  ['HTTP/1.1 100 Continue\r\n\r\n', /^the status line/],
  [head('content-length : 0'), /^the header/],
  [head('a: b', ' folded'), /^the header/],
  ['HTTP/1.1 200 OK\na: b\r\n\r\n', /^the status line/],
  ['HTTP/1.1 200 OK\r\na: b\nc: d\r\n\r\n', /^the header/],
  [head('content-length: 2', 'content-length: 2'), /^content-length stands twice$/],
  [head('content-type: a', 'Content-Type: b'), /^content-type stands twice$/],
  [head('content-length: 2', 'transfer-encoding: chunked'), /^a length, and chunks/],
  [head('content-length: +2'), /^content-length \+2$/],
  [head('transfer-encoding: gzip'), /^transfer-encoding gzip$/],
  [head(), /^neither content-length nor chunks$/],
  [`${head('transfer-encoding: chunked')}x\r\n`, /^a chunk without size$/],
  [`${head('transfer-encoding: chunked')}1\r\n{}\r\n`, /^a chunk longer than its size$/],
  [`${head('transfer-encoding: chunked')}0\r\na: b\r\n\r\n`, /^trailers$/],
  [`${head('content-length: 5')}\ufeff{}`, /^a body with a BOM$/],
  [Buffer.from(`${head('content-length: 2')}\xff{`, 'latin1'), /^a body that is no UTF-8$/],
];

for (const [text, trouble] of wrong) {
  test(`${JSON.stringify(String(text)).slice(0, 90)} is no answer`, () => {
    const seen = read(text);
    assert.match('trouble' in seen ? seen.trouble : JSON.stringify(seen), trouble);
  });
}

test('JSON with a name that stands twice is none, at whatever depth', () => {
  for (const good of ['{"a":{"a":[{"a":1},{"a":2}]},"b":"a\\":"}', '["a","a"]', '7', '{"a":"b","b":"b"}']) {
    assert.deepEqual(parseJson(good), { value: JSON.parse(good) });
  }
  for (const bad of ['{"a":1,"a":1}', '{"b":[{"a":1,"\\u0061":2}]}', '{"a":{},"a":[]}']) {
    assert.match(JSON.stringify(parseJson(bad)), /twice/, bad);
  }
  for (const bad of ['', '{', '{"a":1}x', 'NaN']) assert.deepEqual(parseJson(bad), { trouble: 'its body is no JSON' });
});

test('our orders are what the service promises to take, in the notations of JSON too, and of every size', () => {
  for (let i = 0; i < 300; i += 1) {
    for (const who of ['verify', 'drill'] as const) {
      assert.match(anySymbol(who), /^(?=ZZ[VD])[A-Z][A-Z0-9.-]{0,15}$/);
    }
    const quantities = anyQuantities();
    for (const qty of quantities) {
      assert.match(qty, /^(0|[1-9][0-9]*)(\.[0-9]{0,14}[1-9])?$/);
      assert.ok(qty.replace('.', '').replace(/^0+/, '').length <= 15 && Number(qty) > 0, qty);
      const spelled = anyNotation(qty);
      assert.equal(Number(spelled), Number(qty), spelled);
      assert.equal(typeof JSON.parse(spelled), 'number');
    }
    assert.ok(quantities.some(qty => Number(qty) < 1) && quantities.some(qty => Number(qty) > 100_000));
    assert.ok(quantities.some(qty => (qty.split('.')[1] ?? '').length > 9), quantities.join());
  }
});
