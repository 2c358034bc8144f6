// Executes the specification's acceptance list, from a clean state to a clean state.
import { messageOf } from '#infra/platform';
import { climb } from '../checks/climb.ts';
import { openEvidence } from '../evidence/evidence.ts';
import { firstRed } from '../results/point.ts';
import { isTestProgram, runTests, startProgram } from '../results/run.ts';
import type { Ended, Report, Running } from '../results/run.ts';
import { leaveWhenAsked, leaveWithParent, onSignals } from '../results/signals.ts';
import { answerHelp } from './help.ts';
import { CannotRun, begin, orCannotRun, root } from './program.ts';
import type { Begun, Program } from './program.ts';
import { acceptanceVerdict, criteria } from './specification.ts';

/** The golden path's node, and the second host. */
const nodes = ['control', 'worker1'] as const;

/** `verify` and `drill` are the files (URLs) of those programs. */
export type AcceptanceProgram = Program & { verify: string; drill: string };

const usage = `usage: node verifier/dist/acceptance.js
The specification's acceptance list, from a clean state to a clean state: a point of TAP for each criterion.
It starts ${nodes.join(' and ')} itself, runs the drills of the list, and destroys what it made.
  PLATFORM=  vagrant proves everything; elsewhere it is a rehearsal
  STRICT=1   nothing may be skipped, so a rehearsal is red
  SCALE=     every deadline so many times as long; ORDERS_STATE= another state folder
Exit 0 met, or rehearsed where all else held; 1 not met, 2 could not run.`;

/** TAP on stdout. Exit code 0 met, or rehearsed (red under STRICT=1), 1 not met, 2 could not run. */
export async function acceptance(program: AcceptanceProgram): Promise<number> {
  const { args, env } = program;
  const answered = await answerHelp('acceptance', args, usage);
  if (answered !== undefined) return answered;
  const itself = `TARGETS and NODE are not taken: acceptance starts ${nodes.join(' and ')} itself`;
  const refuse = () => [
    ...args.length > 0 ? ['no arguments are taken, but PLATFORM STRICT ORDERS_STATE SCALE are'] : [],
    ...env['TARGETS'] || env['NODE'] ? [itself] : [],
  ];
  const act = isTestProgram(env) ? prove : supervise;
  return begin('acceptance', program, begun => act(program, begun), refuse);
}

/** The parent: whatever becomes of the child, what it made is destroyed before this returns. */
async function supervise({ file, env }: AcceptanceProgram, { control, options }: Begun): Promise<number> {
  const used = await orCannotRun(control.memory());
  // it ends by destroying what it made, and must not take an operator's orders with it
  if (used !== undefined) {
    const advice = 'acceptance begins from a clean state and ends with nothing: make destroy first';
    throw new CannotRun(`platform ${used.platform} is in use; ${advice}`);
  }
  onSignals(name => say(`${name}: destroying what was made first, please wait`));
  const onEnd = ({ points, fault }: Pick<Report, 'points' | 'fault'>) => [
    ...firstRed(points), acceptanceVerdict(points, fault),
  ];
  const evidence = await openEvidence({ name: 'acceptance', env, root, options, control });
  const report = await runTests(file, [], evidence.watch({ env, head: options.relaxed, onEnd }));
  if (report.cannotRun !== undefined) say(report.cannotRun);
  const gone = await destroyLeft(control);
  return evidence.keep(report, gone ? report.exit : 1);
}

/** Gives whether nothing is left. */
async function destroyLeft(control: Begun['control']): Promise<boolean> {
  try {
    if (await control.memory() === undefined) return true;
    const outcome = await control.destroy();
    if (!('done' in outcome)) throw new Error(Object.values(outcome).join());
    say('what was made is destroyed');
    return true;
  } catch (error) {
    say(`what was made is NOT destroyed: ${messageOf(error)}; make destroy tries again`);
    return false;
  }
}

/** The child: its points go to its parent, which it never outlives. */
async function prove({ env, verify, drill, stage }: AcceptanceProgram, { options, control }: Begun): Promise<number> {
  const running = new Set<Running>();
  // these steer only what an operator types
  const { TARGETS: _targets, EXPECT: _expect, ...bare } = env;
  type Run = (file: string, args: string[], on: readonly string[], deadlineMs: number, more?: object) => Promise<Ended>;
  const run: Run = async (file, args, on, deadlineMs, more = {}) => {
    const one = startProgram(file, args, { ...bare, ...more, NODE: on.join(' ') });
    running.add(one);
    // asked to end, never killed: a drill still has to undo what it broke
    const late = setTimeout(one.end, deadlineMs);
    const ended = await one.ended;
    clearTimeout(late);
    running.delete(one);
    return ended;
  };
  leaveWithParent();
  leaveWhenAsked(async () => {
    for (const { end } of running) end();
    await Promise.all([...running].map(({ ended }) => ended));
    await control.idle();
  });
  const list = criteria({
    options, control, nodes,
    verify: (on, deadlineMs, strict = false) => run(verify, [], on, deadlineMs, { STRICT: strict ? '1' : '' }),
    drill: (name, node, deadlineMs) => run(drill, [name], [node], deadlineMs),
  });
  await climb(stage, list, { id: { node: nodes[0] }, label: '', strict: options.strict });
  return 0;
}

function say(text: string): void {
  process.stderr.write(`acceptance: ${text}\n`);
}
