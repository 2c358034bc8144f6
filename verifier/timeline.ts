// What a client sees while a drill runs: five lanes, each looked at every 100 ms on a monotonic clock.
import { setTimeout as pause } from 'node:timers/promises';

export const lanes = ['tcp', 'health', 'ready', 'read', 'write'] as const;
export type Lane = (typeof lanes)[number];
/** good: served; refused: turned away in the promised form (503 with Retry-After); bad: anything else. */
export type Grade = 'good' | 'refused' | 'bad';
export type Sight = { grade: Grade; word: string };
/** fromMs and toMs count from the start of the timeline. */
export type Sample = Sight & { lane: Lane; fromMs: number; toMs: number };
export type Edge = { lane: Lane; atMs: number; from: string; to: string };
export type Timeline = {
  readonly samples: readonly Sample[];
  readonly marks: ReadonlyMap<string, number>;
  /** Remembers this moment under a name, and tells it in ms since the start. */
  mark(name: string): number;
  /** Gives up the looks that are under way, without a sample, and looks anew: their answers were lost with what carried them. */
  renew(): void;
  stop(): Promise<void>;
};

/** Starts looking at once; a lane whose look takes longer than the interval is not asked twice at a time. */
export function watchTimeline(look: Record<Lane, () => Promise<Sight>>, everyMs = 100): Timeline {
  const origin = performance.now();
  const samples: Sample[] = [];
  const marks = new Map<string, number>();
  const stopping = new AbortController();
  let renewal = newRenewal();
  const now = () => Math.round(performance.now() - origin);
  const follow = async (lane: Lane) => {
    while (!stopping.signal.aborted) {
      const fromMs = now();
      const sight = await Promise.race([look[lane](), renewal.called]);
      if (sight !== undefined) samples.push({ lane, fromMs, ...sight, toMs: now() });
      await pause(everyMs - (now() % everyMs), undefined, { signal: stopping.signal }).catch(onlyStop);
    }
  };
  const ended = Promise.all(lanes.map(follow));
  // kept for whoever awaits stop(); without this a throwing look would end the process before that
  ended.catch(() => undefined);
  const mark = (name: string) => { const atMs = now(); marks.set(name, atMs); return atMs; };
  const renew = () => { const { call } = renewal; renewal = newRenewal(); call(); };
  return { samples, marks, mark, renew, stop: async () => { stopping.abort(); await ended; } };
}

function newRenewal(): { called: Promise<undefined>; call: () => void } {
  let call = () => {};
  const called = new Promise<undefined>(resolve => { call = () => resolve(undefined); });
  return { called, call };
}

/** The samples of a lane that began and ended inside the span. */
export function within(samples: readonly Sample[], lane: Lane, [fromMs, toMs]: readonly [number, number]): Sample[] {
  return samples.filter(sample => sample.lane === lane && sample.fromMs >= fromMs && sample.toMs <= toMs);
}

/** Every change of what a lane saw, in the order it was seen. */
export function edges(samples: readonly Sample[], lane: Lane): Edge[] {
  const own = samples.filter(sample => sample.lane === lane);
  return own.flatMap((sample, i) => {
    const before = own[i - 1];
    return before === undefined || before.word === sample.word ? [] : [{ lane, atMs: sample.toMs, from: before.word, to: sample.word }];
  });
}

/** How long after a moment a lane first saw something other than good; null when it never did. */
export function detectedMs(samples: readonly Sample[], lane: Lane, sinceMs: number): number | null {
  const seen = samples.find(sample => sample.lane === lane && sample.toMs >= sinceMs && sample.grade !== 'good');
  return seen === undefined ? null : seen.toMs - sinceMs;
}

/** How long after a moment a lane was good and stayed good; null when its last sight is not good. */
export function recoveredMs(samples: readonly Sample[], lane: Lane, sinceMs: number): number | null {
  const own = samples.filter(sample => sample.lane === lane && sample.toMs >= sinceMs);
  const lastBad = own.findLastIndex(sample => sample.grade !== 'good');
  const back = own[lastBad + 1];
  return back === undefined ? null : Math.max(0, back.toMs - sinceMs);
}

const signs: Record<Grade, string> = { good: '=', refused: 'o', bad: 'x' };
const worst: Grade[] = ['bad', 'refused', 'good'];

/** The timeline as text: a row a lane, '=' good, 'o' refused as promised, 'x' anything else, ' ' not looked at. */
export function stripChart({ samples, marks }: Pick<Timeline, 'samples' | 'marks'>, width = 72): string[] {
  const endMs = Math.max(1, ...samples.map(sample => sample.toMs));
  const cellMs = Math.max(100, Math.ceil(endMs / width / 100) * 100);
  const cells = Array.from({ length: Math.ceil(endMs / cellMs) }, (_, i) => i * cellMs);
  const rows = lanes.map(lane => {
    const own = samples.filter(sample => sample.lane === lane);
    const cell = (fromMs: number) => {
      const seen = own.filter(sample => sample.fromMs < fromMs + cellMs && sample.toMs >= fromMs).map(sample => sample.grade);
      const grade = worst.find(one => seen.includes(one));
      return grade === undefined ? ' ' : signs[grade];
    };
    return `${lane.padEnd(7)}|${cells.map(cell).join('')}|`;
  });
  const named = [...marks].map(([name, atMs]) => ({ name, cell: Math.min(cells.length - 1, Math.floor(atMs / cellMs)) }));
  return [...rows, ...named.map(({ name, cell }) => `${' '.repeat(8 + cell)}^ ${name}`), `a sign is ${cellMs} ms: = served, o refused as promised, x neither`];
}

function onlyStop(error: unknown): void {
  if (!(error instanceof Error) || error.name !== 'AbortError') throw error;
}
