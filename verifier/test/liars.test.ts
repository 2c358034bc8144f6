// verify against services that speak HTTP badly, or not to everybody: red at `alive`, one lie each.
import type { Lie, Reply } from './honest.ts';
import { at, headed, judgeLiars, sent, without, worded } from './lies.ts';
import type { Liar } from './lies.ts';

const html: Reply = { status: 200, headers: { 'content-type': 'text/html' }, body: '<h1>It works!</h1>' };
const alive = (sight: RegExp, lie: Lie): Liar => ({ rung: 'alive', sight, lie });
const always = (change: (reply: Reply) => Reply): Lie => reply => change(reply);
const cached: { [path: string]: Reply } = {};

judgeLiars({
  'hangs up without an answer': alive(/saw accepted_then_closed after \d+ ms/, at('/health', () => 'cut')),
  'resets without an answer': alive(/saw reset \(ECONNRESET\)/, at('/health', () => 'reset')),
  'answers nothing': alive(/saw silent after \d+ ms/, at('/health', () => 'silence')),
  'answers nothing at every second time': alive(/saw 500 after \d+ ms on connection \d/,
    at('/health', (reply, { count }) =>
    count % 2 === 0 ? { ...reply, status: 500 } : reply)),
  'is not alive without its database': {
    rung: 'alive', unready: true, sight: /saw 503/, lie: at('/health', reply => ({ ...reply, status: 503 })),
  },
  'answers 500': alive(/saw 500/, at('/health', reply => ({ ...reply, status: 500 }))),
  'redirects': alive(/saw 302 to \/ready/,
    at('/health', reply => headed({ ...reply, status: 302 }, { location: '/ready' }))),
  'shows a page': alive(/saw 200 but its type is text\/html/,
    at('/health', reply => headed({ ...html }, reply.headers && {
    'x-request-id': reply.headers['x-request-id'] ?? '',
  }))),
  'calls a page JSON': alive(/its body is no JSON/, at('/health', reply => ({ ...reply, body: html.body }))),
  'sends JSON as text': alive(/its type is text\/plain/, at('/health', reply =>
    headed(reply, { 'content-type': 'text/plain' }))),
  'sends half a body': alive(/saw malformed \(half a body\)/, at('/health', reply =>
    headed(reply, { 'content-length': '900' }))),
  'sends another body': alive(/status is "ok", not "alive"/, at('/health', worded('alive', 'ok'))),

  'sends a second answer': alive(/bytes behind the answer/, sent('/health', bytes => bytes + bytes)),
  'sends bytes behind its answer': alive(/bytes behind the answer/, sent('/health', bytes => `${bytes}\r\n`)),
  'speaks HTTP/1.0': alive(/malformed \(HTTP\/1\.0\)/, sent('/health', bytes => bytes.replace('1.1', '1.0'))),
  'sends chunks without an end': alive(/malformed \(half a body\)/, sent('/health', bytes => bytes
    .replace(/content-length: \d+/, 'transfer-encoding: chunked').replace('{', '12\r\n{'))),
  'ends its body with the connection': alive(/neither content-length nor chunks/, sent('/health', bytes =>
    bytes.replace(/content-length: \d+\r\n/, ''))),
  'tells two lengths': alive(/content-length stands twice/, sent('/health', bytes =>
    bytes.replace(/(content-length: \d+\r\n)/, '$1$1'))),
  'tells two types': alive(/content-type stands twice/, sent('/health', bytes =>
    bytes.replace('\r\n', '\r\ncontent-type: text/html\r\n'))),
  'says its status twice': alive(/its body has "status" twice/, at('/health', worded('{', '{"status":"dead",'))),
  'sends what is no UTF-8': alive(/a body that is no UTF-8/, sent('/health', bytes =>
    Buffer.from(bytes.replace('alive', 'aliv\xe9'), 'latin1'))),
  'begins with a BOM': alive(/a body with a BOM/, at('/health', worded('{', '\ufeff{'))),

  'sends a body for HEAD': alive(/HEAD .*bytes behind the answer/, (reply, { method, path }) =>
    method === 'HEAD' && path === '/health' ? { bytes: `HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}` } : reply),
  'tells another length for HEAD': alive(/HEAD \/health as GET: .*content-length 1$/,
    at('/health', (reply, { method }) =>
    method === 'HEAD' ? headed(reply, { 'content-length': '1' }) : reply)),
  'tells another type for HEAD': alive(/HEAD .*content-type text\/html/, (reply, { method }) =>
    method === 'HEAD' ? headed(reply, { 'content-type': 'text/html' }) : reply),
  'has no HEAD': alive(/HEAD .*saw 405/, (reply, { method }) => method === 'HEAD' ? { ...reply, status: 405 } : reply),
  'serves curl only': alive(/saw 403/,
    (reply, { agent }) => agent.startsWith('curl') ? reply : { ...reply, status: 403 }),
  'serves nobody without a name': alive(/saw 403 after \d+ ms for no user agent/, (reply, { agent }) =>
    agent === '' ? { ...reply, status: 403 } : reply),
  'serves no fetch': alive(/wanted 200 for fetch, saw 403/, (reply, { agent }) =>
    /node|undici/.test(agent) ? { ...reply, status: 403 } : reply),
  'closes a connection that it keeps': alive(/on one connection, saw 200, accepted_then_closed/,
    sent('/health', bytes =>
    bytes.replace('connection: close', 'connection: keep-alive'))),
  'serves the first request of a connection only': alive(/on one connection, saw 200, 400/, (() => {
    const served = new Set<number>();
    return (reply, { connection }) => {
      if (served.has(connection)) return { ...reply, status: 400 };
      served.add(connection);
      return reply;
    };
  })()),
  'gives no request id': alive(/X-Request-Id is missing/, always(reply => without(reply, 'x-request-id'))),
  'gives the same request id to all': alive(/X-Request-Id same was another answer's/, always(reply =>
    headed(reply, { 'x-request-id': 'same' }))),
  'answers from a cache': alive(/X-Request-Id .* was another answer's/, (reply, { method, path }) =>
    method === 'GET' ? cached[path] ??= reply : reply),
  'gives the caller another request id': alive(/wanted the caller's request id/, (reply, { id }) =>
    id === undefined ? reply : headed(reply, { 'x-request-id': `other-${id}` })),
  'lives in 1970': alive(/its Date Thu, 01 Jan 1970/, always(reply =>
    headed(reply, { date: 'Thu, 01 Jan 1970 00:00:00 GMT' }))),
  'writes its Date otherwise': alive(/its Date is "2026-/,
    always(reply => headed(reply, { date: '2026-01-02T03:04:05Z' }))),
  'keeps an old Date': {
    rung: 'alive', slow: true, sight: /wanted a Date later than/,
    lie: always((date => reply => headed(reply, { date }))(new Date().toUTCString())),
  },
});
