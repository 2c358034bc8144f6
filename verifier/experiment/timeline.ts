// What a client sees during a drill: five probes, each made every 100 ms on a monotonic clock.
import { setTimeout as pause } from 'node:timers/promises';
import { Broken } from '../checks/climb.ts';
import type { Grade } from '../results/watched.ts';

export const probeNames = ['tcp', 'health', 'ready', 'read', 'write'] as const;
export type ProbeName = (typeof probeNames)[number];
/** `malformed`: it was answered, and in no form that is promised. */
export type Observation = { grade: Grade; word: string; malformed?: boolean };
/** fromMs and toMs count from the start of the timeline. */
export type Sample = Observation & { probe: ProbeName; fromMs: number; toMs: number };
export type Edge = { probe: ProbeName; atMs: number; from: string; to: string };
export type Probes = Record<ProbeName, () => Promise<Observation>>;
export type Timeline = {
  readonly samples: readonly Sample[];
  readonly marks: ReadonlyMap<string, number>;
  /** Remembers this moment under a name, and gives it in ms since the start. */
  mark: (name: string) => number;
  /** Gives up the probes under way, without a sample: their answers were lost with what carried them. */
  renew: () => void;
  stop: () => Promise<void>;
};

/** Starts probing at once; a probe that takes longer than the interval is not made twice at a time. */
export function watchTimeline(probes: Probes, everyMs = 100): Timeline {
  const origin = performance.now();
  const samples: Sample[] = [];
  const marks = new Map<string, number>();
  const stopping = new AbortController();
  let renewal = newRenewal();
  const now = () => Math.round(performance.now() - origin);
  const follow = async (probe: ProbeName) => {
    while (!stopping.signal.aborted) {
      const fromMs = now();
      const seen = await Promise.race([probes[probe](), renewal.called]);
      if (seen !== undefined) samples.push({ probe, fromMs, ...seen, toMs: now() });
      await pause(everyMs - (now() % everyMs), undefined, { signal: stopping.signal }).catch(onlyStop);
    }
  };
  const ended = Promise.all(probeNames.map(follow));
  // kept for whoever awaits stop(); without this a probe that throws would end the process before that
  ended.catch(() => undefined);
  return {
    samples, marks,
    mark: name => {
      const atMs = now();
      marks.set(name, atMs);
      return atMs;
    },
    renew: () => {
      const { call } = renewal;
      renewal = newRenewal();
      call();
    },
    stop: async () => {
      stopping.abort();
      await ended;
    },
  };
}

function newRenewal(): { called: Promise<undefined>; call: () => void } {
  let call = () => {};
  const called = new Promise<undefined>(resolve => { call = () => resolve(undefined); });
  return { called, call };
}

/** When a mark was set, in ms of the timeline; Broken when it was not. */
export function markOf({ marks }: Pick<Timeline, 'marks'>, name: string): number {
  const atMs = marks.get(name);
  if (atMs === undefined) throw new Broken(`the drill has not come to ${name}`);
  return atMs;
}

/** The samples of a probe that began and ended inside the span. */
export function within(
  samples: readonly Sample[], probe: ProbeName, [fromMs, toMs]: readonly [number, number],
): Sample[] {
  return samples.filter(sample => sample.probe === probe && sample.fromMs >= fromMs && sample.toMs <= toMs);
}

/** A probe's samples since a mark; those that were still under way when recovery began belong to neither side. */
export function duringFault(timeline: Timeline, probe: ProbeName, since: string): Sample[] {
  return within(timeline.samples, probe, [markOf(timeline, since), timeline.marks.get('recover') ?? Infinity]);
}

/** Every change of what a probe saw, in the order it was seen. */
export function edges(samples: readonly Sample[], probe: ProbeName): Edge[] {
  const own = samples.filter(sample => sample.probe === probe);
  return own.flatMap((sample, i) => {
    const before = own[i - 1];
    if (before === undefined || before.word === sample.word) return [];
    return [{ probe, atMs: sample.toMs, from: before.word, to: sample.word }];
  });
}

/** How long after a moment a probe first saw something other than good; null when it never did. */
export function detectedMs(samples: readonly Sample[], probe: ProbeName, sinceMs: number): number | null {
  const seen = samples.find(sample => sample.probe === probe && sample.toMs >= sinceMs && sample.grade !== 'good');
  return seen === undefined ? null : seen.toMs - sinceMs;
}

/** How long after a moment a probe was good and stayed good; null when the last it saw is not good. */
export function recoveredMs(samples: readonly Sample[], probe: ProbeName, sinceMs: number): number | null {
  const own = samples.filter(sample => sample.probe === probe && sample.toMs >= sinceMs);
  const lastBad = own.findLastIndex(sample => sample.grade !== 'good');
  const back = own[lastBad + 1];
  return back === undefined ? null : Math.max(0, back.toMs - sinceMs);
}

/** The longest time since a moment from one good answer of a probe to the next. */
export function longestGapMs(samples: readonly Sample[], probe: ProbeName, sinceMs: number): number {
  const good = samples.filter(sample => sample.probe === probe && sample.grade === 'good').map(({ toMs }) => toMs);
  const gaps = good.flatMap((toMs, i) => toMs < sinceMs || i === 0 ? [] : [toMs - (good[i - 1] ?? toMs)]);
  return Math.max(0, ...gaps);
}

/** `503 timeout (12), silent (1)`: what was seen, and how often. */
export function countWords(words: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return [...counts].map(([word, count]) => `${word} (${count})`).join(', ') || 'nothing';
}

/** Every edge of every probe, a line each, and the strip chart. */
export function tellTimeline(timeline: Timeline): string[] {
  const changes = probeNames.map(probe => {
    const seen = edges(timeline.samples, probe).map(({ atMs, from, to }) => `${atMs} ms ${from} -> ${to}`);
    const more = seen.length > 12 ? `, and ${seen.length - 12} more` : '';
    return `${probe}: ${seen.slice(0, 12).join(', ') || 'no change'}${more}`;
  });
  return [...changes, ...stripChart(timeline)];
}

const signs: Record<Grade, string> = { good: '=', refused: 'o', bad: 'x' };
const worst: Grade[] = ['bad', 'refused', 'good'];

/** The timeline as text: a row a probe, '=' good, 'o' refused as promised, 'x' anything else, ' ' not probed. */
export function stripChart({ samples, marks }: Pick<Timeline, 'samples' | 'marks'>, width = 72): string[] {
  const endMs = Math.max(1, ...samples.map(sample => sample.toMs));
  const cellMs = Math.max(100, Math.ceil(endMs / width / 100) * 100);
  const cells = Array.from({ length: Math.ceil(endMs / cellMs) }, (_, i) => i * cellMs);
  const rows = probeNames.map(probe => {
    const own = samples.filter(sample => sample.probe === probe);
    const cell = (fromMs: number) => {
      const seen = own.filter(sample => sample.fromMs < fromMs + cellMs && sample.toMs >= fromMs);
      const grade = worst.find(one => seen.some(sample => sample.grade === one));
      return grade === undefined ? ' ' : signs[grade];
    };
    return `${probe.padEnd(7)}|${cells.map(cell).join('')}|`;
  });
  const named = [...marks].map(([name, atMs]) => {
    const cell = Math.min(cells.length - 1, Math.floor(atMs / cellMs));
    return `${' '.repeat(8 + cell)}^ ${name}`;
  });
  return [...rows, ...named, `a sign is ${cellMs} ms: = served, o refused as promised, x neither`];
}

function onlyStop(error: unknown): void {
  if (!(error instanceof Error) || error.name !== 'AbortError') throw error;
}
