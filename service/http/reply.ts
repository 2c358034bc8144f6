// What goes in and out between the HTTP layer and whatever stands behind it: plain values.
import type { IncomingHttpHeaders } from 'node:http';

export type Request = {
  id: string;
  method: string;
  path: string;
  query: string;
  headers: IncomingHttpHeaders;
  body: Buffer;
  /** Whether this caller is gone for good: closed or reset. Who only ended his side still waits for the answer. */
  left: () => boolean;
};
export type Note = { code?: string; reason?: string; orderId?: string; error?: unknown };
export type Reply = {
  status: number;
  headers?: Record<string, string>;
  /** JSON, made already or not, unless headers say otherwise. */
  body?: object | string;
  /** The template that matched. */
  route?: string;
  /** For the log, never sent. */
  note?: Note;
};
export type Handler = (request: Request) => Reply | Promise<Reply>;
export type Answered = { requestId: string; method: string; route: string; status: number; ms: number; note: Note };
export type Rendered = { text: string; headers: Record<string, string | number> };

/** A handler whose answer is always the same, and made once. */
export function always(body: object): () => Reply {
  const reply: Reply = { status: 200, body: JSON.stringify(body) };
  return () => reply;
}

export function renderReply({ status, headers: own, body = '' }: Reply, id: string, close: boolean): Rendered {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const headers: Rendered['headers'] = {
    'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff', 'X-Request-Id': id,
    ...(status === 204 ? {} : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) }),
  };
  if (close) headers['Connection'] = 'close';
  for (const name in own) headers[name] = own[name] ?? '';
  return { text, headers };
}

/** An answer for a connection whose request could not be read, so that no response object exists. */
export function writeRaw(status: number, phrase: string, { text, headers }: Rendered): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${phrase}\r\nDate: ${new Date().toUTCString()}\r\n${lines.join('')}\r\n${text}`;
}
