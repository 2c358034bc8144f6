// What is kept of a run as data: result.json, written by the run itself and read by reports and the guarantee map.
import type { Point } from '../results/point.ts';
import type { Ladder } from '../results/verdict.ts';
import type { Timing } from '../results/watched.ts';

export const programNames = ['verify', 'drill', 'prove', 'acceptance'] as const;
export type ProgramName = (typeof programNames)[number];
/** `atMs` is when it was reported, counted from the start of the run. */
export type Kept = Point & { ms: number; atMs: number };
export type Result = {
  format: 1;
  /** The name of its folder: it begins with the time, so names in order are runs in order. */
  id: string;
  program: ProgramName;
  /** The run that started this one, by id. */
  within: string | null;
  platform: string | null;
  nodes: string[];
  /** Of this checkout; null when it is not known. */
  commit: string | null;
  versions: { node: string; verifier: string };
  settings: { scale: number; strict: boolean; expect: string; kills: number | null; targets: string[] };
  started: string;
  ms: number;
  exit: number;
  /** The last line of its TAP. */
  verdict: string;
  /** What the run came to, when it did not hold. */
  fault: string | null;
  cannotRun: string | null;
  points: Kept[];
  /** `ladder` is what verify said while the fault was in place, of drills that prove that it turns red. */
  drills: { drill: string; node: string; times: Timing[]; ladder: Ladder | null }[];
  /** Why a part of the evidence is missing, by the name of the part. */
  missing: Record<string, string>;
};
/** The one word for an exit code. */
export type Ending = 'held' | 'broken' | 'could not run' | 'interrupted';

/** What a run came to, in a word. */
export function endingOf({ exit }: Pick<Result, 'exit'>): Ending {
  if (exit > 128) return 'interrupted';
  return exit === 0 ? 'held' : exit === 1 ? 'broken' : 'could not run';
}

/** Undefined when it is of another format, or none at all: a report of other runs is still worth having. */
export function parseResult(text: string): Result | undefined {
  try {
    const read = JSON.parse(text) as Partial<Result> | null;
    const { format, id, points, drills, exit } = read ?? {};
    const whole = format === 1 && typeof id === 'string' && typeof exit === 'number'
      && Array.isArray(points) && Array.isArray(drills);
    return whole ? read as Result : undefined;
  } catch {
    return undefined;
  }
}
