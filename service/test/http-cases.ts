// Requests as bytes, right and wrong ones, and what each must get. For the real routes; an echo takes what they take.
export type Case = {
  name: string; bytes: string | Buffer; want: number[]; close: boolean; halfClose?: true; head?: true;
};

const order = '/order?symbol=BTC&side=buy&qty=1';
const json = '{"symbol":"BTC","side":"buy","qty":1}';
const typed = 'Content-Type: application/json';

export function get(target: string, ...headers: string[]): string {
  return ['GET ' + target + ' HTTP/1.1', 'Host: a', ...headers, '', ''].join('\r\n');
}

export function post(headers: string[], body = '', target = '/order'): string {
  return [`POST ${target} HTTP/1.1`, 'Host: a', typed, ...headers, '', body].join('\r\n');
}

function chunks(...parts: string[]): string {
  return post(['Transfer-Encoding: chunked'], parts.join('\r\n') + '\r\n');
}

const size = json.length.toString(16);
const whole = `${size}\r\n${json}`;
const inChunks = `${whole}\r\n0\r\n\r\n`;
const closing = (status: number, list: [string, string | Buffer][]): Case[] =>
  list.map(([name, bytes]) => ({ name, bytes, want: [status], close: true }));
const accept = (list: [string, string, ...number[]][]): Case[] =>
  list.map(([name, bytes, ...real]) => ({ name, bytes, want: [200, ...real], close: false }));

