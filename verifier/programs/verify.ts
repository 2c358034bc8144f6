// Says whether the system works: each node's contract, faults that were left in place, and that all nodes run the same.
import { messageOf } from '#infra/platform';
import type { Control, Entry } from '#infra/control';
import { wantedBuild } from '../checks/service/build.ts';
import { Broken, broken, climb } from '../checks/climb.ts';
import type { Check } from '../checks/climb.ts';
import { nothingToCompare, sameEverywhere } from '../checks/container-rules.ts';
import type { Build } from '../checks/container-rules.ts';
import { climbContract, climbNotUp } from '../checks/contract.ts';
import { climbMachines } from '../checks/online.ts';
import { nextSteps } from '../checks/next-steps.ts';
import { ladder, machineChecks, plannedChecks } from '../checks/rungs.ts';
import { openApi } from '../client/api.ts';
import { openEvidence } from '../evidence/evidence.ts';
import type { Options } from '../options.ts';
import { brokenOf, firstRed } from '../results/point.ts';
import type { Point } from '../results/point.ts';
import type { Stage } from '../results/registry.ts';
import type { Scope } from '../results/reporter.ts';
import { isTestProgram, runTests, tell } from '../results/run.ts';
import type { Report } from '../results/run.ts';
import { leaveWithParent } from '../results/signals.ts';
import { verdict } from '../results/verdict.ts';
import { answerHelp } from './help.ts';
import { begin, orCannotRun, root } from './program.ts';
import type { Begun, Program } from './program.ts';
import { askMachines, factsOf, findTargets } from './targets.ts';
import type { Found } from './targets.ts';

type Looking = Begun & { stage: Stage; pace: number };

/** What is planned over several targets. */
const compared = ['instances-apart', 'one-build'];
/** What a run may take for each target, times SCALE: enough for a service that takes 0.6 s for each answer. */
const RUN_MS = 180_000;

const usage = `usage: node verifier/dist/verify.js
Says whether the system is what it promises: a point of TAP for each check on stdout, and a verdict.
  NODE="control worker1"  these nodes; all, or nothing: those that were asked for at make up
  TARGETS=host:port,...   these addresses in place of nodes
  EXPECT=unready          the database is away on purpose: everything has to be refused as promised
  STRICT=1                nothing may be skipped
  COMMIT=c0ffee1          what the service must be built from, where it is not the commit of this checkout
  ALL=1                   every promised order is asked for, however many they are
  SCALE=10                every deadline ten times as long; the whole run has ${RUN_MS / 1_000} s a target
  PLATFORM= ORDERS_STATE= where they are not those of make up
Exit 0 held, 1 broken, 2 could not run.`;

/** TAP on stdout. Gives the exit code: 0 held, 1 broken, 2 could not run. */
export async function verify(program: Program): Promise<number> {
  const { args, env, stage, pace = 1 } = program;
  const answered = await answerHelp('verify', args, usage);
  if (answered !== undefined) return answered;
  const refuse = () => args.length === 0 ? []
    : ['no arguments are taken, but TARGETS EXPECT STRICT COMMIT ALL NODE PLATFORM ORDERS_STATE SCALE are'];
  const act = (begun: Begun) => isTestProgram(env) ? look({ ...begun, stage, pace }) : supervise(program, begun);
  return begin('verify', program, act, refuse);
}

/** The parent: knows what is planned, how long it may take, and what the points come to. */
async function supervise({ env, file }: Program, { options, control }: Begun): Promise<number> {
  const evidence = await openEvidence({ name: 'verify', env, root, options, control });
  let scope: Scope | undefined;
  const report = await runTests(file, [], evidence.watch({
    env, head: options.relaxed,
    onMessage: message => { if ('scope' in message) ({ scope } = message); },
    // of a long ledger every order may be asked for
    limitMs: () => options.scaled(options.all ? 10 * RUN_MS : RUN_MS) * Math.max(1, spanOf(scope)),
    missing: points => missingOf(points, scope, options),
    onEnd: end => summary(end, scope, options),
  }));
  if (report.cannotRun !== undefined) process.stderr.write(`verify: ${report.cannotRun}\n`);
  return evidence.keep(report);
}

