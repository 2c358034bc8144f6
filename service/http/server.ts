// The HTTP layer, the only file that touches a request or a response. Any handler of plain values can stand behind it.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { watchConnections } from './connections.ts';
import type { ConnectionLimits, Connections, Exchange } from './connections.ts';
import { checkHead, checkTrailers, explainUnreadable, tooLarge } from './checks.ts';
import type { ParseError } from './checks.ts';
import { renderReply, writeRaw } from './reply.ts';
import type { Answered, Handler, Reply } from './reply.ts';
import { answerTrouble, Problem } from './problem.ts';

export type Limits = ConnectionLimits & {
  headersTimeoutMs: number; keepAliveTimeoutMs: number; maxConnections: number; maxBodyBytes: number;
};
export type Layer = {
  listen(port: number, host: string): Promise<number>;
  /** From now on every answer says `Connection: close`; nothing is refused. */
  sayClose(): void;
  /** Stops listening, lets what is in flight finish, resolves when no request is left. */
  finish(): Promise<void>;
  closeAll(): void;
  stats(): { inFlight: number; connections: number; dropped: number };
};

/** limits have no defaults on purpose; watch hears of every answer, also of those given before the handler. */
export function createHttpLayer(handler: Handler, limits: Limits, watch: (answered: Answered) => void): Layer {
  return new HttpLayer(handler, limits, watch);
}

const nothing = Buffer.alloc(0);

