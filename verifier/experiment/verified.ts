// The program verify as a proof: red at one rung with all above it blocked while a fault is in place, green after it.
import { Broken } from '../checks/climb.ts';
import type { Check, Rung } from '../checks/climb.ts';
import { rungs } from '../checks/rungs.ts';
import type { RungName } from '../checks/rungs.ts';
import { tellBroken } from '../results/point.ts';
import type { Point } from '../results/point.ts';
import { ladderOf } from '../results/verdict.ts';
import type { Ladder } from '../results/verdict.ts';
import type { Experiment } from './experiment.ts';
import { keepsTo } from './fault.ts';

/** Where verify has to be red; of several the lowest that is broken, for platforms see more or less of a fault. */
export type Red = readonly [RungName, ...RungName[]];

/** `yes` below, `no` at the rung, `–` above it. */
export function expectedLadder(red: Red, seen?: Ladder): Ladder {
  const at = rungs.indexOf(red.find(rung => seen?.[rung] === 'no') ?? red[0]);
  const state = (i: number) => i < at ? 'yes' : i === at ? 'no' : '–';
  return Object.fromEntries(rungs.map((rung, i) => [rung, state(i)])) as Ladder;
}

/** The rungs that are not as expected: `ready: wanted yes, saw no`. What cannot be looked at here counts as a yes. */
export function wrongRungs(red: Red, seen: Ladder): string[] {
  const expected = expectedLadder(red, seen);
  return rungs.flatMap(rung => {
    const isAsExpected = seen[rung] === expected[rung] || (seen[rung] === 'skipped' && expected[rung] === 'yes');
    return isAsExpected ? [] : [`${rung}: wanted ${expected[rung]}, saw ${seen[rung]}`];
  });
}

/** While the fault is in place. */
export function verifyIsRed(experiment: Pick<Experiment, 'verify' | 'tellLadder'>, red: Red): Check {
  const claim = `verify is red at ${red.join(' or ')}, all above it blocked`;
  return { id: 'verify-red', claim, run: async say => {
    const { exit, points: all, cannotRun } = await experiment.verify();
    // that a fault is in place is known here
    const points = all.filter(({ id }) => id.rung !== 'journal');
    if (exit !== 1) throw new Broken(`verify: wanted exit 1, saw exit ${exit}: ${cannotRun ?? tellBroken(points)}`);
    const ladder = ladderOf(points);
    await experiment.tellLadder(ladder);
    say(rungs.map(rung => `${rung} ${ladder[rung]}`).join(' · '));
    const wrong = [...wrongRungs(red, ladder), ...notBlocked(points, ladder)];
    if (wrong.length > 0) throw new Broken(`verify: ${wrong.join('; ')}; it found ${tellBroken(points)}`);
  } };
}

/** Once it has recovered, within the budget. */
export function verifyIsGreen(experiment: Experiment): Rung {
  const claim = 'verify is green again, within its budget';
  return { name: 'green', checks: [{ id: 'verify-green', claim, run: async say => {
    const { exit, points, cannotRun, ms } = await experiment.verify();
    if (exit !== 0) throw new Broken(`verify: wanted exit 0, saw exit ${exit}: ${cannotRun ?? tellBroken(points)}`);
    say(`verify took ${ms} ms`);
    keepsTo(experiment, 'verify', ms);
  } }] };
}

/** A rung above the broken one that nobody planned would be `–` as well. */
function notBlocked(points: readonly Point[], ladder: Ladder): string[] {
  const at = rungs.findIndex(rung => ladder[rung] === 'no');
  return rungs.slice(at + 1).flatMap(rung => {
    const own = points.filter(({ id }) => id.rung === rung);
    const ran = own.filter(({ blockedBy }) => blockedBy !== rungs[at]);
    if (own.length === 0) return [`${rung}: wanted it blocked by ${rungs[at]}, saw nothing of it`];
    return ran.length === 0 ? [] : [`${rung}: wanted it blocked by ${rungs[at]}, saw ${ran.length} of its checks run`];
  });
}
