// What a check found, as data: ids that stay the same however its sentence is worded.

/** `node` is a node's name or a target's address, `nodes` for what is about several. A drill without a check: all. */
export type Id = { node: string; rung?: string; check?: string; drill?: string };
export type Point = {
  id: Id;
  /** The sentence, as TAP shows it. */
  claim: string;
  held: boolean;
  /** Why it was not looked at. */
  skip: string | undefined;
  /** The rung that broke below it, when that is why it was not looked at. */
  blockedBy: string | undefined;
  /** What was wanted and seen, when it did not hold. */
  error: string | undefined;
  /** What it said besides. */
  said: string[];
};

/** `1 order`, `2 orders`. */
export function counted(many: number, what: string): string {
  return `${many} ${what}${many === 1 ? '' : 's'}`;
}

/** The checks among points, without the drills that they belong to. */
export function checksOf(points: readonly Point[]): Point[] {
  return points.filter(({ id }) => id.drill === undefined || id.check !== undefined);
}

/** Those checks that were looked at and did not hold. */
export function brokenOf(points: readonly Point[]): Point[] {
  return checksOf(points).filter(({ held, skip }) => !held && skip === undefined);
}

/** The first red once more, for the end of a report. */
export function firstRed(points: readonly Point[]): string[] {
  const [first] = brokenOf(points);
  return first === undefined ? [] : [`first red: ${first.claim}: ${first.error ?? 'no reason'}`];
}

/** `control ready: readiness is 200: wanted 200, saw 503; …`: what broke, and why. */
export function tellBroken(points: readonly Point[]): string {
  const told = brokenOf(points).map(({ claim, error }) => `${claim}: ${error ?? 'no reason'}`);
  return told.join('; ') || 'no check is broken';
}
