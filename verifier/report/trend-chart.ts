// How one time of a drill has changed over runs: a dot a run under the line of its budget, and the same as a table.
import { html } from './html.ts';
import type { Html } from './html.ts';
import { stateMark, table } from './page.ts';
import { tellTime } from './run-page.ts';

/** Oldest first; `ms` is null where it never came. */
export type Trend = { name: string; seen: { started: string; ms: number | null; withinMs: number }[] };

const heightPx = 110;
const topPx = 22;

/** A figure that fits any width. */
export function trendChart({ name, seen }: Trend): Html {
  const most = Math.max(1, ...seen.map(({ ms, withinMs }) => Math.max(ms ?? 0, withinMs)));
  const yOf = (ms: number) => (topPx + (heightPx - topPx) * (1 - ms / most)).toFixed(1);
  const xOf = (i: number) => `${(seen.length === 1 ? 50 : 2 + 96 * i / (seen.length - 1)).toFixed(2)}%`;
  const limitMs = seen.at(-1)?.withinMs ?? 0;
  const known = seen.flatMap(({ ms }) => ms === null ? [] : [ms]);
  const id = `trend-${name.replace(/[^a-z0-9]+/gi, '-')}`;
  const range = known.length > 1 ? `${Math.min(...known)} to ${Math.max(...known)} ms, last ` : '';
  const told = known.length === 0 ? 'never' : `${range}${known.at(-1)} ms`;
  const times = seen.length === 1 ? '1 run' : `${seen.length} runs`;
  return html`<figure>
<figcaption>${name}</figcaption>
<svg role="img" aria-labelledby="${id}-title ${id}-desc" height="${heightPx + 8}">
<title id="${id}-title">${name}, over ${times}</title>
<desc id="${id}-desc">${told}; allowed ${limitMs} ms</desc>
<line class="limit" x1="0" x2="100%" y1="${yOf(limitMs)}" y2="${yOf(limitMs)}"/>
<text x="0" y="14" class="soft">dashed: allowed, ${limitMs} ms; seen: ${told}</text>
<line class="axis" x1="0" x2="100%" y1="${heightPx}" y2="${heightPx}"/>
${seen.map(({ ms }, i) => i === 0 ? '' : segment(seen[i - 1]?.ms, ms, { from: xOf(i - 1), to: xOf(i), yOf }))}
${seen.map(({ ms, started }, i) => ms === null
    ? html`<text x="${xOf(i)}" y="${heightPx - 2}" text-anchor="middle">✗</text>\n`
    : html`<circle class="dot" cx="${xOf(i)}" cy="${yOf(ms)}" r="4">
<title>${tellTime(started)}: ${ms} ms</title></circle>
`)}</svg>
<details>
<summary>${name} as a table</summary>
${table(`${name}, oldest first`, ['Run', 'Measured', 'Allowed', 'State'], seen.map(({ started, ms, withinMs }) => [
  tellTime(started), ms === null ? 'never' : `${ms} ms`, `${withinMs} ms`,
  ms !== null && ms <= withinMs ? stateMark('good', 'within') : stateMark('bad', 'over'),
]))}</details>
</figure>
`;
}

type Between = { from: string; to: string; yOf: (ms: number) => string };

function segment(was: number | null | undefined, is: number | null, { from, to, yOf }: Between): Html | null {
  if (was === null || was === undefined || is === null) return null;
  return html`<line class="axis" x1="${from}" x2="${to}" y1="${yOf(was)}" y2="${yOf(is)}"/>\n`;
}
