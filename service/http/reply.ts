// What goes in and out between the HTTP layer and whatever stands behind it: plain values.
import type { IncomingHttpHeaders } from 'node:http';

export type Request = { id: string; method: string; path: string; query: string; headers: IncomingHttpHeaders; body: Buffer };
export type Note = { code?: string; reason?: string; orderId?: string; error?: unknown };
/** body: an object is sent as JSON. route: the template that matched. note: for the log, never sent. */
export type Reply = { status: number; headers?: Record<string, string>; body?: object | string; route?: string; note?: Note };
export type Handler = (request: Request) => Reply | Promise<Reply>;
export type Answered = { requestId: string; method: string; route: string; status: number; ms: number; note: Note };
export type Rendered = { text: string; headers: Record<string, string> };

export function renderReply(reply: Reply, id: string, close: boolean): Rendered {
  const { body = '' } = reply;
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const headers: Record<string, string> = { 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff', 'X-Request-Id': id };
  if (typeof body !== 'string') headers['Content-Type'] = 'application/json';
  if (reply.status !== 204) headers['Content-Length'] = String(Buffer.byteLength(text));
  if (close) headers['Connection'] = 'close';
  return { text, headers: reply.headers ? Object.assign(headers, reply.headers) : headers };
}

/** An answer for a connection whose request could not be read, so that no response object exists. */
export function writeRaw(status: number, reason: string, { text, headers }: Rendered): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${reason}\r\nDate: ${new Date().toUTCString()}\r\n${lines.join('')}\r\n${text}`;
}
