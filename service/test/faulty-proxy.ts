// A TCP proxy in front of the database that can fail in the ways a network fails.
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import type { Owner } from './database.ts';

/**
 * refuse: nobody listens. fin, rst: accepted and ended at once. garbage: another protocol answers. silent: not a byte
 * more, old connections included.
 */
export type Mode = 'pass' | 'refuse' | 'fin' | 'rst' | 'garbage' | 'silent';

export type FaultyProxy = {
  port: number;
  mode(mode: Mode): Promise<void>;
  /** Ends every connection that passes, or one of those that have logged in. */
  cut(how: 'fin' | 'rst', which?: 'all' | 'one'): void;
  /** From now on each new connection is reset after so many bytes from the database; Infinity: never. */
  cutAfter(bytes: number): void;
  accepted(): number;
  open(): number;
};

// What PostgreSQL sends until it is ready for the first statement, and a little more.
const LOGIN_BYTES = 600;

export async function openFaultyProxy(owner: Owner, upstreamPort: number): Promise<FaultyProxy> {
  const pairs = new Set<[Socket, Socket]>();
  const clients = new Set<Socket>();
  let mode: Mode = 'pass';
  let limit = Infinity;
  let accepted = 0;

  const server = createServer({ noDelay: true }, client => {
    accepted += 1;
    clients.add(client);
    client.on('close', () => clients.delete(client)).on('error', () => client.destroy());
    // Without reading there is no seeing the client leave.
    if (mode !== 'pass') client.resume();
    if (mode === 'fin') client.end();
    else if (mode === 'rst') client.resetAndDestroy();
    else if (mode === 'garbage') client.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
    else if (mode === 'pass') join(client);
  });
  function join(client: Socket) {
    const upstream = connect({ port: upstreamPort, host: '127.0.0.1', noDelay: true });
    const pair: [Socket, Socket] = [client, upstream];
    let left = limit;
    pairs.add(pair);
    upstream.on('data', bytes => {
      left -= bytes.length;
      if (left <= 0) client.resetAndDestroy();
    });
    upstream.on('error', () => client.resetAndDestroy()).on('close', () => { pairs.delete(pair); client.end(); });
    client.on('close', () => upstream.destroy());
    client.pipe(upstream);
    upstream.pipe(client);
  }
  const cut = (how: 'fin' | 'rst', which: 'all' | 'one' = 'all') => {
    const ready = [...pairs].filter(([, upstream]) => upstream.bytesRead > LOGIN_BYTES);
    const first = Math.floor(Math.random() * ready.length);
    for (const [client] of which === 'all' ? pairs : ready.slice(first, first + 1)) {
      if (how === 'rst') client.resetAndDestroy();
      else client.destroy();
    }
  };
  const port = await listen(server, 0);
  owner.after(async () => {
    for (const client of clients) client.destroy();
    for (const [, upstream] of pairs) upstream.destroy();
    if (server.listening) await new Promise(resolve => server.close(resolve));
  });
  return {
    port, cut,
    async mode(next) {
      if (next === mode) return;
      mode = next;
      for (const [client, upstream] of pairs) hold(client, upstream, next === 'silent');
      if (next === 'refuse') {
        cut('rst');
        const closed = new Promise<void>(resolve => { server.close(() => resolve()); });
        for (const client of clients) client.destroy();
        await closed;
      } else if (!server.listening) await listen(server, port);
      // Those that were met with silence never get an answer: they are from before.
      if (next === 'pass') {
        for (const client of clients) if (![...pairs].some(([known]) => known === client)) client.destroy();
      }
    },
    cutAfter(bytes) { limit = bytes; },
    accepted: () => accepted,
    open: () => clients.size,
  };
}

function hold(client: Socket, upstream: Socket, silent: boolean) {
  for (const socket of [client, upstream]) {
    if (silent) socket.unpipe().pause();
    else socket.pipe(socket === client ? upstream : client);
  }
}

async function listen(server: Server, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
