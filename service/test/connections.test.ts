// Connections against bytes: order of answers, bounds of what waits, callers who leave or only end their side.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { until } from './database.ts';
import { get } from './http-cases.ts';
import { echo, openLayer } from './layer.ts';
import { talk } from './raw.ts';

// Waits until a figure stays the same for a while.
async function settles(look: () => number): Promise<void> {
  for (let [seen, calm] = [NaN, 0]; calm < 10; calm = look() === seen ? calm + 1 : 0) {
    seen = look();
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}

test('a thousand pipelined requests get a thousand answers in their order', async t => {
  const { port } = await openLayer(t, async request => {
    await new Promise(resolve => setTimeout(resolve, Number(request.query) % 3));
    return echo(request);
  });
  const bytes = Array.from({ length: 1000 }, (_, at) => get(`/n?${at}`)).join('');
  const { answers } = await talk({ port, bytes, until: 1000 });
  const wanted = Array.from({ length: 1000 }, (_, at) => String(at));
  assert.deepEqual(answers.map(({ body }) => JSON.parse(body).query), wanted);
});

test('requests behind answers nobody reads are all answered once, and in their order, when somebody does', async t => {
  const { port } = await openLayer(t, ({ query }) => ({ status: 200, body: query.padEnd(4000) }));
  const count = 5000;
  const bytes = Array.from({ length: count }, (_, at) => get(`/n?${at}`)).join('');
  const { answers } = await talk({ port, bytes, until: count, sendFirst: true });
  assert.deepEqual(answers.map(({ body }) => Number(body)), Array.from({ length: count }, (_, at) => at));
});

test('a connection that pipelines into a standstill is not read on', async t => {
  let taken = 0;
  const { port } = await openLayer(t, () => {
    taken += 1;
    return new Promise(() => {});
  });
  const socket = connect(port, '127.0.0.1');
  t.after(() => socket.destroy());
  socket.write(get('/').repeat(100_000));
  await settles(() => taken);
  assert.equal(taken, 64);
});

test('a connection whose answers are not read is not read on past its bound, and goes on when they are', async t => {
  let taken = 0;
  const big = { status: 200, body: 'x'.repeat(10_000_000) };
  const { port } = await openLayer(t, () => {
    taken += 1;
    return big;
  });
  const socket = connect(port, '127.0.0.1');
  t.after(() => socket.destroy());
  socket.pause();
  socket.write(get('/').repeat(40));
  await settles(() => taken);
  assert.ok(taken < 5, `${taken} of 40 taken`);
  socket.resume();
  await until(() => taken, all => all === 40, 10_000);
});

test('when unread answers grow past the bound for all, the connection with the most is cut', async t => {
  const big = { status: 200, body: 'x'.repeat(10_000_000) };
  const limits = { maxUnreadBytes: 100_000_000, maxUnreadBytesInAll: 60_000_000 };
  const left = new Map<string, () => boolean>();
  const { port, layer } = await openLayer(t, request => {
    left.set(request.query, request.left);
    return request.path === '/big' ? big : echo(request);
  }, limits);
  const send = (name: string, requests: number): void => {
    const socket = connect(port, '127.0.0.1');
    t.after(() => socket.destroy());
    socket.on('error', () => socket.destroy());
    socket.pause();
    socket.write(get(`/big?${name}`).repeat(requests));
  };
  send('modest', 2);
  await until(() => left.has('modest'), Boolean, 5000);
  send('greedy', 30);
  await until(() => left.get('greedy')?.(), Boolean, 5000);
  assert.equal(left.get('modest')?.(), false);
  await until(() => layer.stats().inFlight, length => length <= 2, 5000);
  assert.deepEqual((await talk({ port, bytes: get('/'), until: 1 })).answers.map(({ status }) => status), [200]);
});

test('a caller who leaves with two requests pending leaves nothing behind', async t => {
  const release: (() => void)[] = [];
  const { port, layer, told } = await openLayer(t, async request => {
    await new Promise<void>(resolve => release.push(resolve));
    return echo(request);
  });
  const sockets = Array.from({ length: 3 }, () => connect(port, '127.0.0.1'));
  for (const socket of sockets) socket.write(get('/') + get('/') + get('/'));
  await until(() => layer.stats().inFlight, length => length === 9, 5000);
  for (const socket of sockets) socket.resetAndDestroy();
  await until(() => layer.stats().inFlight, length => length === 0, 5000);
  assert.deepEqual(told.map(({ status }) => status), Array(9).fill(499));
  for (const go of release) go();
  await layer.finish();
});

test('a caller who closes with requests pending leaves nothing behind once they are answered', async t => {
  const { port, layer, told } = await openLayer(t, async request => {
    await new Promise(resolve => setTimeout(resolve, 100));
    return echo(request);
  });
  const socket = connect(port, '127.0.0.1');
  socket.write(get('/').repeat(3));
  await until(() => layer.stats().inFlight, length => length === 3, 5000);
  socket.destroy();
  await until(() => layer.stats(), ({ inFlight, connections }) => inFlight === 0 && connections === 0, 5000);
  assert.equal(told.length, 3);
});

for (const requests of [1, 3]) {
  test(`who ends his side after ${requests} requests gets every answer, and the last says close`, async t => {
    const { port, told } = await openLayer(t, async request => {
      await new Promise(resolve => setTimeout(resolve, 100));
      return echo(request);
    });
    const { answers, end } = await talk({ port, bytes: get('/').repeat(requests), halfClose: true });
    const said = answers.map(({ status, headers }) => `${status} ${headers.get('connection')}`);
    assert.deepEqual(said, [...Array(requests - 1).fill('200 keep-alive'), '200 close']);
    assert.equal(end, 'closed');
    assert.deepEqual(told.map(({ status }) => status), Array(requests).fill(200));
  });
}

test('who ends his side without having asked is closed at once', async t => {
  const { port, layer } = await openLayer(t, echo);
  const { answers, end, ms } = await talk({ port, bytes: '', halfClose: true });
  assert.deepEqual([answers.length, end], [0, 'closed']);
  assert.ok(ms < 2000);
  await until(() => layer.stats().connections, count => count === 0, 2000);
});
