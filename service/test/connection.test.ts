// One connection against peers that are no database, and what it makes of each.
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { freePort } from '../bench/port.ts';
import { Connection, ConnectionError } from '../database/connection.ts';
import { storeOptions, until } from './database.ts';

/** A peer that answers each connection in its own way, and counts them. */
async function openPeer(t: TestContext, answer: (socket: Socket) => void, allowHalfOpen = false) {
  const sockets = new Set<Socket>();
  const seen = { accepted: 0, open: () => sockets.size };
  const server = createServer({ allowHalfOpen }, socket => {
    seen.accepted += 1;
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    // Without reading there is no seeing the other side leave.
    socket.resume();
    answer(socket);
  });
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise(resolve => server.close(resolve));
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { port: address.port, seen };
}

function openTold(port: number): { connection: Connection; deaths: string[] } {
  const deaths: string[] = [];
  const connection = new Connection(
    storeOptions('secret', port, { connectTimeoutMs: 200 }), (_, code) => deaths.push(code),
  );
  return { connection, deaths };
}

async function die(connection: Connection, budgetMs = 1000): Promise<ConnectionError> {
  const error: unknown = await connection.run(sql => sql`select 1`, budgetMs).then(
    () => null, (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof ConnectionError);
  return error;
}

function message(kind: string, ...parts: (string | number)[]): Buffer {
  const bytes = (part: string | number) =>
    typeof part === 'string' ? Buffer.from(`${part}\0`) : Buffer.from([part >> 24, part >> 16, part >> 8, part]);
  const body = Buffer.concat(parts.map(bytes));
  const head = Buffer.alloc(5, kind);
  head.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

const peers: { name: string; code: string; answer: (socket: Socket) => void }[] = [
  { name: 'accepts and hangs up', code: 'CONNECTION_CLOSED', answer: socket => socket.end() },
  { name: 'accepts and resets', code: 'ECONNRESET', answer: socket => socket.resetAndDestroy() },
  { name: 'accepts and says nothing', code: 'CONNECT_TIMEOUT', answer: () => {} },
  { name: 'speaks HTTP', code: 'PROTOCOL_ERROR', answer: socket => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n') },
  { name: 'sends noise', code: 'PROTOCOL_ERROR', answer: socket => socket.write(Buffer.alloc(4096, 7)) },
  {
    name: 'sends whole messages of no known kind', code: 'PROTOCOL_ERROR',
    answer: socket => socket.write(message('!', 1)),
  },
  {
    name: 'promises a message without end', code: 'PROTOCOL_ERROR',
    answer: socket => socket.write(Buffer.from([0x45, 0x7f, 0, 0, 0, 0])),
  },
  {
    name: 'asks for the password in the clear', code: 'PROTOCOL_ERROR', answer: socket => socket.write(message('R', 3)),
  },
  { name: 'asks for an MD5 password', code: 'PROTOCOL_ERROR', answer: socket => socket.write(message('R', 5, 1)) },
];

for (const { name, code, answer } of peers) {
  test(`a peer that ${name} costs one connection, one error ${code}, and leaves no socket`, async t => {
    const { port, seen } = await openPeer(t, answer);
    const { connection, deaths } = openTold(port);
    const printed = t.mock.method(console, 'error', () => {});
    const error = await die(connection);
    assert.deepEqual(
      [error.code, error.maybeApplied, deaths, connection.alive, connection.proven],
      [code, false, [code], false, false],
    );
    // What the library does next it does on timers: each later statement must meet the same dead connection.
    for (let again = 0; again < 20; again += 1) assert.equal((await die(connection)).code, code);
    await until(seen.open, open => open === 0, 2000);
    assert.deepEqual([seen.accepted, printed.mock.callCount()], [1, 0]);
  });
}

test('nobody listening is ECONNREFUSED', async () => {
  const { connection } = openTold(await freePort());
  assert.equal((await die(connection)).code, 'ECONNREFUSED');
});

for (const [how, parts] of [
  ['at once', [message('R', 3)]], ['in two packets', [message('R', 3).subarray(0, 7), message('R', 3).subarray(7)]],
  ['after a notice', [message('N', 'SNOTICE', ''), message('R', 3)]],
] as [string, Buffer[]][]) {
  test(`a password is never given to a peer that asks for it in the clear, ${how}`, async t => {
    let heard = '';
    const { port, seen } = await openPeer(t, socket => {
      const [first = Buffer.alloc(0), second] = parts;
      socket.write(first);
      socket.on('data', bytes => {
        heard += bytes.toString('latin1');
        // the client has spoken, so the first packet has long been on its way
        if (second) socket.write(second);
      });
    });
    await die(openTold(port).connection);
    await until(seen.open, open => open === 0, 2000);
    assert.match(heard, /user\0orders/);
    assert.equal(heard.includes('secret'), false);
  });
}

test('a session that freezes in mid-statement is given up at the deadline, and the statement may be done', async t => {
  const { port, seen } = await openPeer(t, socket => {
    socket.once('data', () => socket.write(Buffer.concat([message('R', 0), Buffer.from([0x5a, 0, 0, 0, 5, 0x49])])));
  }, true);
  const { connection, deaths } = openTold(port);
  const startedMs = performance.now();
  const error = await die(connection, 150);
  assert.deepEqual([error.code, error.maybeApplied, deaths], ['DEADLINE', true, ['DEADLINE']]);
  assert.ok(performance.now() - startedMs < 600);
  // A socket that was only half closed would stay for as long as the peer keeps silent; the one left is the peer's own.
  await until(
    () => process.getActiveResourcesInfo().filter(name => name === 'TCPSocketWrap').length, count => count === 1, 2000,
  );
  assert.equal(seen.accepted, 1);
});

test('a connection that was never used has no socket, and one that is ended tells nobody of its death', async t => {
  const { port, seen } = await openPeer(t, () => {});
  const { connection, deaths } = openTold(port);
  connection.end();
  assert.equal((await die(connection)).code, 'CONNECTION_ENDED');
  assert.deepEqual([deaths, seen.accepted], [[], 0]);
});
