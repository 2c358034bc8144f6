// The callers' connections: which requests of each are unanswered, when reading of it pauses, and which are cut when.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { ParseError } from './checks.ts';
import type { Problem } from './problem.ts';

export type Connection = {
  socket: Socket;
  /** Requests that were taken and whose answers have not left, oldest first. */
  open: Exchange[];
  /** Nothing more is taken from it. */
  closing: boolean;
  unreadBytes: number;
  /** What the parser has not looked at yet, while it is paused. woken: it goes on with the next turn of the loop. */
  rest: Buffer | null;
  woken: boolean;
  cutAtMs: number;
};
/** One request and its answer. whole: nothing of it is to come. spoil: ends the reading of its body with a refusal. */
export type Exchange = {
  req: IncomingMessage; res: ServerResponse; id: string; connection: Connection; startedMs: number;
  whole: boolean; answeredMs: number; unreadBytes: number; spoil: ((problem: Problem) => void) | null;
};
/** maxPipelined, maxUnreadBytes: past them a connection is not read on. maxUnreadBytesInAll: past it one is cut. */
export type ConnectionLimits = {
  requestTimeoutMs: number; maxPipelined: number; maxUnreadBytes: number; maxUnreadBytesInAll: number;
};

// What of Node's parser has no types. It hands over every request of a read of 64 KiB, thousands, unless its callback
// says `paused`; then it gives up with HPE_PAUSED, and the error holds what it has not looked at.
type Parser = { onIncoming: (req: IncomingMessage, keepAlive: boolean) => number; resume(): void };
type Parsed = Socket & { parser: Parser | null };
const paused = 21;
const nothing = Buffer.alloc(0);
// A request and its answer take about this much besides the text.
const bytesOfExchange = 4096;

export class Connections {
  readonly #limits: ConnectionLimits;
  readonly #ended: (exchange: Exchange) => void;
  /** Of every socket that is open. */
  readonly all = new Map<Socket, Connection>();
  /** Requests taken whose answers have not left. */
  inFlight = 0;
  readonly #sweeper = setInterval(() => this.#sweep(), 500).unref();
  #unreadBytes = 0;

  /** ended hears of every exchange once: when its answer has left, or when its connection has closed. */
  constructor(limits: ConnectionLimits, ended: (exchange: Exchange) => void) {
    this.#limits = limits;
    this.#ended = ended;
  }

  add(socket: Socket): void {
    const connection: Connection = {
      socket, open: [], closing: false, unreadBytes: 0, rest: null, woken: false, cutAtMs: Infinity,
    };
    this.all.set(socket, connection);
    const { parser } = socket as Parsed;
    const take = parser?.onIncoming;
    if (parser && take) {
      parser.onIncoming = (req, keepAlive) => {
        if (connection.closing) return paused;
        return take(req, keepAlive) || (this.#isFull(connection) ? paused : 0);
      };
    }
    // Node starts to read again whenever a request of the connection has been looked at.
    socket.on('resume', () => void (connection.rest && stopReading(socket)));
    // A caller who has ended his side waits for his answers; the last one says close.
    socket.once('end', () => { connection.closing = true; });
    // Node tells the answer that is being written of this, and none of those behind it.
    socket.once('close', () => {
      this.all.delete(socket);
      while (connection.open[0]) this.#end(connection.open[0]);
    });
  }

  begin(exchange: Exchange): void {
    exchange.connection.open.push(exchange);
    this.inFlight += 1;
  }

  /** Its answer was handed over; what of it the caller does not read is counted. */
  answered(exchange: Exchange, bytes: number): void {
    const { res, connection } = exchange;
    if (res.writableEnded && res.writableLength === 0) return this.#end(exchange);
    exchange.unreadBytes = bytes + bytesOfExchange;
    connection.unreadBytes += exchange.unreadBytes;
    this.#unreadBytes += exchange.unreadBytes;
    res.once('close', () => this.#end(exchange));
    if (this.#unreadBytes > this.#limits.maxUnreadBytesInAll) this.#cutGreediest();
  }

  /** The parser has stopped where it was asked to. */
  paused(connection: Connection, { rawPacket = nothing, bytesParsed }: ParseError): void {
    const { rest, socket } = connection;
    // A packet that comes while the parser is paused is not looked at.
    connection.rest = rest ? Buffer.concat([rest, rawPacket]) : rawPacket.subarray(bytesParsed);
    stopReading(socket);
  }

  close(): void {
    clearInterval(this.#sweeper);
    for (const socket of this.all.keys()) socket.destroy();
  }

  #isFull({ open, unreadBytes }: Connection): boolean {
    return open.length >= this.#limits.maxPipelined || unreadBytes >= this.#limits.maxUnreadBytes;
  }

  #end(exchange: Exchange): void {
    const { connection, unreadBytes } = exchange;
    const { open, socket } = connection;
    const at = open.indexOf(exchange);
    if (at < 0) return;
    open.splice(at, 1);
    this.inFlight -= 1;
    connection.unreadBytes -= unreadBytes;
    this.#unreadBytes -= unreadBytes;
    this.#ended(exchange);
    // Both later: the parser may be at work on it, and the requests of one caller must not keep others waiting.
    if (connection.closing && open.length === 0) process.nextTick(() => socket.destroySoon());
    if (connection.rest === null || connection.woken || this.#isFull(connection)) return;
    connection.woken = true;
    setImmediate(() => readOn(connection));
  }

  #cutGreediest(): void {
    let most: Connection | undefined;
    for (const one of this.all.values()) if (one.unreadBytes > (most?.unreadBytes ?? 0)) most = one;
    most?.socket.destroy();
  }

  #sweep(): void {
    const now = performance.now();
    for (const { socket, open, cutAtMs } of this.all.values()) {
      // An answer that nobody reads holds its connection no longer than a request may take to arrive.
      const answeredMs = open[0]?.answeredMs || now;
      if (now > cutAtMs || now - answeredMs > this.#limits.requestTimeoutMs) socket.destroy();
    }
  }
}

// The event is for Node's own listener: a stream that is paused already sends none, though its handle may read again.
function stopReading(socket: Socket): void {
  socket.pause();
  socket.emit('pause');
}

function readOn(connection: Connection): void {
  const { rest, socket, closing } = connection;
  connection.woken = false;
  if (rest === null || closing || socket.destroyed) return;
  connection.rest = null;
  (socket as Parsed).parser?.resume();
  // To Node's own listener, which parses it as if it came now.
  socket.emit('data', rest);
  if (connection.rest === null) socket.resume();
}
