// Reads the points of a TAP run, and says in one line what they come to. Pure.
import type { Expect } from './options.ts';

export type Point = { held: boolean; name: string; skip: string | undefined; depth: number; suite: boolean };

export const RUNGS = ['reachable', 'alive', 'versioned', 'ready', 'usable', 'lasting', 'contained'];

/** One line of TAP to a point, or undefined. Subtests are indented by four; `suite` is for `watchPoints` to say. */
export function readPoint(line: string): Point | undefined {
  const [, indent = '', not, text = ''] = /^( *)(not )?ok \d+(?: - (.*))?$/.exec(line) ?? [];
  if (!/^ *(not )?ok \d/.test(line)) return undefined;
  const [, name = text, skip] = /^(.*?) # SKIP ?(.*)$/.exec(text) ?? [];
  return { held: not === undefined, name: name.replace(/\\([#\\])/g, '$1'), skip, depth: indent.length / 4, suite: false };
}

export type Watch = { points: Point[]; begun: boolean; planned: boolean; take: (line: string) => string[] };

/**
 * Takes the lines of a run one by one, gathers its points, and gives what to write: the line itself, as a comment when it
 * is no TAP; before a plan over nothing that was looked at, a point that is red. A point that closes over deeper ones is
 * a suite, not a check.
 */
export function watchPoints(): Watch {
  const watch: Watch = { points: [], begun: false, planned: false, take: line => take(line) };
  let lastDepth = 0;
  let yamlIndent: string | null = null;
  const take = (line: string): string[] => {
    if (yamlIndent !== null) {
      if (line === `${yamlIndent}...`) yamlIndent = null;
      return [line];
    }
    yamlIndent = /^( *)---$/.exec(line)?.[1] ?? null;
    watch.begun ||= line === 'TAP version 13';
    const point = readPoint(line);
    if (point) {
      watch.points.push({ ...point, suite: lastDepth > point.depth });
      lastDepth = point.depth;
    }
    if (/^1\.\.\d+/.test(line)) return closing(watch);
    return yamlIndent !== null || /^ *((not )?ok \d|1\.\.\d|#|TAP version 13$|Bail out!|$)/.test(line) ? [line] : [`# ${line}`];
  };
  return watch;
}

/** What to write where a run has its plan; a run that looked at nothing must not read as a good one. */
export function closing(watch: Watch): string[] {
  watch.planned = true;
  const top = watch.points.filter(({ depth }) => depth === 0).length;
  if (watch.points.some(({ suite, skip }) => !suite && skip === undefined)) return [`1..${top}`];
  return [`not ok ${top + 1} - something was looked at`, `1..${top + 1}`];
}

/** What a run came to, without its names: nothing looked at is red, and so is a run that ended before its plan. */
export function findFault(points: Point[], end: { code: number | null; signal: string | null; planned: boolean }): string | null {
  const checks = points.filter(point => !point.suite);
  const looked = checks.filter(point => point.skip === undefined);
  const broken = looked.filter(point => !point.held);
  if (end.signal !== null) return `ended by ${end.signal} before its plan`;
  if (broken.length > 0) return `${broken.length} of ${looked.length} checks broken`;
  if (!end.planned) return 'ended before its plan';
  if (looked.length === 0) return `zero checks run${checks.length > 0 ? `, ${checks.length} skipped` : ''}`;
  return end.code === 0 ? null : `ended with ${end.code} although every check held`;
}

/**
 * `verdict: reachable yes · alive yes · versioned yes · ready no · usable – …` over every target; `–` was not looked at.
 * Under EXPECT=unready a yes says that the rung held the no that was asked for.
 */
export function verdict(points: Point[], expect: Expect): string {
  const states = RUNGS.map(rung => `${rung} ${stateOf(points.filter(point => rungOf(point) === rung))}`);
  return `verdict: ${[...states, ...(expect === 'ready' ? [] : ['EXPECT=unready'])].join(' · ')}`;
}

function rungOf(point: Point): string | undefined {
  return / ?(\S+): /.exec(` ${point.name}`)?.[1];
}

function stateOf(points: Point[]): string {
  const looked = points.filter(point => point.skip === undefined);
  if (looked.some(point => !point.held)) return 'no';
  if (points.some(point => point.skip?.startsWith('blocked by '))) return '–';
  if (looked.length > 0) return 'yes';
  return points.length > 0 ? 'skipped' : '–';
}
