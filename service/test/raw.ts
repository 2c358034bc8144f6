// A client that sends exactly the bytes it is given and takes apart exactly the bytes that come back.
import { connect } from 'node:net';
import type { Socket } from 'node:net';

export type Answer = { status: number; headers: Map<string, string>; body: string };
export type Heard = { answers: Answer[]; rest: string; end: 'closed' | 'reset' | 'open'; ms: number };
type Wish = {
  port: number; bytes: string | Buffer; deadlineMs?: number; halfClose?: boolean; head?: boolean; until?: number;
  from?: string; sendFirst?: boolean;
};

/**
 * Listens until the other side closes, `until` answers are there, or the deadline.
 * sendFirst: reads nothing before all is sent, as simple clients do.
 */
export function talk(wish: Wish): Promise<Heard> {
  const { port, bytes, deadlineMs = 5000, halfClose = false, head = false, until = Infinity } = wish;
  const { from, sendFirst = false } = wish;
  return new Promise(resolve => {
    const startedMs = performance.now();
    const answers: Answer[] = [];
    let rest = '';
    const address = { port, host: '127.0.0.1', ...(from ? { localAddress: from } : {}) };
    const socket: Socket = connect({ ...address, allowHalfOpen: true });
    const timer = setTimeout(() => finish('open'), deadlineMs);
    const finish = (end: Heard['end']): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ answers, rest, end, ms: performance.now() - startedMs });
    };
    const sent = (): void => void (sendFirst && socket.resume());
    socket.on('connect', () => void (halfClose ? socket.end(bytes, sent) : socket.write(bytes, sent)));
    socket.on('data', chunk => {
      const parsed = parseAnswers(rest + chunk.toString('latin1'), head);
      answers.push(...parsed.answers);
      rest = parsed.rest;
      if (answers.length >= until) finish('open');
    });
    if (sendFirst) socket.pause();
    socket.on('end', () => finish('closed'));
    socket.on('error', () => finish('reset'));
    socket.on('close', () => finish('closed'));
  });
}

function parseAnswers(heard: string, head: boolean): { answers: Answer[]; rest: string } {
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

/** The status and the body of one answer, on a connection of its own. */
export async function ask(port: number, path: string): Promise<{ status: number | undefined; body: string }> {
  const bytes = `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;
  const { answers: [answer] } = await talk({ port, bytes, deadlineMs: 20_000 });
  return { status: answer?.status, body: answer?.body ?? '' };
}
