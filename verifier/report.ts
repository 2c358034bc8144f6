// Reads the points of a TAP run, and says in one line what they come to. Pure.
export type Point = { held: boolean; name: string; skip: string | undefined; depth: number; suite: boolean };

export const RUNGS = ['reachable', 'alive', 'versioned', 'ready', 'usable', 'lasting', 'contained'];

/** One line of TAP to a point, or undefined. Subtests are indented by four; `suite` is filled in by `watchPoints`. */
export function readPoint(line: string): Point | undefined {
  const [, indent = '', not, text = ''] = /^( *)(not )?ok \d+(?: - (.*))?$/.exec(line) ?? [];
  if (!/^ *(not )?ok \d/.test(line)) return undefined;
  const [, name = text, skip] = /^(.*?) # SKIP ?(.*)$/.exec(text) ?? [];
  return { held: not === undefined, name: name.replace(/\\([#\\])/g, '$1'), skip, depth: indent.length / 4, suite: false };
}

/** Takes lines one by one and gathers the points; a point that closes over deeper ones is a suite, not a check. */
export function watchPoints(): { take: (line: string) => void; points: Point[]; planned: () => boolean } {
  const points: Point[] = [];
  let planned = false;
  let lastDepth = 0;
  const take = (line: string) => {
    planned ||= /^1\.\.\d+/.test(line);
    const point = readPoint(line);
    if (!point) return;
    points.push({ ...point, suite: lastDepth > point.depth });
    lastDepth = point.depth;
  };
  return { take, points, planned: () => planned };
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

/** `verdict: reachable yes · alive yes · versioned yes · ready no · usable – …` over every target; `–` was not looked at. */
export function verdict(points: Point[]): string {
  return `verdict: ${RUNGS.map(rung => `${rung} ${stateOf(points.filter(point => rungOf(point) === rung))}`).join(' · ')}`;
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
