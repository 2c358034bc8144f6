// TCP and HTTP against sockets that misbehave: the reason is kept, and the deadline too.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { ask, askInTurn, tell } from '../client/http.ts';
import { askOrdinarily } from '../client/ordinary.ts';
import { probe, stateOf } from '../client/tcp.ts';

type Door = { host: string; port: number };

async function open(t: TestContext, serve: (socket: Socket) => void): Promise<Door & { accepted: () => number }> {
  const sockets: Socket[] = [];
  const server = createServer(socket => { sockets.push(socket.on('error', () => socket.destroy())); serve(socket); });
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve); });
  t.after(() => { for (const socket of sockets) socket.destroy(); server.close(); });
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port, accepted: () => sockets.length };
}

const answer = (text: string) => (socket: Socket) => { socket.once('data', () => socket.end(text)); };
const halfAChunk = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhalf';
const asked = (door: Door, more: object = {}) => ask(door, { path: '/', deadlineMs: 1_000, ...more });

test('a port that keeps the connection is held, for as long as was asked', async t => {
  const sight = await probe(await open(t, () => {}), 1_000, 80);
  assert.equal(sight.state, 'held');
  assert.ok(sight.ms >= 78, `${sight.ms} ms`);
});

test('a port that speaks first is held', async t => {
  assert.equal((await probe(await open(t, socket => socket.write('hello')), 1_000)).state, 'held');
});

test('a port that accepts and closes is not held, however late it closes', async t => {
  assert.equal((await probe(await open(t, socket => socket.end()), 1_000)).state, 'accepted_then_closed');
  const closes = await open(t, socket => { setTimeout(() => socket.end(), 60); });
  assert.equal((await probe(closes, 1_000)).state, 'accepted_then_closed');
});

test('a reset and a refusal are distinguished', async t => {
  const { state, code } = await probe(await open(t, socket => socket.resetAndDestroy()), 1_000);
  assert.deepEqual([state, code], ['reset', 'ECONNRESET']);
  assert.equal((await probe({ host: '127.0.0.1', port: 1 }, 1_000)).state, 'refused');
});

test('an address that no route leads to is unreachable', async () => {
  assert.equal((await probe({ host: '255.255.255.255', port: 1 }, 5_000)).state, 'unreachable');
  assert.equal(stateOf('EHOSTUNREACH', false), 'unreachable');
  assert.equal(stateOf('ETIMEDOUT', false), 'silent');
});

test('a port whose queue is full and never emptied is silent at the deadline', async t => {
  // One that listens with no queue to speak of and never accepts; two callers fill it, the next gets no answer at all.
  const script = `const s = require('net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
    require('fs').writeSync(1, s.address().port + '\\n');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  })`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const port = Number(await new Promise(resolve => { child.stdout.once('data', resolve); }));
  const fill = await Promise.all(Array.from({ length: 6 }, () => probe({ host: '127.0.0.1', port }, 600, 900)));
  assert.ok(fill.some(({ state }) => state === 'silent'), JSON.stringify(fill));
  const silent = fill.filter(({ state }) => state === 'silent');
  assert.ok(silent.every(({ ms }) => ms >= 598 && ms < 2_000), JSON.stringify(fill));
});

test('an answer comes with status, headers, text and JSON', async t => {
  const text = 'HTTP/1.1 201 Created\r\nx-a: b\r\ncontent-length: 7\r\n\r\n{"a":1}';
  const sight = await asked(await open(t, answer(text)));
  assert.ok(sight.state === 'answered');
  assert.deepEqual([sight.status, sight.headers.get('x-a'), sight.text, sight.json], [201, 'b', '{"a":1}', { a: 1 }]);
});

test('each exchange has a socket of its own', async t => {
  const text = 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n';
  const door = await open(t, socket => socket.on('data', () => socket.write(text)));
  for (let i = 0; i < 3; i++) assert.equal((await asked(door)).state, 'answered');
  assert.equal(door.accepted(), 3);
});

