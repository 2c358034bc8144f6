// Says whether the system works: each node's contract, faults that were left in place, and that all nodes run the same.
import { messageOf } from '#infra/platform';
import type { Control, Entry } from '#infra/control';
import { Broken, broken, climb } from '../checks/climb.ts';
import { sameEverywhere } from '../checks/contained.ts';
import type { Build } from '../checks/contained.ts';
import { climbContract, climbNotUp } from '../checks/contract.ts';
import { openApi } from '../client/api.ts';
import type { Options } from '../options.ts';
import type { Point } from '../results/point.ts';
import type { Stage } from '../results/registry.ts';
import { isTestProgram, runTests } from '../results/run.ts';
import { leaveWithParent } from '../results/signals.ts';
import { verdict } from '../results/verdict.ts';
import { begin } from './program.ts';
import type { Begun, Program } from './program.ts';
import { factsOf, findTargets } from './targets.ts';
import type { Found } from './targets.ts';

type Looking = Begun & { stage: Stage };

/** TAP on stdout. Gives the exit code: 0 held, 1 broken, 2 could not run. */
export function verify(program: Program): Promise<number> {
  const { args, env, file, stage } = program;
  const refuse = () => args.length === 0 ? []
    : ['no arguments are taken, but TARGETS EXPECT STRICT NODE PLATFORM ORDERS_STATE SCALE are'];
  return begin('verify', program, async ({ options, control }) => {
    if (isTestProgram(env)) return look({ options, control, stage });
    const report = await runTests(file, [], { env, onEnd: ({ points }) => summary(points, options) });
    if (report.cannotRun !== undefined) process.stderr.write(`verify: ${report.cannotRun}\n`);
    return report.exit;
  }, refuse);
}

async function look(looking: Looking): Promise<number> {
  const { options, control, stage } = looking;
  leaveWithParent();
  const { found, notUp } = await findTargets(options, control);
  await tellFaults([...notUp, ...found.flatMap(({ node }) => node ?? [])], looking);
  const ends: (string | null)[] = [];
  for (const node of notUp) ends.push(await climbNotUp(stage, node, options.strict));
  for (const { target, node, ledger } of found) {
    ends.push(await climbContract(stage, target, { ...options, ledger, facts: factsOf(control, node) }));
  }
  if (ends.length > 1) await compareNodes(found, ends.find(end => end !== null), looking);
  return ends.every(end => end === null) ? 0 : 1;
}

/** A fault on a node that is looked at makes the run red, unless trouble is what was asked for; any other is told. */
async function tellFaults(nodes: readonly string[], { options, control, stage }: Looking): Promise<void> {
  let faults: Entry[];
  try {
    faults = await control.faultsInPlace(['all']);
  } catch (error) {
    // faults that nobody can see may be in place: no word of this run could be trusted
    if (nodes.length > 0) await tellUnreadable(messageOf(error), stage);
    return;
  }
  for (const entry of faults) {
    const { node, fault } = entry;
    const at = `${node} journal`;
    const told = await tellFault(entry, control);
    await stage.test(`${at}: ${told}`, { id: { node, rung: 'journal', check: fault } }, async t => {
      if (nodes.includes(node) && options.expect === 'ready') throw broken(at, 'no fault in place', told);
      t.diagnostic(`${at}: ${told}`);
    });
  }
}

async function tellFault({ node, fault, since }: Entry, control: Control): Promise<string> {
  const drill = await control.drillOn(node);
  if (drill !== undefined) {
    return `fault ${fault} is in place since ${since}: ${drill.name} (pid ${drill.pid}) runs and recovers it`;
  }
  const undo = `make recover NODE=${node}, or NODE=${node} node verifier/dist/drill.js recover, undoes it`;
  return `fault ${fault} is still in place since ${since}; ${undo}`;
}

async function tellUnreadable(why: string, stage: Stage): Promise<void> {
  const id = { node: 'nodes', rung: 'journal', check: 'readable' };
  const claim = 'nodes journal: which faults are in place can be read';
  await stage.test(claim, { id }, () => Promise.reject(new Broken(why)));
}

async function compareNodes(found: Found[], blockedBy: string | null | undefined, looking: Looking): Promise<void> {
  const names = found.map(({ target }) => target.node).join(', ');
  const run = async () => {
    const finding = sameEverywhere(await Promise.all(found.map(one => seeBuild(one, looking))));
    if (finding !== null) throw broken(names, finding.wanted, finding.saw);
  };
  const checks = [{ id: 'one-build', claim: `one image and one commit on ${names}`, run }];
  await climb(looking.stage, [{ name: 'contained', checks }], { id: { node: 'nodes' }, blockedBy: blockedBy ?? null });
}

async function seeBuild({ target, node }: Found, { options, control }: Begun): Promise<Build> {
  const told = await factsOf(control, node)();
  const commit = (await openApi(target, options.scaled(2_000)).version()).value?.git_sha;
  if ('failed' in told) return { node: target.node, image: undefined, commit };
  const image = 'done' in told && told.done.containers ? told.done.api.image_id : 'no image';
  return { node: target.node, image, commit };
}

function summary(points: readonly Point[], { expect }: Options): string[] {
  const faults = points.filter(({ id }) => id.rung === 'journal').map(({ claim }) => claim);
  return [...faults, verdict(points, expect)];
}
