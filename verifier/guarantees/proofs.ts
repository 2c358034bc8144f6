// What the evidence of runs says about a proof: when and where it was last seen, and how often in an acceptance.
import type { Result } from '../evidence/result.ts';
import type { Point } from '../results/point.ts';
import type { Guarantee, Proof } from './map.ts';

/** One look: `held` is what it came to. */
export type Seen = { started: string; platform: string; held: boolean };
/** `real`: the last look that held where the runtime is the specified one; a rehearsal on plain processes is not. */
export type LastSeen = { proof: Proof; last: Seen | undefined; real: Seen | undefined };

/** The name of a proof, as it is typed or found. */
export function nameOf(proof: Proof): string {
  if ('check' in proof) return proof.check;
  if ('drill' in proof) return `drill ${proof.drill}`;
  return 'criterion' in proof ? `acceptance ${proof.criterion}` : `make test: ${proof.test}`;
}

/** Of the runs that are kept, oldest first. A test leaves no evidence. */
export function lastSeen(proof: Proof, runs: readonly Result[]): LastSeen {
  const looks = runs.flatMap(run => {
    const points = lookedAt(pointsOf(proof, run));
    const seen = { started: run.started, platform: run.platform ?? 'unknown', held: points.every(({ held }) => held) };
    return points.length === 0 ? [] : [seen];
  });
  const real = looks.findLast(({ platform, held }) => held && (platform === 'docker' || platform === 'vagrant'));
  return { proof, last: looks.at(-1), real };
}

/**
 * Every proof that did not run exactly once and hold in the last acceptance, with what was seen instead. A drill that
 * is not on its list has to have held when it was last run for that commit on that platform.
 */
export function unprovenIn(guarantees: readonly Guarantee[], runs: readonly Result[]): string[] {
  const acceptance = runs.findLast(({ program }) => program === 'acceptance');
  if (acceptance === undefined) return ['there is no evidence of an acceptance: make acceptance'];
  const own = runs.filter(({ id, within }) => id === acceptance.id || within === acceptance.id);
  const proofs = new Map(guarantees.flatMap(({ proofs: all }) => all.map(proof => [nameOf(proof), proof] as const)));
  return [...proofs].flatMap(([name, proof]) => {
    const wrong = 'test' in proof ? undefined : 'check' in proof ? wrongCheck(proof, own)
      : 'drill' in proof && !isListed(proof.drill, acceptance) ? wrongLast(proof, runs, acceptance)
        : wrongOnce(proof, own);
    return wrong === undefined ? [] : [`${name}: ${wrong}`];
  });
}

/**
 * A check runs once for each node of each verification; on a node that was just made it may have nothing to look at.
 * Verifications of a system that is down are not about the system.
 */
function wrongCheck(proof: Proof, runs: readonly Result[]): string | undefined {
  const green = runs.filter(({ program, exit }) => program === 'verify' && exit === 0);
  if (green.length === 0) return 'no verification was green';
  const all = green.flatMap(run => pointsOf(proof, run));
  const on = (run: Result, node: string) => pointsOf(proof, run).filter(({ id }) => id.node === node);
  const perNode = green.flatMap(run => nodesOf(proof, run).map(node => on(run, node)));
  const wrong = lookedAt(all).length === 0 ? all : perNode.find(points => points.length !== 1);
  if (wrong !== undefined) return `wanted once for each node, ${tell(wrong)}`;
  return lookedAt(all).every(({ held }) => held) ? undefined : 'it did not hold';
}

/** With NODE=all the nodes of a run are all machines, also those on which no service was asked for. */
function nodesOf(proof: Proof, { nodes, points }: Result): string[] {
  const isOnline = 'check' in proof && proof.check.startsWith('online/');
  const isAlike = (rung?: string) => rung !== 'journal' && (rung === 'online') === isOnline;
  return nodes.filter(node => points.some(({ id }) => id.node === node && isAlike(id.rung)));
}

function wrongOnce(proof: Proof, runs: readonly Result[]): string | undefined {
  const points = runs.flatMap(run => pointsOf(proof, run));
  if (lookedAt(points).length !== 1) return `wanted once, ${tell(points)}`;
  return lookedAt(points).every(({ held }) => held) ? undefined : 'it did not hold';
}

function isListed(drill: string, acceptance: Result): boolean {
  return acceptance.points.some(({ id }) => id.rung === 'drills' && id.check === drill);
}

/** What ran elsewhere, or of another commit, says nothing of what was accepted; nor does an unknown commit. */
function wrongLast(proof: Proof, runs: readonly Result[], { platform, commit }: Result): string | undefined {
  const where = `on ${platform ?? 'an unknown platform'} for commit ${commit ?? 'unknown'}`;
  const own = runs.filter(run => platform !== null && commit !== null
    && run.platform === platform && run.commit === commit && pointsOf(proof, run).length > 0);
  const last = own.at(-1);
  if (last === undefined) return `it is on no list of make acceptance, and was not seen yet ${where}: make drills`;
  const points = pointsOf(proof, last);
  const skipped = points.find(({ skip }) => skip !== undefined);
  if (skipped !== undefined) return `it was not run at ${last.started}: ${skipped.skip}`;
  return points.every(({ held }) => held) ? undefined : `it did not hold at ${last.started}`;
}

function tell(points: readonly Point[]): string {
  const reasons = [...new Set(points.flatMap(({ skip }) => skip ?? []))];
  const { length } = lookedAt(points);
  const skipped = reasons.length > 0 ? `; skipped: ${reasons.join('; ')}` : '';
  return `saw it ${length === 1 ? 'once' : `${length} times`}${skipped}`;
}

function lookedAt(points: readonly Point[]): Point[] {
  return points.filter(({ skip }) => skip === undefined);
}

/** The points of a run that are this proof, looked at or not. */
function pointsOf(proof: Proof, { program, points }: Result): Point[] {
  return points.filter(({ id }) => {
    if ('test' in proof) return false;
    if ('check' in proof) return program === 'verify' && `${id.rung}/${id.check}` === proof.check;
    if ('drill' in proof) return program !== 'acceptance' && id.drill === proof.drill && id.check === undefined;
    return program === 'acceptance' && id.drill === undefined && id.rung === proof.criterion;
  });
}
