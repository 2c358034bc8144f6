// The HTTP layer against bytes: the table of cases, order of answers, expectations, tunnels, early refusals.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import type { Request } from '../http/reply.ts';
import { stackOf } from '../service.ts';
import { until } from './database.ts';
import { cases, get, post } from './http-cases.ts';
import type { Case } from './http-cases.ts';
import { echo, openLayer, realRoutes } from './layer.ts';
import { talk } from './raw.ts';
import type { Heard } from './raw.ts';

const last = get('/last', 'Connection: close');

// A connection that stays open is asked for one more answer: what comes before it is all there is to the case.
async function run(port: number, { bytes, close, halfClose, head }: Case): Promise<Heard> {
  const more = Buffer.from(head ? last.replace('GET', 'HEAD') : last);
  const sent = close ? bytes : Buffer.concat([Buffer.from(bytes), more]);
  return talk({ port, bytes: sent, halfClose: halfClose ?? false, head: head ?? false });
}

function check({ close, want, head }: Case, { answers, rest, end }: Heard, real: boolean): void {
  const [first] = answers;
  assert.ok(first, 'no answer');
  const fits = real && want.length > 1 && first.status !== 200 ? want.slice(1) : want;
  assert.ok(fits.includes(first.status), `saw ${first.status}, wanted ${want}`);
  assert.equal(answers.length, close ? 1 : 2, 'number of answers');
  assert.equal(rest, '', 'bytes after the last answer');
  assert.equal(end, 'closed');
  assert.ok(first.headers.get('x-request-id'));
  if (close) assert.equal(first.headers.get('connection'), 'close');
  if (first.status < 400) return;
  assert.equal(first.headers.get('content-type'), 'application/problem+json');
  if (!head) assert.equal(JSON.parse(first.body).request_id, first.headers.get('x-request-id'));
}

test('the table has at least a hundred cases, each with a name of its own', () => {
  assert.ok(cases.length >= 100, String(cases.length));
  assert.equal(new Set(cases.map(({ name }) => name)).size, cases.length);
});

for (const [behind, handler] of [['an echo', echo], ['the real routes', realRoutes()]] as const) {
  test(`the layer in front of ${behind} answers every case as wanted, once`, async t => {
    const { port } = await openLayer(t, handler);
    for (const one of cases) await t.test(one.name, async () => check(one, await run(port, one), handler !== echo));
  });
}

test('an unknown method is distinguished from rubbish behind a request of the same packet', async t => {
  const { port } = await openLayer(t, echo);
  for (const [bytes, want] of [['FOO / HTTP/1.1\r\n\r\n', 501], ['RUBBISH\r\n\r\n', 400]] as const) {
    assert.deepEqual((await talk({ port, bytes: get('/') + bytes })).answers.map(({ status }) => status), [200, want]);
  }
});

test('once it says close, every request taken is answered, and the last answer says it', async t => {
  const { port, layer } = await openLayer(t, async request => {
    layer.sayClose();
    await new Promise(resolve => setTimeout(resolve, 20));
    return echo(request);
  });
  const { answers, end } = await talk({ port, bytes: get('/').repeat(5) });
  assert.deepEqual(answers.map(({ headers }) => headers.get('connection')), [...Array(4).fill('keep-alive'), 'close']);
  assert.equal(end, 'closed');
});

test('rubbish behind a request that is still being answered is not taken for its answer', async t => {
  const { port } = await openLayer(t, async request => {
    await new Promise(resolve => setTimeout(resolve, 100));
    return echo(request);
  });
  const { answers, end } = await talk({ port, bytes: `${get('/first')}RUBBISH\r\n\r\n` });
  assert.deepEqual(answers.map(({ status }) => status), [200]);
  assert.equal(answers[0]?.headers.get('connection'), 'close');
  assert.equal(end, 'closed');
});

test('100 Continue is said only when the body may come', async t => {
  const { port } = await openLayer(t, echo);
  const bytes = post(['Content-Length: 4', 'Expect: 100-continue'], 'abcd');
  const { answers } = await talk({ port, bytes, until: 2 });
  assert.deepEqual(answers.map(({ status }) => status), [100, 200]);
});

test('a refused upload of megabytes gets its 413 and no reset before it', async t => {
  const { port } = await openLayer(t, echo);
  for (let round = 0; round < 20; round += 1) {
    const bytes = post(['Content-Length: 4000000'], 'a'.repeat(4_000_000));
    const { answers, end } = await talk({ port, sendFirst: true, bytes });
    assert.deepEqual(answers.map(({ status }) => status), [413]);
    assert.equal(end, 'closed');
  }
});

test('a CONNECT that is reset afterwards ends nothing but itself', async t => {
  const { port } = await openLayer(t, echo);
  const tunnel = 'CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n';
  const socket = connect(port, '127.0.0.1', () => socket.write(tunnel, () => socket.resetAndDestroy()));
  await new Promise(resolve => socket.once('close', resolve));
  assert.deepEqual((await talk({ port, bytes: get('/'), until: 1 })).answers.map(({ status }) => status), [200]);
});

test('a handler can ask whether its caller has left', async t => {
  const asked: Request[] = [];
  const { port } = await openLayer(t, request => {
    asked.push(request);
    return new Promise(() => {});
  });
  const socket = connect(port, '127.0.0.1');
  socket.write(get('/'));
  await until(() => asked.length, length => length === 1, 5000);
  assert.equal(asked[0]?.left(), false);
  socket.resetAndDestroy();
  await until(() => asked[0]?.left(), Boolean, 5000);
});

test('a valid X-Request-Id is kept, any other replaced', async t => {
  const { port } = await openLayer(t, echo);
  for (const [given, kept] of [['abc-1.2_3', true], ['a b', false], ['a'.repeat(65), false], ['"x"', false]] as const) {
    const { answers } = await talk({ port, bytes: get('/', `X-Request-Id: ${given}`), until: 1 });
    assert.equal(answers[0]?.headers.get('x-request-id') === given, kept, given);
  }
});

test('what is logged of an error has its causes too', () => {
  const logged = stackOf(new Error('outer', { cause: new Error('inner', { cause: 'innermost' }) }));
  assert.match(logged, /outer\n\s+at [\s\S]*caused by Error: inner\n\s+at [\s\S]*caused by innermost/);
  const circle = new Error('circle');
  circle.cause = circle;
  assert.match(stackOf(circle), /circle/);
});

test('a handler that throws costs a 500 that tells nothing, and the log the cause', async t => {
  const { port, told } = await openLayer(t, () => {
    throw new Error('secret detail');
  });
  const { answers } = await talk({ port, bytes: get('/'), until: 1 });
  assert.equal(answers[0]?.status, 500);
  assert.ok(!answers[0]?.body.includes('secret'));
  assert.match(String(told[0]?.note.error), /secret detail/);
});

test('connections past the cap are closed at once and counted', async t => {
  const { port, layer } = await openLayer(t, echo, { maxConnections: 1 });
  const socket = connect(port, '127.0.0.1');
  t.after(() => socket.destroy());
  await new Promise(resolve => socket.once('connect', resolve));
  const { answers } = await talk({ port, bytes: get('/') });
  assert.equal(answers.length, 0);
  assert.equal(layer.stats().dropped, 1);
});
