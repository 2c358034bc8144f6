// Every drill in which verify has to turn red, and a matrix: rung by rung, what it had to say and what it said.
import { rungs } from '../checks/rungs.ts';
import { drills } from '../drills/catalogue.ts';
import type { Drill } from '../experiment/drill.ts';
import { expectedLadder } from '../experiment/verified.ts';
import type { Red } from '../experiment/verified.ts';
import type { Point } from '../results/point.ts';
import { bailOut, isTestProgram } from '../results/run.ts';
import type { Ladder } from '../results/verdict.ts';
import { drill } from './drill.ts';
import type { DrillProgram, Ladders } from './drill.ts';
import { answerHelp } from './help.ts';

type RedDrill = Drill & { red: Red };
const red = drills.filter((one): one is RedDrill => one.red !== undefined);

const usage = `usage: node verifier/dist/prove.js
Runs every drill in which verify itself has to turn red, and prints what it had to say, rung by rung, and said.
  NODE= picks the node (one that is up), PLATFORM= the platform, SCALE= stretches every deadline, STRICT=1 takes no skip
Exit 0 as expected, 1 not, 2 could not run.`;

/** They are drills: one at a time on a node, undone however they end. The exit code is theirs. */
export async function prove(program: DrillProgram): Promise<number> {
  if (isTestProgram(program.env)) return drill(program);
  const answered = await answerHelp('prove', program.args, usage);
  if (answered !== undefined) return answered;
  if (program.args.length > 0) return bailOut('prove', 'no arguments are taken, but NODE PLATFORM SCALE STRICT are');
  return drill({ ...program, name: 'prove', args: red.map(({ name }) => name) }, tellMatrix);
}

/** A fault takes two lines: `expected` and `seen`. One that is not possible here has its reason instead. */
export function tellMatrix(ladders: Ladders, points: readonly Point[]): string[] {
  const rows = red.flatMap(({ name, red: at }) => {
    const ladder = ladders.get(name);
    const skip = points.find(({ id }) => id.drill === name && id.check === undefined)?.skip;
    if (skip !== undefined) return [[name, skip]];
    const seen = ladder === undefined ? ['verify was not asked'] : cellsOf(ladder);
    return [[name, 'expected', ...cellsOf(expectedLadder(at, ladder))], ['', 'seen', ...seen]];
  });
  const table = [['fault', '', ...rungs], ...rows];
  // a reason may be as long as it likes
  const widths = ['', '', ...rungs].map((_, column) => Math.max(...table.map(row => (
    row.length <= 3 && column > 0 ? 0 : row[column]?.length ?? 0
  ))));
  const lines = table.map(row => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ').trimEnd());
  return ['what verify says while a fault is in place (– is blocked by the rung that is broken):', ...lines];
}

function cellsOf(ladder: Ladder): string[] {
  return rungs.map(rung => ladder[rung]);
}