test('a redirect is reported, not followed', async t => {
  const door = await open(t, answer('HTTP/1.1 302 Found\r\nlocation: /there\r\ncontent-length: 0\r\n\r\n'));
  assert.equal(tell(await asked(door)), '302 to /there');
  assert.equal(door.accepted(), 1);
});

test('what is no whole answer keeps its reason', async t => {
  const cases: [string, (socket: Socket) => void, RegExp][] = [
    ['closes', socket => { socket.once('data', () => socket.end()); }, /^accepted_then_closed$/],
    ['resets', socket => { socket.once('data', () => socket.resetAndDestroy()); }, /^reset \(ECONNRESET\)$/],
    ['is no HTTP', answer('SSH-2.0-x\r\n'), /^malformed \(no HTTP\)$/],
    ['half a body', answer('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf'), /^malformed \(half a body\)$/],
    ['half a chunk', answer(halfAChunk), /^malformed \(half a body\)$/],
    ['too much', answer('HTTP/1.1 200 OK\r\ncontent-length: 1100000\r\n\r\nx'), /^malformed \(body above 1048576 byt/],
  ];
  for (const [name, serve, wish] of cases) assert.match(tell(await asked(await open(t, serve))), wish, name);
  assert.equal((await asked({ host: '127.0.0.1', port: 2 })).state, 'refused');
  assert.equal((await asked({ host: '255.255.255.255', port: 8000 }, { deadlineMs: 5_000 })).state, 'unreachable');
});

test('no answer, and an answer that never ends, are silent at the deadline', async t => {
  const sendsHalf = (socket: Socket) => { socket.write('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf'); };
  for (const serve of [() => {}, sendsHalf]) {
    const sight = await asked(await open(t, serve), { deadlineMs: 200 });
    assert.equal(sight.state, 'silent');
    assert.ok(sight.ms >= 198 && sight.ms < 1_000, `${sight.ms} ms`);
  }
});

test('what comes behind an answer is seen, at once or a moment later', async t => {
  const whole = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}';
  const later = (socket: Socket) => { socket.once('data', () => { socket.write(whole, () => socket.end('HTTP')); }); };
  for (const serve of [answer(`${whole}${whole}`), answer(`${whole}\n`), later]) {
    assert.equal(tell(await asked(await open(t, serve))), 'malformed (bytes behind the answer)');
  }
});

test('several asks go over one connection, the last of which closes it', async t => {
  const heads: string[] = [];
  const door = await open(t, socket => socket.on('data', bytes => {
    heads.push(String(bytes));
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}');
  }));
  const one = { path: '/', deadlineMs: 1_000 };
  assert.deepEqual((await askInTurn(door, [one, one, one], 1_000)).map(tell), ['200', '200', '200']);
  assert.deepEqual(heads.map(head => /\r\nconnection: close\r\n/.test(head)), [false, false, true]);
  assert.equal(door.accepted(), 1);
  const closes = await open(t, answer('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}'));
  assert.deepEqual((await askInTurn(closes, [one, one], 1_000)).map(tell), ['200', 'accepted_then_closed']);
});

test('an ordinary client agrees, and says so when it never asks at a port', async t => {
  const door = await open(t, answer('HTTP/1.0 200 OK\r\n\r\n{}'));
  assert.deepEqual(await askOrdinarily(door, '/', 1_000), { status: 200, text: '{}' });
  assert.deepEqual(await askOrdinarily({ host: '127.0.0.1', port: 6000 }, '/', 1_000), { forbidden: true });
  assert.deepEqual(await askOrdinarily(await open(t, () => {}), '/', 100), { trouble: 'silent for 100 ms' });
  assert.deepEqual(await askOrdinarily({ host: '127.0.0.1', port: 2 }, '/', 1_000), { trouble: 'ECONNREFUSED' });
});

test('a peer that accepts and closes at once is reported at the deadline at the latest', async t => {
  const sight = await asked(await open(t, socket => socket.end()), { deadlineMs: 300 });
  assert.ok(['accepted_then_closed', 'reset', 'silent'].includes(sight.state), sight.state);
});
