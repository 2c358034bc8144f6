// The bytes of HTTP answers, read strictly: what an ordinary client forgives is trouble here. A pure function.

export type Answer = { status: number; headers: [name: string, value: string][]; text: string };
/** One whole answer and what stands behind it; or what is missing yet; or why these bytes are none. */
export type Read = { answer: Answer; rest: Buffer } | { missing: 'a head' | 'a body' } | { trouble: string };

const LARGEST_HEAD = 65_536;
const LARGEST_BODY = 1_048_576;
const nothing = Buffer.alloc(0);
/** Two of these contradict each other, even when they are equal. */
const single = [
  'content-length', 'content-type', 'date', 'location', 'retry-after', 'transfer-encoding', 'x-request-id',
];

/** The first answer in these bytes, to a request with this method. */
export function readAnswer(bytes: Buffer, method: string): Read {
  if (!'HTTP/1.1 '.startsWith(bytes.toString('latin1', 0, 9))) {
    const [, version] = /^HTTP\/(\d\.\d) /.exec(bytes.toString('latin1', 0, 16)) ?? [];
    return { trouble: version === undefined ? 'no HTTP' : `HTTP/${version}` };
  }
  const end = bytes.indexOf('\r\n\r\n');
  if (end > LARGEST_HEAD || (end < 0 && bytes.length > LARGEST_HEAD)) return { trouble: 'a head without end' };
  if (end < 0) return { missing: 'a head' };
  const head = readHead(bytes.toString('latin1', 0, end));
  if (typeof head === 'string') return { trouble: head };
  return readBehind(head, bytes.subarray(end + 4), method);
}

type Head = Pick<Answer, 'status' | 'headers'>;

function readHead(text: string): Head | string {
  const [first = '', ...lines] = text.split('\r\n');
  const [, code] = /^HTTP\/1\.1 ([2-5]\d\d) [\t\x20-\x7e\x80-\xff]*$/.exec(first) ?? [];
  if (code === undefined) return `the status line ${JSON.stringify(first.slice(0, 80))}`;
  const headers: Head['headers'] = [];
  for (const line of lines) {
    const [, name, value = ''] = /^([\w!#$%&'*+.^`|~-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/.exec(line) ?? [];
    if (name === undefined) return `the header ${JSON.stringify(line.slice(0, 80))}`;
    headers.push([name.toLowerCase(), value]);
  }
  const names = headers.map(([name]) => name);
  const twice = single.find(name => names.indexOf(name) !== names.lastIndexOf(name));
  if (twice !== undefined) return `${twice} stands twice`;
  if (names.includes('content-length') && names.includes('transfer-encoding')) return 'a length, and chunks as well';
  return { status: Number(code), headers };
}

function readBehind(head: Head, behind: Buffer, method: string): Read {
  const { length, coding } = framing(head);
  if (length !== undefined && !/^\d{1,12}$/.test(length)) return { trouble: `content-length ${length}` };
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') return { trouble: `transfer-encoding ${coding}` };
  if (method === 'HEAD' || head.status === 204 || head.status === 304) return whole(head, nothing, behind);
  if (coding !== undefined) return readChunks(head, behind);
  if (length === undefined) return { trouble: 'neither content-length nor chunks' };
  const size = Number(length);
  if (size > LARGEST_BODY) return tooLarge();
  if (behind.length < size) return { missing: 'a body' };
  return whole(head, behind.subarray(0, size), behind.subarray(size));
}

function framing({ headers }: Head): { length: string | undefined; coding: string | undefined } {
  const valueOf = (wanted: string) => headers.find(([name]) => name === wanted)?.[1];
  return { length: valueOf('content-length'), coding: valueOf('transfer-encoding') };
}

function readChunks(head: Head, behind: Buffer): Read {
  const chunks: Buffer[] = [];
  let [at, total] = [0, 0];
  for (;;) {
    const line = behind.indexOf('\r\n', at);
    if (line < 0) return behind.length - at > 1_024 ? { trouble: 'a chunk without size' } : { missing: 'a body' };
    const [, hex] = /^([0-9a-fA-F]{1,8})(?:;[\t\x20-\x7e]*)?$/.exec(behind.toString('latin1', at, line)) ?? [];
    if (hex === undefined) return { trouble: 'a chunk without size' };
    const size = parseInt(hex, 16);
    total += size;
    if (total > LARGEST_BODY) return tooLarge();
    if (size === 0) return endChunks(head, Buffer.concat(chunks), behind.subarray(line + 2));
    at = line + 2 + size;
    if (behind.length < at + 2) return { missing: 'a body' };
    if (behind.toString('latin1', at, at + 2) !== '\r\n') return { trouble: 'a chunk longer than its size' };
    chunks.push(behind.subarray(line + 2, at));
    at += 2;
  }
}

/** No trailers: nothing of what these answers say belongs there. */
function endChunks(head: Head, body: Buffer, behind: Buffer): Read {
  if (behind.length < 2) return { missing: 'a body' };
  if (behind.toString('latin1', 0, 2) !== '\r\n') return { trouble: 'trailers' };
  return whole(head, body, behind.subarray(2));
}

function whole(head: Head, body: Buffer, rest: Buffer): Read {
  if (body.subarray(0, 3).equals(Buffer.from('\ufeff'))) return { trouble: 'a body with a BOM' };
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body);
    return { answer: { ...head, text }, rest };
  } catch {
    return { trouble: 'a body that is no UTF-8' };
  }
}

function tooLarge(): { trouble: string } {
  return { trouble: `body above ${LARGEST_BODY} bytes` };
}
