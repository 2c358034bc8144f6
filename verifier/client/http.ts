// HTTP/1.1 over sockets of our own, one for each exchange: an ordinary client would forgive too much.
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { randomInt } from 'node:crypto';
import { addressOf } from './address.ts';
import { readAnswer } from './answer.ts';
import type { Answer } from './answer.ts';
import { parseJson } from './json.ts';
import type { Target } from '#infra/platform';
import { stateOf } from './tcp.ts';

export type Ask = {
  method?: string; path: string; headers?: Record<string, string>; body?: string | Buffer; deadlineMs: number;
};
type Host = Pick<Target, 'host' | 'port'>;
/** `json` is undefined when the body is no JSON that can be taken at its word; `flaw` then says why. */
export type Answered = {
  state: 'answered'; status: number; headers: Headers; text: string; json: unknown; flaw?: string; ms: number;
};
export type Unanswered = {
  state: 'refused' | 'silent' | 'accepted_then_closed' | 'reset' | 'unreachable' | 'malformed';
  ms: number;
  code?: string;
};
export type HttpSight = Answered | Unanswered;

/** How clients name themselves; '' is one that does not. The service must not care, so each ask draws one. */
export const userAgents = [
  'curl/8.14.1', 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0', 'kube-probe/1.34',
  'Prometheus/3.5.0', 'python-requests/2.32.4', 'Go-http-client/1.1', '',
] as const;

// What comes behind an answer comes at once; who does not close the connection is not waited for longer.
const LINGER_MS = 100;

/** Asks once: no redirect is followed, no connection used twice. Never throws; settles about within deadlineMs. */
export async function ask(target: Host, one: Ask): Promise<HttpSight> {
  const [sight] = await converse(target, [one], one.deadlineMs);
  return sight;
}

/**
 * Asks one after the other on one connection, the last time with `Connection: close`. Ends with the first trouble, and
 * with an answer that says that it closes.
 */
export function askInTurn(target: Host, asks: readonly [Ask, ...Ask[]], deadlineMs: number): Promise<HttpSight[]> {
  return converse(target, asks, deadlineMs);
}

/** Whether an answer says that its connection ends with it. */
export function announcesEnd({ headers }: Answered): boolean {
  return /\bclose\b/i.test(headers.get('connection') ?? '');
}

/** `200`, `302 to /elsewhere`, `silent (ECONNRESET)`: a sight in a few words. */
export function tell(sight: HttpSight): string {
  if (sight.state !== 'answered') return sight.code ? `${sight.state} (${sight.code})` : sight.state;
  const elsewhere = sight.status >= 300 && sight.status < 400 ? sight.headers.get('location') : null;
  return elsewhere ? `${sight.status} to ${elsewhere}` : `${sight.status}`;
}

function converse(
  target: Host, asks: readonly [Ask, ...Ask[]], deadlineMs: number,
): Promise<[HttpSight, ...HttpSight[]]> {
  return new Promise(resolve => {
    const sights: HttpSight[] = [];
    let [began, accepted, came] = [performance.now(), false, Buffer.alloc(0)];
    let last: Answered | undefined;
    const ms = () => Math.round(performance.now() - began);
    const current = () => asks[sights.length] ?? asks[0];
    const settle = (sight: HttpSight) => {
      clearTimeout(timer);
      socket.destroy();
      resolve([sights[0] ?? sight, ...sights.slice(1), ...sights.length === 0 ? [] : [sight]]);
    };
    const fail = (state: Unanswered['state'], code?: string) =>
      settle(code === undefined ? { state, ms: ms() } : { state, ms: ms(), code });
    const take = (bytes: Buffer) => {
      came = Buffer.concat([came, bytes]);
      if (last !== undefined) return came.length > 0 ? fail('malformed', 'bytes behind the answer') : undefined;
      const read = readAnswer(came, current().method ?? 'GET');
      if ('trouble' in read) return fail('malformed', read.trouble);
      if ('missing' in read) return undefined;
      const answered: Answered = { ...sightOf(read.answer), ms: ms() };
      came = Buffer.alloc(0);
      if (read.rest.length > 0) return fail('malformed', 'bytes behind the answer');
      if (sights.length + 1 < asks.length && !announcesEnd(answered)) {
        sights.push(answered);
        began = performance.now();
        return send(socket, target, current(), sights.length + 1 === asks.length);
      }
      last = answered;
      clearTimeout(timer);
      timer = setTimeout(settle, LINGER_MS, answered);
      return undefined;
    };
    const socket = connect({ host: target.host, port: target.port, noDelay: true });
    let timer = setTimeout(fail, deadlineMs, 'silent');
    socket.on('connect', () => {
      accepted = true;
      send(socket, target, current(), asks.length === 1);
    });
    socket.on('data', take);
    socket.on('end', () => {
      if (last !== undefined) settle(last);
      else if (came.length === 0) fail('accepted_then_closed');
      else fail('malformed', came.includes('\r\n\r\n') ? 'half a body' : halfOf(came));
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (last !== undefined) settle(last);
      else if (came.length > 0) fail('malformed', `half an answer, then ${error.code}`);
      else fail(stateOf(error.code, accepted), error.code ?? error.message);
    });
  });
}

function halfOf(came: Buffer): string {
  return came.toString('latin1').startsWith('HTTP/1.1 ') ? 'half a head' : 'no HTTP';
}

function send(socket: Socket, target: Host, { method = 'GET', path, headers = {}, body }: Ask, isLast: boolean): void {
  const agent = userAgents[randomInt(userAgents.length)] ?? '';
  const length = body === undefined ? method === 'POST' ? 0 : undefined : Buffer.byteLength(body);
  const all: Record<string, string> = {
    host: addressOf(target), accept: '*/*', ...agent === '' ? {} : { 'user-agent': agent }, ...headers,
    ...length === undefined ? {} : { 'content-length': String(length) }, ...isLast ? { connection: 'close' } : {},
  };
  const lines = Object.entries(all).filter(([, value]) => value !== '').map(([name, value]) => `${name}: ${value}\r\n`);
  const head = Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1');
  socket.write(body === undefined ? head : Buffer.concat([head, Buffer.from(body)]));
}

function sightOf({ status, headers, text }: Answer): Omit<Answered, 'ms'> {
  const parsed = parseJson(text);
  const json = 'value' in parsed ? { json: parsed.value } : { json: undefined, flaw: parsed.trouble };
  return { state: 'answered', status, headers: new Headers(headers), text, ...json };
}
