// The connections of the HTTP layer: how many there are, which requests of each are unanswered, which are to be cut when.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Problem } from './problem.ts';

/** One connection. closing: nothing more is read from it as a request. */
export type Line = { pending: number; newest: Exchange | null; closing: boolean };
/** One request and its answer. spoil: ends the reading of its body with a refusal. */
export type Exchange = {
  req: IncomingMessage; res: ServerResponse; id: string; line: Line; startedMs: number;
  answeredMs: number; spoil: ((problem: Problem) => void) | null;
};
export type Connections = {
  add(socket: Socket): void;
  lineOf(socket: Socket): Line;
  begin(exchange: Exchange, ended: () => void): void;
  /** The socket has its last answer; read on for a moment, since closing on unread bytes resets and may overtake the answer. */
  cutSoon(socket: Socket): void;
  isLeaving(socket: Socket): boolean;
  inFlight(): number;
  count(): number;
  close(): void;
};
export type ConnectionLimits = { requestTimeoutMs: number; maxPipelined: number; lingerMs: number };

export function watchConnections({ requestTimeoutMs, maxPipelined, lingerMs }: ConnectionLimits): Connections {
  const exchanges = new Set<Exchange>();
  const lines = new Map<Socket, Line>();
  const leaving = new Map<Socket, number>();
  function sweep(): void {
    const now = performance.now();
    for (const [socket, untilMs] of leaving) if (now > untilMs) socket.destroy();
    // An answer that nobody reads holds its connection no longer than a request may take to arrive.
    for (const { req, answeredMs } of exchanges) if (answeredMs > 0 && now - answeredMs > requestTimeoutMs) req.socket.destroy();
  }
  // One connection may not fill the memory with requests whose answers wait behind a slow one. Node starts reading again at
  // the end of every message it has parsed, so the pause has to come after that.
  function throttle(socket: Socket, line: Line): void {
    if (line.pending >= maxPipelined) process.nextTick(() => void (line.pending >= maxPipelined && socket.pause()));
    else if (socket.isPaused()) socket.resume();
  }
  const sweeper = setInterval(sweep, 500).unref();
  return {
    add: socket => {
      lines.set(socket, { pending: 0, newest: null, closing: false });
      socket.once('close', () => {
        lines.delete(socket);
        leaving.delete(socket);
      });
    },
    lineOf: socket => lines.get(socket) ?? { pending: 0, newest: null, closing: true },
    begin: (exchange, ended) => {
      const { line, req: { socket } } = exchange;
      exchanges.add(exchange);
      line.newest = exchange;
      line.pending += 1;
      throttle(socket, line);
      exchange.res.once('close', () => {
        exchanges.delete(exchange);
        line.pending -= 1;
        throttle(socket, line);
        ended();
      });
    },
    cutSoon: socket => void leaving.set(socket, performance.now() + lingerMs),
    isLeaving: socket => leaving.has(socket),
    inFlight: () => exchanges.size,
    count: () => lines.size,
    close: () => {
      clearInterval(sweeper);
      for (const socket of lines.keys()) socket.destroy();
    },
  };
}
