// Rounds to medians, medians to tables: ratios first. Markdown, so that a page can show them as they are.
import type { Figures } from './load.ts';
import type { Cell, Course } from './parts.ts';

/** Everything that was measured. Parts that did not run have left nothing in it. */
export type Results = Pick<Course, 'cells' | 'footprints' | 'accepted' | 'stored'>;

type Name = 'ours' | 'bare' | 'pgbench';
type Ratio = (cell: Cell, first: Cell) => number;

export function spreadOf(values: number[]): { median: number; least: number; most: number } {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const at = (index: number): number => sorted[index] ?? Number.NaN;
  return { median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2, least: at(0), most: at(sorted.length - 1) };
}

/** Medians of requests a second; NaN where nothing was measured. */
export function ratesOf({ ours, bare, pgbench }: Cell): Record<Name, number> {
  const median = (rounds: Figures[]): number => spreadOf(rounds.map(({ rate }) => rate)).median;
  return { ours: median(ours), bare: median(bare), pgbench: spreadOf(pgbench).median };
}

export function render({ cells, footprints: { ours, bare }, accepted, stored }: Results): string {
  const to = (name: Name): Ratio => cell => ratesOf(cell).ours / ratesOf(cell)[name];
  const toFirst = (name: Name): Ratio => (cell, first) => ratesOf(cell)[name] / ratesOf(first)[name];
  const lost = accepted > stored ? ` ${whole(accepted - stored)} ARE LOST.` : '';
  return [
    pivot('ours / bare, by connections', cells, 'rows', 'connections', to('bare')),
    pivot('ours / pgbench with at most 32 clients', cells, 'rows', 'connections', to('pgbench')),
    pivot('ours / ours with the fewest orders', cells, 'growth', 'orders', toFirst('ours')),
    pivot('bare / bare with the fewest orders', cells, 'growth', 'orders', toFirst('bare')),
    pivot('pgbench / pgbench with the fewest', cells, 'growth', 'orders', toFirst('pgbench')),
    pivot('ours / one process, by processes', cells, 'processes', 'processes', toFirst('ours')),
    table(['once', 'ours', 'bare'], [
      ['start to listening, ms', whole(spreadOf(ours.ms).median), whole(spreadOf(bare.ms).median)],
      ['memory idle, MB', whole(ours.idleMb), whole(bare.idleMb)],
      ['memory under load at its peak, MB', whole(ours.loadedMb), whole(bare.loadedMb)],
    ].filter(line => line[1] !== nothing)),
    table(detailed, cells.map(detail)),
    accepted > 0 ? `Orders answered by ours: ${whole(accepted)}. Rows stored meanwhile: ${whole(stored)}.${lost}` : '',
  ].filter(section => section !== '').join('\n\n');
}

type Axis = 'connections' | 'orders' | 'processes';

function pivot(caption: string, all: Cell[], part: Cell['part'], by: Axis, ratio: Ratio): string {
  const cells = all.filter(cell => cell.part === part);
  const columns = [...new Set(cells.map(cell => cell[by]))];
  const lines = [...new Set(cells.map(({ row }) => row))].map(row => {
    const [first, ...others] = cells.filter(cell => cell.row === row);
    return first ? [row, ...[first, ...others].map(cell => decimals(ratio(cell, first)))] : [];
  });
  return table([caption, ...columns.map(whole)], lines.filter(line => line[1] !== nothing));
}

const detailed = ['row', 'at', 'ours/s', 'bare/s', 'pgbench/s', 'p50 ms', 'bare', 'p99 ms', 'bare', 'errors', 'bare'];

function detail({ part, row, connections, orders, processes, ours, bare, pgbench }: Cell): string[] {
  const rate = (values: number[]): string => {
    const { median, least, most } = spreadOf(values);
    return values.length > 1 ? `${whole(median)} (${whole(least)}–${whole(most)})` : whole(median);
  };
  const ms = (values: number[]): string => decimals(spreadOf(values).median);
  const errors = (rounds: Figures[]): string =>
    (rounds.length > 0 ? whole(rounds.reduce((sum, one) => sum + one.errors, 0)) : nothing);
  return [
    row, { rows: `${connections} conn.`, growth: `${whole(orders)} orders`, processes: `${processes} proc.` }[part],
    rate(ours.map(one => one.rate)), rate(bare.map(one => one.rate)), rate(pgbench),
    ms(ours.map(one => one.p50Ms)), ms(bare.map(one => one.p50Ms)), ms(ours.map(one => one.p99Ms)),
    ms(bare.map(one => one.p99Ms)), errors(ours), errors(bare),
  ];
}

const nothing = '–';

function whole(value: number): string {
  return Number.isFinite(value) ? Math.round(value).toLocaleString('en-US') : nothing;
}

function decimals(value: number): string {
  return Number.isFinite(value) ? value.toFixed(2) : nothing;
}

/** Empty without lines. The first column is text, the others are numbers. */
function table(heads: string[], lines: string[][]): string {
  if (lines.length === 0) return '';
  const widths = heads.map((head, at) => Math.max(3, head.length, ...lines.map(line => (line[at] ?? '').length)));
  const pad = (text: string, at: number): string => text[at === 0 ? 'padEnd' : 'padStart'](widths[at] ?? 0);
  const rule = widths.map((width, at) => (at === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [heads.map(pad), rule, ...lines.map(line => line.map(pad))].map(line => `| ${line.join(' | ')} |`).join('\n');
}
