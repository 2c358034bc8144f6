// What an order may look like: text in, an order or the first complaint with its field out. Nothing is rounded.
import { randomUUID } from 'node:crypto';
import { Problem } from '../http/problem.ts';

export type Draft = { symbol: string; side: 'buy' | 'sell'; qty: string };
type Value = { kind: 'string' | 'number' | 'other'; text: string };
type Fields = Map<string, Value>;

const names = ['symbol', 'side', 'qty'];
// Up to 15 digits a decimal survives the way through a JSON number; more would come back changed.
const maxDigits = 15;
const plainDecimal = /^(0|[1-9][0-9]*)(?:\.([0-9]+))?$/;
const jsonNumber = /^(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([-+]?[0-9]+))?$/;

/** A UUIDv7 (RFC 9562): it begins with the time, so that new orders share pages of an index with each other. */
export function newOrderId(nowMs: number): string {
  const time = nowMs.toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`;
}

/**
 * The same fields come in the query or as a JSON body; qty leaves as the shortest plain decimal of the same value.
 * Throws Problem only: bad_request, invalid_json, or invalid_order with its field.
 */
export function parseOrder(query: string, body: Buffer): Draft {
  if (body.length > 0 && query !== '') {
    throw new Problem('bad_request', 'send the order in the query or in the body, not in both');
  }
  const fields = body.length > 0 ? readJson(body) : readQuery(query);
  for (const name of fields.keys()) {
    if (!names.includes(name)) throw invalid(name, 'this field is unknown');
  }
  return { symbol: parseSymbol(fields), side: parseSide(fields), qty: parseQty(fields) };
}

function readQuery(query: string): Fields {
  const fields: Fields = new Map();
  for (const pair of query === '' ? [] : query.split('&')) {
    const [, name = '', text = ''] = /^([^=]*)=?(.*)$/s.exec(pair) ?? [];
    setOnce(fields, decodeURIComponent(name), { kind: 'string', text: decodeURIComponent(text) });
  }
  return fields;
}

// JSON.parse rounds numbers and keeps the last of equal keys, so it only judges whether this is JSON.
function readJson(body: Buffer): Fields {
  const text = decodeUtf8(body);
  try {
    JSON.parse(text);
  } catch {
    throw new Problem('invalid_json', 'the body is not JSON');
  }
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/g) ?? [];
  if (tokens[0] !== '{') throw new Problem('invalid_json', 'the body must be a JSON object');
  const fields: Fields = new Map();
  for (let at = 1; at < tokens.length - 1; at += 4) {
    const field: string = JSON.parse(tokens[at] ?? '""');
    const value = valueOf(tokens[at + 2] ?? '');
    setOnce(fields, field, value);
    // What is inside is of no interest, and the walk of four tokens a field would lose its step.
    if (value.kind === 'other') throw invalid(field, 'this field must be a string or a number');
  }
  return fields;
}

function decodeUtf8(body: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body);
  } catch {
    throw new Problem('invalid_json', 'the body is not UTF-8');
  }
}

function valueOf(token: string): Value {
  if (token.startsWith('"')) return { kind: 'string', text: JSON.parse(token) };
  return { kind: /^[-\d]/.test(token) ? 'number' : 'other', text: token };
}

function setOnce(fields: Fields, name: string, value: Value): void {
  if (fields.has(name)) throw invalid(name, 'this field is given more than once');
  fields.set(name, value);
}

function need(fields: Fields, field: string): Value {
  const value = fields.get(field);
  if (value === undefined || value.text === '') throw invalid(field, `${field} is required`);
  return value;
}

function parseSymbol(fields: Fields): string {
  const { kind, text } = need(fields, 'symbol');
  if (kind === 'string' && /^[A-Z][A-Z0-9.-]{0,15}$/.test(text)) return text;
  throw invalid('symbol', 'symbol must be 1 to 16 of A-Z 0-9 . - and begin with a letter');
}

function parseSide(fields: Fields): 'buy' | 'sell' {
  const { text } = need(fields, 'side');
  if (text === 'buy' || text === 'sell') return text;
  throw invalid('side', 'side must be buy or sell');
}

// A number is worth its value, since programs choose the notation: Python and JavaScript write 1e-7 for 0.0000001.
function parseQty(fields: Fields): string {
  const { kind, text } = need(fields, 'qty');
  const [, whole = '', part = '', exponent = '0'] = (kind === 'number' ? jsonNumber : plainDecimal).exec(text) ?? [];
  const [, digits, zeros = ''] = /^0*([1-9](?:[0-9]*[1-9])?)(0*)$/.exec(`${whole}${part}`) ?? [];
  if (digits === undefined) throw invalid('qty', 'qty must be a decimal above 0, such as 1, 0.5 or 12.25');
  // Of an endless exponent this makes Infinity, which is refused before anything is written out.
  const power = Number(exponent) - part.length + zeros.length;
  if (digits.length + Math.max(power, 0) > maxDigits || -power > maxDigits) {
    throw invalid('qty', `qty must have at most ${maxDigits} digits, before and after the point together`);
  }
  if (power >= 0) return digits + '0'.repeat(power);
  const padded = digits.padStart(1 - power, '0');
  return `${padded.slice(0, power)}.${padded.slice(power)}`;
}

function invalid(field: string, detail: string): Problem {
  return new Problem('invalid_order', detail, { field: field.slice(0, 64) });
}
