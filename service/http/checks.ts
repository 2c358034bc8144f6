// Strict checks of a request's head before anything looks at what it asks for. Values in, values or a Problem out.
import type { IncomingMessage } from 'node:http';
import { isIPv6 } from 'node:net';
import { Problem } from './problem.ts';

export type Head = Pick<IncomingMessage, 'httpVersion' | 'method' | 'url' | 'headers' | 'rawHeaders'>;
/** What the parser gives up with. bytesParsed: where in the packet. */
export type ParseError = { code?: string; rawPacket?: Buffer; bytesParsed?: number };
export type Checked = { path: string; query: string; hasBody: boolean };

const maxHeaders = 64;
const maxTargetBytes = 8192;
// The headers that may be there once, by the length of their names.
const single: Record<number, string> = { 4: 'host', 12: 'content-type', 14: 'content-length', 17: 'transfer-encoding' };
const bodyless = new Set(['GET', 'HEAD', 'OPTIONS']);
// RFC 3986 §3.2: an IPv6 address, an address of the future, or a name; then perhaps a port, which may be empty.
const address = String.raw`\[(?:([\dA-Fa-f:.]+)|v[\dA-Fa-f]+\.[\w.~!$&'()*+,;=:-]+)\]`;
const encoded = String.raw`%(?:[2-689A-Fa-f][\dA-Fa-f]|7[\dA-Ea-e])`;
const authority = new RegExp(String.raw`^(?:${address}|(?!-)(?:[\w.~!$&'()*+,;=-]|${encoded}){1,255})(?::(\d{0,5}))?$`);
// Trailers that would change what the head has said, were anyone to believe them.
const headOnly = new RegExp('^(host|content-.*|transfer-encoding|trailer|te|connection|expect|authorization|cookie'
  + '|idempotency-key|x-request-id)$', 'i');

/** The order matters: what makes the framing doubtful comes before what the request means. */
export function checkHead(head: Head, maxBodyBytes: number): Checked {
  const { httpVersion, method = '', headers } = head;
  if (httpVersion !== '1.1' && httpVersion !== '1.0') throw wrongVersion();
  checkNames(head.rawHeaders);
  checkHost(headers.host, httpVersion);
  const hasBody = checkFraming(head);
  const { path, query } = checkTarget(head);
  if (method === 'TRACE' || method === 'CONNECT') throw notImplemented(method);
  if (headers.expect !== undefined && httpVersion !== '1.0' && headers.expect.toLowerCase() !== '100-continue') {
    throw new Problem('expectation_failed', 'the only expectation known here is 100-continue');
  }
  if (hasBody && bodyless.has(method)) throw bad(`${method} takes no body`);
  if (Number(headers['content-length'] ?? 0) > maxBodyBytes) throw tooLarge(maxBodyBytes);
  return { path, query, hasBody };
}

export function checkTrailers(rawTrailers: string[]): void {
  const found = rawTrailers.some((name, at) => at % 2 === 0 && headOnly.test(name));
  if (found) throw bad('a trailer names what belongs into the head');
}

