// Strict checks of a request's head before anything looks at what it asks for. Values in, values or a Problem out.
import { isIPv6 } from 'node:net';
import { Problem } from './problem.ts';

export type Head = { version: string; method: string; target: string; rawHeaders: string[] };
/** What the parser gives up with. */
export type ParseError = { code?: string; rawPacket?: Buffer };
export type Checked = { path: string; query: string; hasBody: boolean };

const maxHeaders = 64;
const maxTargetBytes = 8192;
const watched = new Set(['host', 'content-length', 'transfer-encoding', 'content-type', 'expect']);
const bodyless = new Set(['GET', 'HEAD', 'OPTIONS']);
// Trailers that would change what the head has said, were anyone to believe them.
const headOnly = /^(host|content-.*|transfer-encoding|trailer|te|connection|expect|authorization|cookie|idempotency-key|x-request-id)$/;

/** The order matters: what makes the framing doubtful comes before what the request means. */
export function checkHead(head: Head, maxBodyBytes: number): Checked {
  if (head.version !== '1.1' && head.version !== '1.0') throw new Problem('http_version_not_supported', 'speak HTTP/1.1 or HTTP/1.0');
  const values = gatherHeaders(head.rawHeaders);
  const host = checkHost(values.get('host') ?? [], head.version);
  const hasBody = checkFraming(values, head.version);
  if ((values.get('content-type') ?? []).length > 1) throw bad('more than one Content-Type');
  const { path, query } = checkTarget(head, host);
  if (head.method === 'TRACE' || head.method === 'CONNECT') throw new Problem('not_implemented', `${head.method} is not implemented`);
  checkExpectation(values.get('expect') ?? [], head.version);
  if (hasBody && bodyless.has(head.method)) throw bad(`${head.method} takes no body`);
  if (Number(values.get('content-length')?.[0] ?? 0) > maxBodyBytes) throw tooLarge(maxBodyBytes);
  return { path, query, hasBody };
}

export function checkTrailers(rawTrailers: string[]): void {
  const found = rawTrailers.find((name, at) => at % 2 === 0 && headOnly.test(name.toLowerCase()));
  if (found !== undefined) throw bad('a trailer names what belongs into the head');
}

/** What to tell a caller whose bytes never became a request. */
export function explainUnreadable({ code, rawPacket }: ParseError): Problem {
  if (code === 'HPE_HEADER_OVERFLOW') return new Problem('headers_too_large', 'a head has at most 16384 bytes');
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new Problem('request_timeout', 'the request did not arrive in time');
  // The parser calls any broken end of the first line a version.
  const said = code === 'HPE_INVALID_VERSION' && / HTTP\/\d\.\d\r\n/.test(rawPacket?.toString('latin1') ?? '');
  return said ? new Problem('http_version_not_supported', 'speak HTTP/1.1 or HTTP/1.0') : bad('this is not HTTP/1.1');
}

export function tooLarge(maxBodyBytes: number): Problem {
  return new Problem('payload_too_large', `a body has at most ${maxBodyBytes} bytes`);
}

function bad(detail: string): Problem {
  return new Problem('bad_request', detail);
}

function gatherHeaders(raw: string[]): Map<string, string[]> {
  // Node 20 silently drops headers past its own limit, so they are counted here.
  if (raw.length / 2 > maxHeaders) throw new Problem('headers_too_large', `a request has at most ${maxHeaders} headers`);
  const values = new Map<string, string[]>();
  for (let at = 0; at < raw.length; at += 2) {
    const name = (raw[at] ?? '').toLowerCase();
    // Gateways that write headers into environment variables read a_b and a-b as one.
    if (name.includes('_')) throw bad('a header name has an underscore');
    if (!watched.has(name)) continue;
    const value = raw[at + 1] ?? '';
    const earlier = values.get(name);
    if (earlier) earlier.push(value);
    else values.set(name, [value]);
  }
  return values;
}

function checkHost(hosts: string[], version: string): string | null {
  const [host] = hosts;
  if (host === undefined && version === '1.0') return null;
  if (host === undefined || hosts.length > 1) throw bad('exactly one Host is needed');
  const parts = /^(?:\[([0-9A-Fa-f:.]+)\]|[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}))(?::(\d{1,5}))?$/.exec(host);
  if (!parts || (parts[1] !== undefined && !isIPv6(parts[1])) || Number(parts[2] ?? 0) > 65_535) throw bad('Host is not valid');
  return host;
}

function checkFraming(values: Map<string, string[]>, version: string): boolean {
  const lengths = values.get('content-length') ?? [];
  const codings = values.get('transfer-encoding') ?? [];
  if (lengths.length > 1 || lengths.some(length => !/^(0|[1-9]\d{0,14})$/.test(length))) throw bad('Content-Length is not valid');
  if (codings.length > 1 || codings.some(coding => coding.toLowerCase() !== 'chunked')) throw bad('Transfer-Encoding must be chunked');
  if (codings.length > 0 && (version === '1.0' || lengths.length > 0)) throw bad('Transfer-Encoding does not belong here');
  return codings.length > 0 || Number(lengths[0] ?? 0) > 0;
}

function checkTarget({ target, method }: Head, host: string | null): { path: string; query: string } {
  if (target.length > maxTargetBytes) throw new Problem('uri_too_long', `a target has at most ${maxTargetBytes} bytes`);
  if (target === '*' && method === 'OPTIONS') return { path: '*', query: '' };
  const absolute = /^http:\/\/([^/?]*)(.*)$/i.exec(target);
  if (absolute && host !== null && absolute[1]?.toLowerCase() !== host.toLowerCase()) throw bad('target and Host differ');
  const origin = absolute ? (absolute[2] ?? '').replace(/^(?!\/)/, '/') : target;
  if (!/^\/[\x21\x22\x24-\x5b\x5d-\x7e]*$/.test(origin) || /%(00|0a|0d)/i.test(origin)) throw bad('target is not valid');
  if (!decodes(origin)) throw bad('percent-encoding is not valid');
  const mark = origin.indexOf('?');
  return mark < 0 ? { path: origin, query: '' } : { path: origin.slice(0, mark), query: origin.slice(mark + 1) };
}

function decodes(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

function checkExpectation(expectations: string[], version: string): void {
  if (version === '1.0' || expectations.length === 0) return;
  if (expectations.length > 1 || expectations[0]?.toLowerCase() !== '100-continue') {
    throw new Problem('expectation_failed', 'the only expectation known here is 100-continue');
  }
}
