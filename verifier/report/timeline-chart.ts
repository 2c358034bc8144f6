// What a drill's probes saw, as lanes of an SVG that fits any width: its silhouette says what its colours say.
import type { Grade, Seen, Watched } from '../results/watched.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import { table } from './page.ts';

/** Served is a low bar, refused one of half height, anything else a high one. */
const bars: Record<Grade, { of: 'good' | 'weak' | 'bad'; height: number; word: string }> = {
  good: { of: 'good', height: 5, word: 'served' },
  refused: { of: 'weak', height: 11, word: 'refused as promised' },
  bad: { of: 'bad', height: 18, word: 'neither' },
};
/** Bottom rung first, as the ladder is climbed; a probe that is not named here stands last. */
const order = ['tcp', 'health', 'ready', 'read', 'write'];
const topPx = 44;
const lanePx = 42;
const ticks = [0, 25, 50, 75, 100];

/** Looks of one probe that saw the same, one after the other. */
type Stretch = { probe: string; grade: Grade; fromMs: number; toMs: number; words: string; looks: number };

/** A figure: the lanes, the fault and the recovery, and the same in a table for who does not see it. */
export function timelineChart({ drill, node, samples, marks }: Watched): Html {
  const seen = [...new Set(samples.map(({ probe }) => probe))];
  const probes = [...order.filter(probe => seen.includes(probe)), ...seen.filter(probe => !order.includes(probe))];
  const endMs = Math.max(1, ...samples.map(({ toMs }) => toMs), ...Object.values(marks));
  const stretches = probes.flatMap(probe => stretchesOf(samples.filter(sample => sample.probe === probe)));
  const height = topPx + probes.length * lanePx + 22;
  const bottom = topPx + probes.length * lanePx;
  const span = { marks, endMs, bottom };
  const id = `lanes-${node}-${drill}`;
  return html`<figure>
<figcaption>${drill} on ${node}, ${seconds(endMs)} in all</figcaption>
<p class="soft">Low bars: served. Half high: refused as promised. High: neither. The shaded span is the fault.</p>
<svg role="img" aria-labelledby="${id}-title ${id}-desc" height="${height}">
<title id="${id}-title">${drill}: what clients saw, by probe</title>
<desc id="${id}-desc">${describe(stretches, marks)}</desc>
${faultZone(span)}
${probes.map((probe, i) => (
    lane(probe, stretches.filter(one => one.probe === probe), { topPx: topPx + i * lanePx, endMs })
  ))}
${markLine('inject', '▼ fault', 14, span)}${markLine('recover', '▲ recovery', 32, span)}
${ticks.map(tick => axisTick(tick, endMs, bottom))}</svg>
<details>
<summary>${drill} as a table</summary>
${table(`${drill}: every stretch of every probe`, ['Probe', 'From', 'To', 'Seen', 'Looks'], stretches.map(
  ({ probe, fromMs, toMs, grade, words, looks }) => (
    [probe, `${fromMs} ms`, `${toMs} ms`, `${bars[grade].word}: ${words}`, looks]
  ),
))}${table(`${drill}: its moments`, ['Moment', 'At'], Object.entries(marks).map(([name, atMs]) => (
  [name, `${atMs} ms`]
)))}</details>
</figure>
`;
}

function stretchesOf(samples: readonly Seen[]): Stretch[] {
  const stretches: (Omit<Stretch, 'words'> & { words: Set<string> })[] = [];
  for (const { probe, grade, fromMs, toMs, word } of samples) {
    const last = stretches.at(-1);
    if (last?.grade !== grade) stretches.push({ probe, grade, fromMs, toMs, words: new Set([word]), looks: 1 });
    else Object.assign(last, { toMs, words: last.words.add(word), looks: last.looks + 1 });
  }
  return stretches.map(one => ({ ...one, words: [...one.words].join(', ') }));
}

type At = { topPx: number; endMs: number };

function lane(probe: string, stretches: readonly Stretch[], { topPx: top, endMs }: At): Html {
  const base = top + 34;
  return html`<text x="0" y="${top + 12}">${probe}</text>
<line class="axis" x1="0" x2="100%" y1="${base}" y2="${base}"/>
${stretches.map((stretch, i) => {
    const { of, height, word } = bars[stretch.grade];
    // until the next look: what lies between two looks was seen by neither
    const untilMs = stretches[i + 1]?.fromMs ?? stretch.toMs;
    const [x, width] = [stretch.fromMs, Math.max(untilMs - stretch.fromMs, endMs / 500)].map(ms => percent(ms, endMs));
    const told = `${probe}: ${word}, ${stretch.words}; ${stretch.fromMs} to ${stretch.toMs} ms`;
    return html`<rect class="${of}" x="${x}" width="${width}" y="${base - height}" height="${height}"><title>${
      told}</title></rect>
`;
  })}`;
}

type Span = { marks: Record<string, number>; endMs: number; bottom: number };

function faultZone({ marks, endMs, bottom }: Span): Html | null {
  const { inject, recover = endMs } = marks;
  if (inject === undefined) return null;
  const width = percent(Math.max(0, recover - inject), endMs);
  return html`<rect class="zone" x="${percent(inject, endMs)}" width="${width}" y="40" height="${bottom - 40}"/>`;
}

function markLine(name: string, label: string, y: number, { marks, endMs, bottom }: Span): Html | null {
  const atMs = marks[name];
  if (atMs === undefined) return null;
  const x = percent(atMs, endMs);
  const anchor = atMs / endMs > 0.6 ? 'end' : 'start';
  return html`<line class="mark" x1="${x}" x2="${x}" y1="${y + 2}" y2="${bottom}"/>
<text x="${x}" y="${y}" text-anchor="${anchor}">${label} ${seconds(atMs)}</text>
`;
}

function axisTick(tick: number, endMs: number, bottom: number): Html {
  const anchor = tick === 0 ? 'start' : tick === 100 ? 'end' : 'middle';
  const time = seconds(endMs * tick / 100);
  return html`<text class="soft" x="${tick}%" y="${bottom + 16}" text-anchor="${anchor}">${time}</text>
`;
}

function describe(stretches: readonly Stretch[], marks: Record<string, number>): string {
  const moments = Object.entries(marks).map(([name, atMs]) => `${name} at ${atMs} ms`).join(', ');
  const probes = [...new Set(stretches.map(({ probe }) => probe))].map(probe => {
    const bad = stretches.filter(one => one.probe === probe && one.grade !== 'good').slice(0, 5)
      .map(({ grade, fromMs, toMs }) => `${bars[grade].word} from ${fromMs} to ${toMs} ms`);
    return `${probe}: ${bad.join(', ') || 'served throughout'}`;
  });
  return [moments, ...probes].filter(Boolean).join('. ');
}

function percent(ms: number, endMs: number): string {
  return `${(100 * ms / endMs).toFixed(2)}%`;
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
