// What an order may look like. Text in, an order or the first complaint with its field out; nothing is rounded or folded.
import { Problem } from '../http/problem.ts';

export type Draft = { symbol: string; side: 'buy' | 'sell'; qty: string };
type Value = { kind: 'string' | 'number' | 'other'; text: string };
type Fields = Map<string, Value>;

const names = ['symbol', 'side', 'qty'];
const maxDigits = 15;

/** The same fields come either in the query or as a JSON body; qty leaves in its shortest form, equal to what came in. */
export function parseOrder(query: string, body: Buffer): Draft {
  if (body.length > 0 && query !== '') throw new Problem('bad_request', 'send the order in the query or in the body, not in both');
  const fields = body.length > 0 ? readJson(body) : readQuery(query);
  for (const name of fields.keys()) {
    if (!names.includes(name)) throw new Problem('invalid_order', 'this field is unknown', { field: name.slice(0, 64) });
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

// JSON.parse rounds numbers and keeps the last of equal keys, so it only judges whether this is JSON; values are taken as written.
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
    if (value.kind === 'other') throw new Problem('invalid_order', 'this field must be a string or a number', { field: field.slice(0, 64) });
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
  if (fields.has(name)) throw new Problem('invalid_order', 'this field is given more than once', { field: name.slice(0, 64) });
  fields.set(name, value);
}

function need(fields: Fields, field: string): Value {
  const value = fields.get(field);
  if (value === undefined || value.text === '') throw new Problem('invalid_order', `${field} is required`, { field });
  return value;
}

function parseSymbol(fields: Fields): string {
  const { kind, text } = need(fields, 'symbol');
  if (kind === 'string' && /^[A-Z][A-Z0-9.-]{0,15}$/.test(text)) return text;
  throw new Problem('invalid_order', 'symbol must be 1 to 16 of A-Z 0-9 . - and begin with a letter', { field: 'symbol' });
}

function parseSide(fields: Fields): 'buy' | 'sell' {
  const { text } = need(fields, 'side');
  if (text === 'buy' || text === 'sell') return text;
  throw new Problem('invalid_order', 'side must be buy or sell', { field: 'side' });
}

function parseQty(fields: Fields): string {
  const { text } = need(fields, 'qty');
  const [, whole, part = ''] = /^(0|[1-9][0-9]{0,39})(?:\.([0-9]{1,40}))?$/.exec(text) ?? [];
  if (whole === undefined) throw new Problem('invalid_order', 'qty must be a plain decimal such as 1, 0.5 or 12.25', { field: 'qty' });
  const decimals = part.replace(/0+$/, '');
  const digits = `${whole}${decimals}`.replace(/^0+/, '');
  if (digits === '') throw new Problem('invalid_order', 'qty must be above 0', { field: 'qty' });
  // Up to 15 digits a decimal survives the way through a JSON number; more would come back changed.
  if (digits.length > maxDigits || decimals.length > maxDigits) {
    throw new Problem('invalid_order', `qty must have at most ${maxDigits} digits, before and after the point together`, { field: 'qty' });
  }
  return decimals === '' ? whole : `${whole}.${decimals}`;
}