const hidden = `0\r\n\r\n${get('/health')}`;
const framing = closing(400, [
  ['Content-Length before Transfer-Encoding', post(['Content-Length: 4', 'Transfer-Encoding: chunked'], hidden)],
  ['Transfer-Encoding before Content-Length', post(['Transfer-Encoding: chunked', 'Content-Length: 60'], hidden)],
  ['two different Content-Lengths', post(['Content-Length: 4', 'Content-Length: 5'], 'abcde')],
  ['two equal Content-Lengths', post(['Content-Length: 4', 'Content-Length: 4'], 'abcd')],
  ...[
    '4, 4', '+4', '-1', '0x4', '4;', '4.0', '1e1', '005', '00', '', '4 4', '99999999999999999999', '\u00b2',
  ].map((value): [string, Buffer] =>
    [`Content-Length "${value}"`, Buffer.from(post([`Content-Length: ${value}`], 'abcd' + get('/health')), 'latin1')]),
  ...[
    'gzip', 'chunked, chunked', 'gzip, chunked', 'chunked, gzip', 'identity', 'xchunked', 'chunked;q=1', '"chunked"',
    '',
  ].map((value): [string, string] =>
    [`Transfer-Encoding "${value}"`, post([`Transfer-Encoding: ${value}`], inChunks)]),
  ['two Transfer-Encodings', post(['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], inChunks)],
  ['chunked on HTTP/1.0', post(['Transfer-Encoding: chunked'], inChunks).replace('HTTP/1.1', 'HTTP/1.0')],
  ['space before the colon', post(['Content-Length : 4'], 'abcd')],
  ['folded header', get('/health', 'X-A: 1', ' 2')],
  ['space before the first header', 'GET /health HTTP/1.1\r\n Host: a\r\n\r\n'],
  ['bare CR in a header', get('/health', 'X-A: 1\rX-B: 2')],
  ['bare LF as line end', 'GET /health HTTP/1.1\nHost: a\n\n'],
  ['NUL in a header', get('/health', 'X-A: 1\0')],
  ['header without a colon', get('/health', 'nonsense')],
  ['header without a name', get('/health', ': 1')],
  ['header name with a space', get('/health', 'X A: 1')],
  ['header name with an underscore', get('/health', 'Content_Length: 4')],
  ['two Content-Types', post(['Content-Type: text/plain', `Content-Length: ${json.length}`], json)],
  ['chunk size that is no number', chunks('zz', 'abcd', '0', '')],
  ['negative chunk size', chunks('-4', 'abcd', '0', '')],
  ['chunk size with 0x', chunks('0x4', 'abcd', '0', '')],
  ['chunk size beyond 64 bits', chunks('fffffffffffffffff', 'abcd', '0', '')],
  ['chunk longer than its size', chunks('2', 'abcd', '0', '')],
  ['chunk without its line end', post(['Transfer-Encoding: chunked'], '4\r\nabcd0\r\n\r\n')],
  ['chunk size ended by a bare LF', post(['Transfer-Encoding: chunked'], `${size}\n${json}\r\n0\r\n\r\n`)],
  ...[
    'Host: b', 'Content-Length: 4', 'Transfer-Encoding: chunked', 'Authorization: x', 'Content-Type: text/html',
    'Idempotency-Key: k',
  ].map((trailer): [string, string] =>
    [`trailer ${trailer}`, chunks(whole, '0', trailer, '')]),
  ['GET with a body', get('/health', 'Content-Length: 4') + 'abcd'],
  ['GET with a chunked body', get('/health', 'Transfer-Encoding: chunked') + '4\r\nabcd\r\n0\r\n\r\n'],
  ['OPTIONS with a body', get('/order', 'Content-Length: 4').replace('GET', 'OPTIONS') + 'abcd'],
]);

const hosts = closing(400, [
  ['no Host', 'GET /health HTTP/1.1\r\n\r\n'],
  ['two Hosts', get('/health', 'Host: a')],
  ['two Hosts, and another request behind', get('/health', 'Host: a') + get('/health')],
  ['two Hosts on HTTP/1.0', get('/health', 'Host: a').replace('HTTP/1.1', 'HTTP/1.0')],
  ...[
    '', 'u@a', 'a/b', 'a, b', 'a b', 'a:99999', 'a:b', ':80', '[::zz]', '[::1', '[v.a]', '::1', '-a', 'a?b', 'a#b',
    'a\\b', 'a%00', 'a%7f', 'a%4', 'a"b', 'http://a',
  ].map((host): [string, string] =>
    [`Host "${host}"`, `GET /health HTTP/1.1\r\nHost: ${host}\r\n\r\n`]),
]);

const rareHosts = accept([
  'a:', '[v1.a]:8000', '_svc.example', 'a!$&\'()*+,;=~', 'a%20b', '[::ffff:1.2.3.4]', 'a.',
].map((host): [string, string] =>
  [`Host "${host}"`, `GET /health HTTP/1.1\r\nHost: ${host}\r\n\r\n`]));

const targets = [
  ...closing(400, [
    ...[
      '/%', '/%zz', '/%ff', '/%c0%af', '/health?b=%', '/health?b=%f', '/%00', '/health%0d%0aX:1', '/health?a=%0a',
      '/a\\b', '/health#top', '*', 'health', 'https://a/health', 'http://b/health', 'http:///health', 'ftp://a/',
      '/a b', '/a\tb', '/\x7f', 'a:80',
    ].map((target): [string, string] => [`target ${JSON.stringify(target)}`, get(target)]),
    ['empty target', 'GET  HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['target outside ASCII', Buffer.from(get('/\u00e9'), 'latin1')],
    ['only a method', 'GET\r\n\r\n'],
    ['absolute target with a user on HTTP/1.0', 'GET http://u@a/health HTTP/1.0\r\n\r\n'],
    ['absolute target with a wrong port on HTTP/1.0', 'GET http://a:99999/health HTTP/1.0\r\n\r\n'],
  ]),
  ...accept([
    ['plain target', get('/health')],
    ['target with a query', get('/health?x=1&y')],
    ['absolute target', get('http://a/health')],
    ['absolute target, upper case', get('HTTP://A/health')],
    ['absolute target without a Host', 'GET http://a/health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n'],
    ['absolute target without a path', get('http://a'), 404],
    ['two slashes', get('//'), 404],
    ['three slashes', get('///'), 404],
    ['two slashes and a bracket', get('//[::1'), 404],
    ['dots', get('/../health'), 404],
    ['encoded slash', get('/orders/a%2fb'), 404],
    ['target of 8192 bytes', get('/health?' + 'a'.repeat(8184))],
    ['OPTIONS for a path', get('/order').replace('GET', 'OPTIONS'), 204],
    ['OPTIONS for everything', get('*').replace('GET', 'OPTIONS'), 204],
  ]),
  ...closing(414, [8193, 15_000, 20_000, 60_000].map((bytes): [string, string] =>
    [`target of ${bytes} bytes`, get('/health?'.padEnd(bytes, 'a'))])),
];

const methods = [
  ...closing(501, [
    ['TRACE', get('/health').replace('GET', 'TRACE')],
    ['CONNECT', 'CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n'],
  ]),
  ...closing(501, ['get', 'FOO', 'GETS', 'G', 'x-y.z'].map((method): [string, string] =>
    [`method ${method}`, get('/health').replace('GET', method)])),
  ...closing(400, [
    ['method with a bracket', get('/health').replace('GET', 'F[O')],
    ['unknown method, target with a space', get('/a b').replace('GET', 'FOO')],
    ['unknown method, no version', 'FOO /health\r\nHost: a\r\n\r\n'],
    ['no method', ' /health HTTP/1.1\r\nHost: a\r\n\r\n'],
  ]),
  ...accept(['PATCH', 'PUT', 'DELETE', 'PROPFIND', 'POST'].map(method =>
    [`${method} where GET is`, get('/health').replace('GET', method), 405])),
  { name: 'HEAD', bytes: get('/health').replace('GET', 'HEAD'), want: [200], close: false, head: true as const },
  {
    name: 'HEAD with a body', bytes: get('/health', 'Content-Length: 4').replace('GET', 'HEAD') + 'abcd',
    want: [400], close: true, head: true as const,
  },
];

const versions = [
  ...closing(505, [
    ['HTTP/0.9', 'GET /\r\n\r\n'], ['HTTP/2.0', get('/health').replace('HTTP/1.1', 'HTTP/2.0')],
    ['HTTP/1.2', get('/health').replace('HTTP/1.1', 'HTTP/1.2')],
  ]),
  ...closing(400, [
    ['HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['HTTP/1', get('/health').replace('HTTP/1.1', 'HTTP/1')],
    ['http/1.1', get('/health').replace('HTTP/1.1', 'http/1.1')],
    ['TLS hello', Buffer.from('16030100c8010000c40303', 'hex')], ['SOCKS5 hello', Buffer.from('050100', 'hex')],
    ['zeros', Buffer.alloc(64)], ['words', 'hello there\r\n\r\n'],
  ]),
];

const limitCases = [
  ...accept([
    ['64 headers', get('/health', ...Array.from({ length: 63 }, (_, at) => `X-${at}: 1`))],
    ['body as long as allowed', post([`Content-Length: ${16_384}`], json.padEnd(16_384)), 201],
    ['Content-Length 0', get('/health', 'Content-Length: 0')],
    ['Content-Length with space around', post([`Content-Length:   ${json.length}  `], json), 201],
    ['chunked body', chunks(whole, '0', ''), 201],
    ['chunked body, upper case', post(['Transfer-Encoding: CHUNKED'], `${whole}\r\n0\r\n\r\n`), 201],
    ['chunk with an extension', post(['Transfer-Encoding: chunked'], `${size};a=b\r\n${json}\r\n0\r\n\r\n`), 201],
    ['harmless trailer', chunks(whole, '0', 'X-Sum: 1', ''), 201],
    ['order in the query', post(['Content-Length: 0'], '', order), 201],
    ['HTTP/1.0 without Host', 'GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n'],
    ['Host with a port', get('/health').replace('Host: a', 'Host: a:8000')],
    ['Host in brackets', get('/health').replace('Host: a', 'Host: [::1]:8000')],
    ['empty lines before the request', `\r\n\r\n${get('/health')}`],
    ['unknown expectation on HTTP/1.0', 'GET /health HTTP/1.0\r\nConnection: keep-alive\r\nExpect: magic\r\n\r\n'],
  ]),
  ...closing(200, [
    ['upgrade nobody here knows', get('/health', 'Connection: Upgrade', 'Upgrade: websocket')],
    ['expectation without a body', get('/health', 'Expect: 100-continue')],
    ['wish to close', get('/health', 'Connection: close')],
    ['HTTP/1.0 that does not wish to stay', 'GET /health HTTP/1.0\r\n\r\n'],
  ]),
  ...closing(431, [
    ['65 headers', get('/health', ...Array.from({ length: 64 }, (_, at) => `X-${at}: 1`))],
    ['3000 headers', get('/health', ...Array.from({ length: 3000 }, () => 'a:1'))],
    ['header of 17000 bytes', get('/health', `X-A: ${'a'.repeat(17_000)}`)],
  ]),
  ...closing(413, [
    ['Content-Length past the limit', post([`Content-Length: ${16_385}`], 'a'.repeat(16_385))],
    ['Content-Length far past the limit', post(['Content-Length: 20000000'], 'a'.repeat(100_000))],
    ['chunks past the limit', post(['Transfer-Encoding: chunked'], `4001\r\n${'a'.repeat(16_385)}\r\n0\r\n\r\n`)],
    ['expectation with too much to come', post(['Content-Length: 16385', 'Expect: 100-continue'])],
  ]),
  ...closing(417, [
    ['unknown expectation', get('/health', 'Expect: magic')],
    ['expectation and more', post(['Content-Length: 4', 'Expect: 100-continue, magic'])],
  ]),
];

const halves: Case[] = [
  ['half a request line', 'GET /hea'], ['half a head', 'GET /health HTTP/1.1\r\nHost: a\r\n'],
  ['half a body', post(['Content-Length: 60'], json)],
  ['last chunk missing', post(['Transfer-Encoding: chunked'], `${whole}\r\n`)],
].map(([name = '', bytes = '']) => (
  { name: `${name}, then the end`, bytes, want: [400], close: true, halfClose: true as const }
));

export const cases: Case[] = [
  ...framing, ...hosts, ...rareHosts, ...targets, ...methods, ...versions, ...limitCases, ...halves,
];
