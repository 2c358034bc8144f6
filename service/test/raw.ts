// A client that sends exactly the bytes it is given and takes apart exactly the bytes that come back.
import { connect } from 'node:net';
import type { Socket } from 'node:net';

export type Answer = { status: number; headers: Map<string, string>; body: string };
export type Heard = { answers: Answer[]; rest: string; end: 'closed' | 'reset' | 'open'; ms: number };
type Wish = { port: number; bytes: string | Buffer; deadlineMs?: number; halfClose?: boolean; head?: boolean; until?: number; from?: string; sendFirst?: boolean };

/** sendFirst: reads nothing before all is sent, as simple clients do. Listens until the other side closes, until `until` answers are there, or until the deadline. */
export function talk({ port, bytes, deadlineMs = 5000, halfClose = false, head = false, until = Infinity, from, sendFirst = false }: Wish): Promise<Heard> {
  return new Promise(resolve => {
    const startedMs = performance.now();
    let heard = '';
    const socket: Socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, ...(from ? { localAddress: from } : {}) });
    const timer = setTimeout(() => finish('open'), deadlineMs);
    const finish = (end: Heard['end']): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ ...parseAnswers(heard, head), end, ms: performance.now() - startedMs });
    };
    const sent = (): void => void (sendFirst && socket.resume());
    socket.on('connect', () => void (halfClose ? socket.end(bytes, sent) : socket.write(bytes, sent)));
    socket.on('data', chunk => {
      heard += chunk.toString('latin1');
      if (until < Infinity && parseAnswers(heard, head).answers.length >= until) finish('open');
    });
    if (sendFirst) socket.pause();
    socket.on('end', () => finish('closed'));
    socket.on('error', () => finish('reset'));
    socket.on('close', () => finish('closed'));
  });
}

export function parseAnswers(heard: string, head: boolean): { answers: Answer[]; rest: string } {
  const answers: Answer[] = [];
  let rest = heard;
  for (;;) {
    const split = rest.indexOf('\r\n\r\n');
    const first = /^HTTP\/1\.1 (\d{3}) /.exec(rest);
    if (split < 0 || !first) return { answers, rest };
    const status = Number(first[1]);
    const headers = new Map(rest.slice(0, split).split('\r\n').slice(1).map(line => {
      const [, name = '', value = ''] = /^([^:]*): ?(.*)$/.exec(line) ?? [];
      return [name.toLowerCase(), value] as const;
    }));
    const length = head || status < 200 || status === 204 ? 0 : Number(headers.get('content-length'));
    if (rest.length < split + 4 + length) return { answers, rest };
    answers.push({ status, headers, body: rest.slice(split + 4, split + 4 + length) });
    rest = rest.slice(split + 4 + length);
  }
}