/** What to tell a caller whose bytes never became a request. */
export function explainUnreadable({ code, rawPacket, bytesParsed = 0 }: ParseError): Problem {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new Problem('request_timeout', 'the request did not arrive in time');
  const packet = rawPacket?.toString('latin1') ?? '';
  if (code === 'HPE_HEADER_OVERFLOW') {
    // Which of the two was too long can be seen while the head is in one packet.
    return /(?:^|\n)[A-Z]+ [!-~]{8193}/.test(packet) ? targetTooLong() : headTooLarge('16384 bytes');
  }
  const [line = ''] = packet.slice(packet.lastIndexOf('\n', bytesParsed - 1) + 1).split('\r\n', 1);
  const method = /^([\w!#$%&'*+.^`|~-]{1,32}) [!-~]+ HTTP\/1\.[01]$/.exec(line)?.[1];
  if (code === 'HPE_INVALID_METHOD' && method !== undefined) return notImplemented(method);
  // The parser calls any broken end of the first line a version.
  if (code === 'HPE_INVALID_VERSION' && / HTTP\/\d\.\d\r\n/.test(packet)) return wrongVersion();
  return bad('this is not HTTP/1.1');
}

export function notImplemented(method: string): Problem {
  return new Problem('not_implemented', `${method} is not implemented`);
}

export function tooLarge(maxBodyBytes: number): Problem {
  return new Problem('payload_too_large', `a body has at most ${maxBodyBytes} bytes`);
}

function wrongVersion(): Problem {
  return new Problem('http_version_not_supported', 'speak HTTP/1.1 or HTTP/1.0');
}

function targetTooLong(): Problem {
  return new Problem('uri_too_long', `a target has at most ${maxTargetBytes} bytes`);
}

function headTooLarge(most: string): Problem {
  return new Problem('headers_too_large', `a head has at most ${most}`);
}

function bad(detail: string): Problem {
  return new Problem('bad_request', detail);
}

function checkNames(raw: string[]): void {
  // Node 20 silently drops headers past its own limit, so they are counted here.
  if (raw.length / 2 > maxHeaders) throw headTooLarge(`${maxHeaders} headers`);
  let seen = 0;
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at] ?? '';
    // Gateways that write headers into environment variables read a_b and a-b as one.
    if (name.includes('_')) throw bad('a header name has an underscore');
    if (single[name.length] === undefined || single[name.length] !== name.toLowerCase()) continue;
    if (seen & (1 << name.length)) throw bad(`more than one ${name}`);
    seen |= 1 << name.length;
  }
}

// The last one that was valid: nearly all callers of a service name the same.
let knownHost = 'localhost';

function checkHost(host: string | undefined, version: string): void {
  if (host === undefined && version === '1.1') throw bad('a Host is needed');
  if (host === undefined || host === knownHost) return;
  if (!isAuthority(host)) throw bad('Host is not valid');
  knownHost = host;
}

function isAuthority(text: string): boolean {
  const parts = authority.exec(text);
  return parts !== null && (parts[1] === undefined || isIPv6(parts[1])) && Number(parts[2] ?? 0) <= 65_535;
}

function checkFraming({ headers, httpVersion }: Head): boolean {
  const { 'content-length': length, 'transfer-encoding': coding } = headers;
  if (length !== undefined && !/^(0|[1-9]\d{0,14})$/.test(length)) throw bad('Content-Length is not valid');
  if (coding === undefined) return Number(length ?? 0) > 0;
  if (coding.toLowerCase() !== 'chunked') throw bad('Transfer-Encoding must be chunked');
  if (httpVersion === '1.0' || length !== undefined) throw bad('Transfer-Encoding does not belong here');
  return true;
}

function checkTarget({ url = '', method, headers }: Head): { path: string; query: string } {
  if (url.length > maxTargetBytes) throw targetTooLong();
  if (url === '*' && method === 'OPTIONS') return { path: '*', query: '' };
  const origin = url.startsWith('/') ? url : originOf(url, headers.host);
  if (!/^\/[\x21\x22\x24-\x5b\x5d-\x7e]*$/.test(origin)) throw bad('target is not valid');
  if (origin.includes('%')) checkEncoding(origin);
  const mark = origin.indexOf('?');
  return mark < 0 ? { path: origin, query: '' } : { path: origin.slice(0, mark), query: origin.slice(mark + 1) };
}

function originOf(url: string, host: string | undefined): string {
  const [, named = '', rest = ''] = /^http:\/\/([^/?]*)(.*)$/i.exec(url) ?? [];
  if (!isAuthority(named)) throw bad('target is not valid');
  if (host !== undefined && named.toLowerCase() !== host.toLowerCase()) throw bad('target and Host differ');
  return rest.startsWith('/') ? rest : `/${rest}`;
}

function checkEncoding(target: string): void {
  if (/%(00|0a|0d)/i.test(target)) throw bad('target is not valid');
  try {
    decodeURIComponent(target);
  } catch {
    throw bad('percent-encoding is not valid');
  }
}