async function look(looking: Looking): Promise<number> {
  const { options, control, stage, pace } = looking;
  leaveWithParent();
  const { found, notUp, platform } = await findTargets(options, control);
  const rehearsal = platform === 'process' && found.some(({ node }) => node !== undefined);
  // with nothing up nothing is sent, to a machine neither
  const machines = found.length === 0 ? undefined : await askMachines(options, control, found);
  const targets = [...notUp, ...found.map(({ target }) => target.node)];
  tell({ scope: { targets, machines: [...machines?.told.keys() ?? []], rehearsal } });
  const own = [...notUp, ...found.flatMap(({ node }) => node ?? [])];
  // of a fleet a fault is nobody's alone, whichever node it was asked of
  const isFleet = platform === 'swarm' && own.length > 0;
  await tellFaults(isFleet ? await orCannotRun(control.chosenNodes(['all'])) : own, looking);
  const ends: (string | null)[] = [];
  // a slow machine needs longer to answer, not to be watched longer
  const span = (ms: number) => Math.min(ms, options.scaled(ms)) * pace;
  const common = { ...options, span, build: wantedBuild(options) };
  const { strict } = options;
  const off = machines === undefined ? new Set<string>() : await climbMachines(stage, { ...machines, strict });
  for (const node of notUp) ends.push(await climbNotUp(stage, node, options));
  for (const { target, node, ledger } of found) {
    const fleet = platform === 'swarm' && node !== undefined;
    const contract = { ...common, ledger, fleet, facts: factsOf(control, node) };
    ends.push(await climbContract(stage, target, contract, off.has(target.node) ? 'online' : null));
  }
  const fleet = platform === 'swarm' && found.every(({ node }) => node !== undefined);
  if (ends.length > 1) await compareNodes(found, ends.find(end => end !== null), { ...looking, fleet });
  return off.size === 0 && ends.every(end => end === null) ? 0 : 1;
}

/** All machines take as long as one target. */
function spanOf(scope: Scope | undefined): number {
  return (scope?.targets.length ?? 1) + Math.min(1, scope?.machines.length ?? 0);
}

