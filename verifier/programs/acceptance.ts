// Executes the specification's acceptance list, from a clean state to a clean state.
import { messageOf } from '#infra/platform';
import { climb } from '../checks/climb.ts';
import { drills } from '../drills/catalogue.ts';
import { isTestProgram, runTests, startProgram } from '../results/run.ts';
import type { Ended, Running } from '../results/run.ts';
import { leaveWhenAsked, leaveWithParent, onSignals } from '../results/signals.ts';
import { CannotRun, begin, orCannotRun } from './program.ts';
import type { Begun, Program } from './program.ts';
import { criteria } from './specification.ts';

/** The golden path's node, and the second host. */
const nodes = ['control', 'worker1'] as const;

/** `verify` and `drill` are the files (URLs) of those programs. */
export type AcceptanceProgram = Program & { verify: string; drill: string };

/** TAP on stdout. Gives the exit code: 0 met, 1 not met, 2 could not run. */
export function acceptance(program: AcceptanceProgram): Promise<number> {
  const { args, env } = program;
  const itself = `TARGETS and NODE are not taken: acceptance starts ${nodes.join(' and ')} itself`;
  const refuse = () => [
    ...args.length > 0 ? ['no arguments are taken, but PLATFORM STRICT ORDERS_STATE SCALE are'] : [],
    ...env['TARGETS'] || env['NODE'] ? [itself] : [],
  ];
  const act = isTestProgram(env) ? prove : supervise;
  return begin('acceptance', program, begun => act(program, begun), refuse);
}

/** The parent: whatever becomes of the child, what it made is destroyed before this returns. */
async function supervise({ file, env }: AcceptanceProgram, { control }: Begun): Promise<number> {
  const used = await orCannotRun(control.memory());
  // it ends by destroying what it made, and must not take an operator's orders with it
  if (used !== undefined) {
    const advice = 'acceptance begins from a clean state and ends with nothing: make destroy first';
    throw new CannotRun(`platform ${used.platform} is in use; ${advice}`);
  }
  onSignals(name => say(`${name}: destroying what was made first, please wait`));
  const onEnd = ({ fault }: { fault: string | null }) => [`verdict: acceptance ${fault === null ? 'met' : 'not met'}`];
  const report = await runTests(file, [], { env, onEnd });
  if (report.cannotRun !== undefined) say(report.cannotRun);
  const gone = await destroyLeft(control);
  return gone ? report.exit : 1;
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
  const run = async (file: string, args: string[], on: readonly string[], deadlineMs: number): Promise<Ended> => {
    const one = startProgram(file, args, { ...bare, NODE: on.join(' ') });
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
    drills: drills.map(({ name }) => name),
    verify: (on, deadlineMs) => run(verify, [], on, deadlineMs),
    drill: (name, node, deadlineMs) => run(drill, [name], [node], deadlineMs),
  });
  await climb(stage, list, { id: { node: nodes[0] }, label: '', strict: options.strict });
  return 0;
}

function say(text: string): void {
  process.stderr.write(`acceptance: ${text}\n`);
}
