// The HTTP layer, the only file that touches a request or a response. Any handler of plain values can stand behind it.
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Connections } from './connections.ts';
import type { ConnectionLimits, Exchange } from './connections.ts';
import { checkHead, checkTrailers, explainUnreadable, notImplemented, tooLarge } from './checks.ts';
import type { ParseError } from './checks.ts';
import { renderReply, writeRaw } from './reply.ts';
import type { Answered, Handler, Reply } from './reply.ts';
import { answerTrouble, phraseOf } from './problem.ts';
import type { Problem } from './problem.ts';

/** lingerMs: how long a refused request is read on: closing on unread bytes resets, and may overtake the answer. */
export type Limits = ConnectionLimits & {
  headersTimeoutMs: number; keepAliveTimeoutMs: number; maxConnections: number; maxBodyBytes: number; lingerMs: number;
};
export type Layer = HttpLayer;

const nothing = Buffer.alloc(0);
// Node has a bound of its own for answers that wait, which would start reading again behind our back.
const noBound = 2 ** 30;

/** limits have no defaults on purpose; watch hears of every answer, also of those given before the handler. */
export function createHttpLayer(handler: Handler, limits: Limits, watch: (answered: Answered) => void): Layer {
  return new HttpLayer(handler, limits, watch);
}

class HttpLayer {
  readonly #handler: Handler;
  readonly #limits: Limits;
  readonly #watch: (answered: Answered) => void;
  readonly #server: Server;
  readonly #connections: Connections;
  #saysClose = false;
  #dropped = 0;