/** A fault on a node that is looked at makes the run red, unless trouble was asked for; any other is reported. */
async function tellFaults(nodes: readonly string[], looking: Looking): Promise<void> {
  const { options, control, stage } = looking;
  let faults: Entry[];
  try {
    faults = await control.faultsInPlace(['all']);
  } catch (error) {
    await tellUnreadable(messageOf(error), nodes, looking);
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

/** Faults that nobody can see may be in place: no word about a node of ours could be trusted. */
async function tellUnreadable(why: string, nodes: readonly string[], { options, stage }: Looking): Promise<void> {
  const run = () => Promise.reject(new Broken(why));
  const readable: Check = { id: 'readable', claim: 'which faults are in place can be read', run };
  const strangers = nodes.length === 0 ? { skip: `no target is a node of ours that is known: ${why}` } : {};
  const rung = { name: 'journal', checks: [{ ...readable, ...strangers }] };
  await climb(stage, [rung], { id: { node: 'nodes' }, strict: options.strict });
}

async function tellFault({ node, fault, since }: Entry, control: Control): Promise<string> {
  const drill = await control.drillOn(node);
  if (drill !== undefined) {
    return `fault ${fault} is in place since ${since}: ${drill.name} (pid ${drill.pid}) runs and recovers it`;
  }
  const undo = `make recover NODE=${node}, or NODE=${node} node verifier/dist/drill.js recover, undoes it`;
  return `fault ${fault} is still in place since ${since}; ${undo}`;
}

async function compareNodes(
  found: Found[], blockedBy: string | null | undefined, looking: Looking & { fleet: boolean },
): Promise<void> {
  const { stage, options } = looking;
  const names = found.map(({ target }) => target.node).join(', ');
  let looked: Promise<Build[]> | undefined;
  const look = () => (looked ??= Promise.all(found.map(one => seeBuild(one, looking))));
  const skip = async () => nothingToCompare(await look());
  const run = async () => {
    const finding = sameEverywhere(await look());
    if (finding !== null) throw broken(names, finding.wanted, finding.saw);
  };
  const build: Check = { id: 'one-build', claim: `one image and one commit on ${names}`, skip, run };
  const apart = looking.fleet ? eachIsSpread(found, looking) : eachIsAnother(found, looking);
  const rung = { name: 'contained', checks: [apart, build] };
  const climbing = { id: { node: 'nodes' }, strict: options.strict, blockedBy: blockedBy ?? null };
  await climb(stage, [rung], climbing);
}

/** One system that is reached in several ways is one, however its address is spelt. */
function eachIsAnother(found: Found[], { options }: Looking): Check {
  return { id: 'instances-apart', claim: 'each target is an instance of its own', run: async () => {
    const seen = new Map<string, string>();
    for (const { target } of found) {
      const { value } = await openApi(target, options.scaled(2_000)).version();
      if (value === undefined) throw broken(target.node, 'an instance', 'no version');
      const instance = value.instance_id;
      const other = seen.get(instance);
      if (other !== undefined) throw broken(`${other}, ${target.node}`, 'two instances', `${instance} behind both`);
      seen.set(instance, target.node);
    }
  } };
}

/** Every router of a fleet leads to the same replicas: of these there has to be one on each machine. */
function eachIsSpread(found: Found[], { control }: Looking): Check {
  const claim = 'each target is a machine of its own, with its own router and its own replica';
  return { id: 'instances-apart', claim, run: async () => {
    const seen = new Map<string, string>();
    for (const { target, node } of found) {
      const told = await factsOf(control, node)();
      const tasks = 'done' in told && told.done.containers === 'tasks' ? told.done.tasks : [];
      for (const service of ['router', 'api']) {
        const id = tasks.find(task => task.service === service && task.node === node)?.id;
        if (id === undefined) throw broken(target.node, `a task of ${service} there`, 'none');
        const other = seen.get(id);
        const names = `${other}, ${target.node}`;
        if (other !== undefined) throw broken(names, `two tasks of ${service}`, `${id} behind both`);
        seen.set(id, target.node);
      }
    }
  } };
}

async function seeBuild({ target, node }: Found, { options, control }: Begun): Promise<Build> {
  const told = await factsOf(control, node)();
  const commit = (await openApi(target, options.scaled(2_000)).version()).value?.git_sha;
  const seen = { node: target.node, commit, image: undefined };
  if ('failed' in told) return seen;
  if ('impossible' in told) return { ...seen, without: told.impossible };
  if (told.done.containers === 'tasks') {
    const own = told.done.tasks.find(task => task.service === 'api' && task.node === node);
    return { ...seen, image: own?.box.image_id };
  }
  return told.done.containers ? { ...seen, image: told.done.api.image_id } : { ...seen, without: told.done.reason };
}

/** By name what was planned for a target and was neither looked at nor skipped. */
function missingOf(points: readonly Point[], scope: Scope | undefined, { expect }: Options): string[] {
  if (scope === undefined) return ['all of them'];
  const planned = Object.entries(plannedChecks(expect)).flatMap(([rung, ids]) => ids.map(check => ({ rung, check })));
  const wanted = [
    ...scope.machines.flatMap(node => machineChecks.online.map(check => ({ node, rung: 'online', check }))),
    ...scope.targets.flatMap(node => planned.map(one => ({ node, ...one }))),
    ...scope.targets.length > 1 ? compared.map(check => ({ node: 'nodes', rung: 'contained', check })) : [],
  ];
  return wanted
    .filter(({ node, rung, check }) => (
      !points.some(({ id }) => id.node === node && id.rung === rung && id.check === check)
    ))
    .map(({ node, rung, check }) => `${node} ${rung} ${check}`);
}

/** What comes last: faults that were reported, the first red with what to do about it, the verdict. */
function summary(report: Pick<Report, 'points' | 'fault' | 'cannotRun'>, scope: Scope | undefined, options: Options) {
  const { points, fault, cannotRun } = report;
  if (cannotRun !== undefined) return ['verdict: none, it could not run'];
  const told = points.filter(({ id, held }) => id.rung === 'journal' && held).map(({ claim }) => claim);
  const [first] = brokenOf(points);
  const rung = ladder.find(name => name === first?.id.rung);
  return [
    ...told,
    // a fault in place is reported with its remedy, as a claim
    ...first?.id.rung === 'journal' ? [`first red: ${first.claim}`] : firstRed(points),
    ...rung === undefined ? [] : [`next: ${nextSteps[rung]}`],
    verdict(points, options.expect, { red: fault !== null, rehearsal: scope?.rehearsal ?? false }),
  ];
}
