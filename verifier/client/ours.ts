// Our own orders: told apart from real ones by their symbol, all else drawn from the whole of what is allowed.
import { randomInt } from 'node:crypto';

/** Every order that verify or a drill places has a symbol that begins so. */
export const ours = 'ZZ';
const prefixes = { verify: `${ours}V`, drill: `${ours}D` } as const;

/** 4 to 16 characters; after the prefix any that a symbol may have. */
export function anySymbol(who: keyof typeof prefixes): string {
  return prefixes[who] + draw('ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-', randomInt(1, 14));
}

export function anySide(): 'buy' | 'sell' {
  return randomInt(2) === 0 ? 'buy' : 'sell';
}

/** A plain decimal of each kind: tiny, below 1, of many places, above 100,000, and whole with up to 15 digits. */
export function anyQuantities(): string[] {
  const [tiny, many, above] = [randomInt(1, 5), randomInt(10, 15), randomInt(7, 15)];
  return [
    decimal(tiny, 15),
    decimal(randomInt(1, 9), randomInt(9, 11)),
    decimal(15, many),
    decimal(above, randomInt(1, above - 5)),
    decimal(randomInt(1, 16), 0),
    decimal(15, randomInt(1, 15)),
  ];
}

/** The same value as numbers of JSON may write it: plain, or with an exponent in one of its spellings. */
export function anyNotation(qty: string): string {
  const [whole = '', part = ''] = qty.split('.');
  const digits = `${whole}${part}`.replace(/^0+/, '');
  const first = digits.length - 1 - part.length;
  const fraction = digits.length > 1 ? `.${digits.slice(1)}` : '';
  const spellings = [
    qty, `${qty}e0`, `${digits}e-${part.length}`, `${digits}E-0${part.length}`,
    `${digits.slice(0, 1)}${fraction}e${first}`, `${digits.slice(0, 1)}${fraction}E${first < 0 ? '' : '+'}${first}`,
  ];
  return spellings[randomInt(spellings.length)] ?? qty;
}

/** So many digits, the first and the last of them not 0, so many of them after the point. */
function decimal(digits: number, places: number): string {
  const last = draw('123456789', 1);
  const drawn = digits === 1 ? last : draw('123456789', 1) + draw('0123456789', digits - 2) + last;
  if (places === 0) return drawn;
  const padded = drawn.padStart(places + 1, '0');
  return `${padded.slice(0, -places)}.${padded.slice(-places)}`;
}

function draw(letters: string, length: number): string {
  return Array.from({ length }, () => letters[randomInt(letters.length)]).join('');
}