  constructor(handler: Handler, limits: Limits, watch: (answered: Answered) => void) {
    this.#handler = handler;
    this.#limits = limits;
    this.#watch = watch;
    this.#connections = new Connections(limits, exchange => this.#ended(exchange));
    this.#server = createServer({
      headersTimeout: limits.headersTimeoutMs, requestTimeout: limits.requestTimeoutMs,
      keepAliveTimeout: limits.keepAliveTimeoutMs, connectionsCheckingInterval: 500, maxHeaderSize: 16_384,
      requireHostHeader: false, insecureHTTPParser: false, noDelay: true, highWaterMark: noBound,
      optimizeEmptyRequests: true,
    });
    this.#server.maxConnections = limits.maxConnections;
    // Who has ended his side after the request still gets the answer.
    Object.assign(this.#server, { httpAllowHalfOpen: true });
    this.#server.on('connection', socket => this.#connections.add(socket));
    this.#server.on('request', (req, res) => this.#take(req, res));
    this.#server.on('checkExpectation', (req, res) => this.#take(req, res));
    this.#server.on('checkContinue', (req, res) => this.#take(req, res, () => res.writeContinue()));
    this.#server.on('connect', (_req, socket: Socket) => this.#refuseTunnel(socket));
    this.#server.on('clientError', (error: ParseError, socket: Socket) => this.#stopped(error, socket));
    this.#server.on('drop', () => { this.#dropped += 1; });
  }

  listen(port: number, host: string): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ port, host, backlog: 1024 }, () => {
        // Later errors are connections that could not be accepted.
        this.#server.on('error', () => { this.#dropped += 1; });
        const address = this.#server.address();
        resolve(address !== null && typeof address === 'object' ? address.port : port);
      });
    });
  }

  /** From now on every answer says `Connection: close`; nothing is refused. */
  sayClose(): void {
    this.#saysClose = true;
  }

  /** Stops listening, lets what is in flight finish, resolves when no request is left. */
  async finish(): Promise<void> {
    this.#saysClose = true;
    this.#server.close();
    do {
      this.#server.closeIdleConnections();
      await new Promise(resolve => setTimeout(resolve, 50));
    } while (this.#connections.inFlight > 0);
  }

  closeAll(): void {
    this.#server.close();
    this.#connections.close();
  }

  stats(): { inFlight: number; connections: number; dropped: number } {
    return { inFlight: this.#connections.inFlight, connections: this.#connections.all.size, dropped: this.#dropped };
  }

  #take(req: IncomingMessage, res: ServerResponse, invite?: () => void): void {
    const connection = this.#connections.all.get(req.socket);
    if (!connection) return;
    const id = requestId(req);
    const exchange: Exchange = {
      req, res, id, connection, startedMs: performance.now(), whole: false, answeredMs: 0, unreadBytes: 0, spoil: null,
    };
    this.#connections.begin(exchange);
    try {
      const { path, query, hasBody } = checkHead(req, this.#limits.maxBodyBytes);
      // Node forgets what follows such requests in the same packet, or closes after their answer by itself.
      if (req.headers.upgrade !== undefined || (invite && !hasBody)) connection.closing = true;
      const ask = (body: Buffer): Reply | Promise<Reply> => {
        checkTrailers(req.rawTrailers);
        exchange.whole = true;
        return this.#handler({
          id, method: req.method ?? '', path, query, headers: req.headers, body, left: () => req.socket.destroyed,
        });
      };
      if (hasBody) invite?.();
      const reply = hasBody ? readBody(exchange, this.#limits.maxBodyBytes).then(ask) : ask(nothing);
      if (!('then' in reply)) return this.#answer(exchange, reply);
      reply.then(given => this.#answer(exchange, given)).catch((trouble: unknown) => this.#fail(exchange, trouble));
    } catch (trouble) {
      connection.closing = true;
      // Not before the parser is through with the packet: then it is known whether the request has come whole.
      process.nextTick(() => this.#fail(exchange, trouble));
    }
  }

  // Where a refused request ends is not certain, so what follows it is not read as another one.
  #fail(exchange: Exchange, trouble: unknown): void {
    exchange.connection.closing = true;
    this.#answer(exchange, answerTrouble(trouble, exchange.id));
  }

  #answer(exchange: Exchange, reply: Reply): void {
    const { req, res, id, connection } = exchange;
    if (req.socket.destroyed) return;
    // When a later request of this connection was taken already, its answer is the one that closes.
    const close = (this.#saysClose || connection.closing) && connection.open.at(-1) === exchange;
    const { text, headers } = renderReply(reply, id, close);
    res.writeHead(reply.status, headers);
    if (close) connection.closing = true;
    exchange.answeredMs = performance.now();
    this.#tell(exchange, reply);
    if (!close || exchange.whole || req.complete) res.end(text);
    else this.#linger(exchange, text);
    this.#connections.answered(exchange, text.length);
  }

  // The answer is out and our side closed while the rest of the request is still read.
  #linger({ req, res, connection }: Exchange, text: string): void {
    if (res.socket === null) return void res.end(text);
    if (req.method === 'HEAD' || text === '') res.flushHeaders();
    else res.write(text);
    connection.cutAtMs = performance.now() + this.#limits.lingerMs;
    req.socket.end();
    req.once('end', () => req.socket.destroySoon());
    req.resume();
  }

  #ended(exchange: Exchange): void {
    if (exchange.answeredMs === 0) this.#tell(exchange, { status: 499, note: { code: 'caller_left' } });
  }

  #tell({ startedMs, id, req }: Exchange, { status, route = 'unrouted', note = {} }: Reply): void {
    this.#watch({ requestId: id, method: req.method ?? '', route, status, ms: performance.now() - startedMs, note });
  }

  #stopped(error: ParseError, socket: Socket): void {
    const connection = this.#connections.all.get(socket);
    if (connection && error.code === 'HPE_PAUSED') this.#connections.paused(connection, error);
    else this.#refuse(socket, explainUnreadable(error));
  }

  #refuse(socket: Socket, problem: Problem): void {
    const connection = this.#connections.all.get(socket);
    if (!connection || connection.closing || socket.destroyed || socket.writableEnded) return;
    connection.closing = true;
    // Whoever is unanswered is answered first: this refusal must not be taken for the answer to an earlier request.
    const newest = connection.open.at(-1);
    if (newest) return newest.spoil?.(problem);
    const id = newId();
    const reply = answerTrouble(problem, id);
    const { status, note = {} } = reply;
    this.#watch({ requestId: id, method: 'none', route: 'unrouted', status, ms: 0, note });
    socket.end(writeRaw(status, phraseOf(status), renderReply(reply, id, true)));
    connection.cutAtMs = performance.now() + this.#limits.lingerMs;
  }

  #refuseTunnel(socket: Socket): void {
    // Node lets go of a CONNECT's socket, its error listener included; a reset would end the process.
    socket.on('error', () => socket.destroy());
    this.#refuse(socket, notImplemented('CONNECT'));
    socket.resume();
  }
}

const ownIds = { prefix: randomBytes(9).toString('base64url'), count: 0 };

function newId(): string {
  ownIds.count += 1;
  return `${ownIds.prefix}-${ownIds.count.toString(36)}`;
}

function requestId(req: IncomingMessage): string {
  const given = req.headers['x-request-id'];
  return typeof given === 'string' && /^[A-Za-z0-9._-]{1,64}$/.test(given) ? given : newId();
}

function readBody(exchange: Exchange, maxBytes: number): Promise<Buffer> {
  const { req } = exchange;
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    exchange.spoil = reject;
    req.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= maxBytes) chunks.push(chunk);
      else reject(tooLarge(maxBytes));
    });
    req.on('error', reject);
    req.on('end', () => {
      exchange.spoil = null;
      resolve(Buffer.concat(chunks));
    });
  });
}