class HttpLayer implements Layer {
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
    this.#connections = watchConnections(limits);
    this.#server = createServer({
      headersTimeout: limits.headersTimeoutMs, requestTimeout: limits.requestTimeoutMs, keepAliveTimeout: limits.keepAliveTimeoutMs,
      connectionsCheckingInterval: 500, maxHeaderSize: 16_384, requireHostHeader: false, insecureHTTPParser: false, noDelay: true,
    });
    this.#server.maxConnections = limits.maxConnections;
    this.#server.on('connection', socket => this.#connections.add(socket));
    this.#server.on('request', (req, res) => void this.#serve(req, res));
    this.#server.on('checkExpectation', (req, res) => void this.#serve(req, res));
    this.#server.on('checkContinue', (req, res) => void this.#serve(req, res, () => res.writeContinue()));
    this.#server.on('connect', (_req, socket: Socket) => this.#refuseTunnel(socket));
    this.#server.on('clientError', (error: ParseError, socket: Socket) => this.#refuse(socket, explainUnreadable(error)));
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

  sayClose(): void {
    this.#saysClose = true;
  }

  async finish(): Promise<void> {
    this.#saysClose = true;
    this.#server.close();
    do {
      this.#server.closeIdleConnections();
      await new Promise(resolve => setTimeout(resolve, 50));
    } while (this.#connections.inFlight() > 0);
  }

  closeAll(): void {
    this.#server.close();
    this.#connections.close();
  }

  stats(): { inFlight: number; connections: number; dropped: number } {
    return { inFlight: this.#connections.inFlight(), connections: this.#connections.count(), dropped: this.#dropped };
  }

  async #serve(req: IncomingMessage, res: ServerResponse, invite?: () => void): Promise<void> {
    const line = this.#connections.lineOf(req.socket);
    if (line.closing) return;
    const exchange: Exchange = { req, res, line, id: requestId(req), startedMs: performance.now(), answeredMs: 0, spoil: null };
    this.#connections.begin(exchange, () => this.#end(exchange));
    let taken = false;
    let reply: Reply;
    try {
      const head = { version: req.httpVersion, method: req.method ?? '', target: req.url ?? '', rawHeaders: req.rawHeaders };
      const { path, query, hasBody } = checkHead(head, this.#limits.maxBodyBytes);
      // Node forgets what follows such requests in the same packet, or closes after their answer by itself.
      if (req.headers.upgrade !== undefined || (invite && !hasBody)) line.closing = true;
      if (hasBody) invite?.();
      const body = hasBody ? await readBody(exchange, this.#limits.maxBodyBytes) : nothing;
      checkTrailers(req.rawTrailers);
      taken = true;
      const left = (): boolean => req.socket.destroyed;
      reply = await this.#handler({ id: exchange.id, method: head.method, path, query, headers: req.headers, body, left });
    } catch (trouble) {
      // Where a refused request ends is not certain, so what follows it is not read as another one.
      if (!taken) line.closing = true;
      reply = answerTrouble(trouble, exchange.id);
    }
    this.#answer(exchange, reply);
  }

  #answer(exchange: Exchange, reply: Reply): void {
    const { req, res, line } = exchange;
    if (res.destroyed || res.closed) return;
    // When a later request of this connection was taken already, its answer is the one that closes.
    const close = (this.#saysClose || line.closing) && line.newest === exchange;
    if (close) line.closing = true;
    const { text, headers } = renderReply(reply, exchange.id, close);
    exchange.answeredMs = performance.now();
    this.#tell(exchange, reply);
    res.writeHead(reply.status, headers);
    if (req.complete || !close) res.end(text);
    else this.#linger(exchange, text);
  }

  // The answer is out and our side closed while the rest of the request is still read: a reset could overtake the answer.
  #linger({ req, res }: Exchange, text: string): void {
    if (res.socket === null) return void res.end(text);
    if (req.method === 'HEAD' || text === '') res.flushHeaders();
    else res.write(text);
    req.socket.end();
    this.#connections.cutSoon(req.socket);
    req.once('end', () => req.socket.destroySoon());
    req.resume();
  }

  #end(exchange: Exchange): void {
    // Not before: a connection that is idle now may have the next request on its way, and a caller who got `close` makes none.
    if (!this.#server.listening) this.#server.closeIdleConnections();
    if (exchange.answeredMs === 0) this.#tell(exchange, { status: 499, note: { code: 'caller_left' } });
  }

  #tell({ startedMs, id, req }: Exchange, { status, route = 'unrouted', note = {} }: Reply): void {
    this.#watch({ requestId: id, method: req.method ?? '', route, status, ms: performance.now() - startedMs, note });
  }

  #refuse(socket: Socket, problem: Problem): void {
    const line = this.#connections.lineOf(socket);
    const first = !line.closing;
    line.closing = true;
    if (!first || socket.destroyed || socket.writableEnded) return;
    // Whoever is unanswered is answered first: this refusal must not be taken for the answer to an earlier request.
    if (line.newest?.spoil) return line.newest.spoil(problem);
    if (line.pending > 0) return;
    const id = randomUUID();
    const reply = answerTrouble(problem, id);
    this.#watch({ requestId: id, method: 'none', route: 'unrouted', status: reply.status, ms: 0, note: reply.note ?? {} });
    socket.end(writeRaw(reply.status, problem.code, renderReply(reply, id, true)));
    this.#connections.cutSoon(socket);
  }

  #refuseTunnel(socket: Socket): void {
    // Node lets go of a CONNECT's socket, its error listener included; a reset would end the process.
    socket.on('error', () => socket.destroy());
    this.#refuse(socket, new Problem('not_implemented', 'CONNECT is not implemented'));
    socket.resume();
  }
}

function requestId(req: IncomingMessage): string {
  const given = req.headers['x-request-id'];
  return typeof given === 'string' && /^[A-Za-z0-9._-]{1,64}$/.test(given) ? given : randomUUID();
}

function readBody(exchange: Exchange, maxBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    exchange.spoil = reject;
    exchange.req.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= maxBytes) chunks.push(chunk);
      else reject(tooLarge(maxBytes));
    });
    exchange.req.on('error', reject);
    exchange.req.on('end', () => {
      exchange.spoil = null;
      resolve(Buffer.concat(chunks));
    });
  });
}
