// Breaks the system on purpose and sees it heal: a parent that undoes, and its child that runs the drills.
import { test } from 'node:test';
import type { Target } from '#infra/platform';
import { OwnTrouble } from '../checks/climb.ts';
import { describeBudgets, describeDrill, drills, listDrills, pickDrills } from '../drills/catalogue.ts';
import { openEvidence } from '../evidence/evidence.ts';
import { runDrill } from '../experiment/drill.ts';
import type { Drill } from '../experiment/drill.ts';
import { backupsOf, openExperiment } from '../experiment/experiment.ts';
import { watchBackups } from '../experiment/reckoning.ts';
import { startAgain, undoFaults } from '../experiment/undo.ts';
import { watchedOf } from '../experiment/watched.ts';
import type { Expect, Options } from '../options.ts';
import { brokenOf, firstRed } from '../results/point.ts';
import type { Point } from '../results/point.ts';
import { register } from '../results/registry.ts';
import type { Message } from '../results/reporter.ts';
import { bailOut, isTestProgram, runTests, startProgram, tell } from '../results/run.ts';
import type { Running } from '../results/run.ts';
import { leaveWhenAsked, leaveWithParent, onSignals } from '../results/signals.ts';
import { printText } from '../results/terminal.ts';
import type { Ladder } from '../results/verdict.ts';
import { answerHelp, nearest } from './help.ts';
import { CannotRun, begin, orCannotRun, root } from './program.ts';
import type { Begun, Program } from './program.ts';
import { findTargets } from './targets.ts';

const usage = `usage: drill NAME… | all | --list | --describe [NAME…] | recover
  NODE= picks the node (one that is up), PLATFORM= the platform (the one that is up), SCALE= stretches every deadline,
  KILLS= is how often mid-flight kills (3) and power-cut cuts (5), STRICT=1 takes no skip
Exit 0 held, 1 broken, 2 could not run.`;

/** `verify` is the file (a URL) of that program; `name` is what its evidence is called. */
export type DrillProgram = Program & { verify: string; name?: 'drill' | 'prove' };
/** What verify said while each fault was in place, by drill. */
export type Ladders = ReadonlyMap<string, Ladder>;
/** Comment lines to stand before the verdict. */
type TellEnd = (ladders: Ladders, points: readonly Point[]) => string[];

/** Exit 0 held, 1 broken, 2 could not run, 128 + n after a signal. */
export async function drill(program: DrillProgram, tellEnd: TellEnd = () => []): Promise<number> {
  // a reader that hangs up early (`drill 2>&1 | head -3`) costs the report, never the recovery
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  const answered = await answerHelp('drill', program.args, usage);
  if (answered !== undefined) return answered;
  const [first, ...rest] = program.args;
  if (first === '--list') return rest.length === 0 ? printText(listDrills()) : refuseMore(rest);
  if (first === '--describe') return describe(rest);
  if (first === 'recover' && rest.length === 0) return beginOnNode(program, recoverLeft);
  if (first === undefined) return bailOut('drill', usage);
  const { picked, unknown } = pickDrills(program.args);
  if (unknown.length > 0) return bailOut('drill', tellUnknown(unknown));
  if (isTestProgram(program.env)) return beginOnNode(program, begun => runAll(program, picked, begun));
  return beginOnNode(program, begun => supervise(program, { picked, tellEnd }, begun));
}

async function describe(names: string[]): Promise<number> {
  const { picked, unknown } = pickDrills(names);
  if (unknown.length === 0) return printText([...picked.map(describeDrill), describeBudgets()].join('\n\n'));
  say(tellUnknown(unknown));
  return 2;
}

function refuseMore(rest: readonly string[]): number {
  say(`--list takes no "${rest.join(' ')}"; --describe NAME tells of one drill`);
  return 2;
}

function tellUnknown(unknown: readonly string[]): string {
  const known = drills.map(({ name }) => name);
  const meant = unknown.flatMap(name => nearest(name, known) ?? []);
  const perhaps = meant.length > 0 ? `, perhaps ${meant.join(', ')}` : '';
  return `no drill ${unknown.join(', ')}${perhaps}\nknown drills:\n${listDrills()}`;
}

type OnNode = Begun & { node: string };

/** `inDrill`: control does not wait for the drill that this is. */
function beginOnNode(program: Program, act: (begun: OnNode) => Promise<number>): Promise<number> {
  const openControl: Program['openControl'] = options => program.openControl({ ...options, inDrill: true });
  return begin('drill', { ...program, openControl }, async begun => {
    const [node] = await orCannotRun(begun.control.chosenNodes());
    if (node === undefined) throw new CannotRun('there is no node');
    return act({ ...begun, node });
  }, refuse);
}

function refuse(options: Options | undefined): string[] {
  const { targets = [], nodes } = options ?? {};
  const several = nodes === 'all' || (nodes !== undefined && nodes.length > 1);
  return [
    ...targets.length > 0 ? ['TARGETS is for verify; a drill acts on a node of ours, picked by NODE'] : [],
    ...several ? [`NODE must be one node for a drill, not "${[nodes].flat().join(' ')}"`] : [],
  ];
}

type Chosen = { picked: readonly Drill[]; tellEnd: TellEnd };

/** The parent: whatever becomes of the child, what it broke is undone before the lock is given back. */
async function supervise(program: DrillProgram, { picked, tellEnd }: Chosen, begun: OnNode): Promise<number> {
  const names = picked.map(({ name }) => name);
  const lock = await takeNode(begun, `drill ${names.join(' ')}`);
  try {
    await findTarget(begun);
    return await superviseChild(program, { names, tellEnd }, { ...begun, lock: lock.fd });
  } finally {
    lock.release();
  }
}

/**
 * The kernel gives the lock back when everyone who holds it is gone, however they went. A fault of a fleet is one of
 * all its nodes: there a drill takes all of them.
 */
async function takeNode({ control, node, options }: OnNode, name: string): Promise<Taken> {
  const platform = options.platform ?? (await orCannotRun(control.memory()))?.platform;
  const held = new Map<string, Taken>();
  const release = () => held.forEach(lock => lock.release());
  for (const one of platform === 'swarm' ? await orCannotRun(control.chosenNodes(['all'])) : [node]) {
    const lock = await orCannotRun(control.beginDrill(one, name));
    if ('heldBy' in lock) {
      release();
      const { heldBy } = lock;
      throw new CannotRun(`${heldBy.name} (pid ${heldBy.pid}) is running on ${one}: one drill at a time on a node`);
    }
    held.set(one, lock);
  }
  const own = held.get(node);
  if (own === undefined) throw new CannotRun(`there is no node ${node}`);
  return { fd: own.fd, release };
}

type Taken = { fd: number; release: () => void };

type Locked = OnNode & { lock: number };

async function superviseChild(
  program: DrillProgram, { names, tellEnd }: { names: string[]; tellEnd: TellEnd }, begun: Locked,
): Promise<number> {
  const { control, node, lock, options } = begun;
  // until the process is gone: a signal in its last moment must not change how it ended
  onSignals(name => say(`${name}: undoing what was broken first, please wait`));
  let halted = false;
  const ladders = new Map<string, Ladder>();
  const endBackups = await watchBackups(backupsOf(options.state, node));
  const evidence = await openEvidence({ name: program.name ?? 'drill', env: program.env, root, options, control });
  const report = await runTests(program.file, names, evidence.watch({
    env: { ...program.env, NODE: node },
    head: options.relaxed,
    hold: lock,
    onEnd: ({ points }) => [...tellEnd(ladders, points), ...tellRed(points), verdict(names, points)],
    onMessage: message => {
      if ('halted' in message) ({ halted } = message);
      if ('ladder' in message) ladders.set(message.drill, message.ladder);
    },
  }));
  if (report.cannotRun !== undefined) say(report.cannotRun);
  const undone = [await undoFaults(control, node)];
  // only what this drill has halted, and did not come to start
  if (halted) undone.push(await startAgain(control, node));
  undone.flatMap(({ said }) => said).forEach(say);
  const isNeeded = report.exit === 1 || brokenOf(report.points).length > 0 || undone.some(({ whole }) => !whole);
  (await endBackups(isNeeded)).forEach(say);
  // whatever was left for the parent to undo, the drill did not come to its end
  const late = undone.some(({ said, whole }) => !whole || (report.exit === 0 && said.length > 0));
  const notRun = report.exit === 0 && report.points.filter(isDrill).every(({ skip }) => skip !== undefined);
  return evidence.keep(report, late ? 1 : notRun ? 2 : report.exit);
}

/** The child: its points go to its parent, which it never outlives. */
async function runAll(
  program: DrillProgram, picked: readonly Drill[], { options, control, node }: OnNode,
): Promise<number> {
  leaveWithParent();
  let verifying: Running | undefined;
  leaveWhenAsked(async () => {
    verifying?.end();
    await control.idle();
  });
  const { target, ledger } = await findTarget({ options, control, node });
  const verify = (expect: Expect) => {
    // what this platform cannot show is for verify itself to say
    verifying = startProgram(program.verify, [], { ...program.env, NODE: node, EXPECT: expect, STRICT: '' });
    return verifying.ended;
  };
  let own: OwnTrouble | undefined;
  const hold = (error: unknown) => {
    if (error instanceof OwnTrouble) own = error;
    throw error;
  };
  for (const one of picked) {
    const onHalt = (halted: boolean) => tellParent({ halted });
    const tellLadder = (ladder: Ladder) => tellParent({ drill: one.name, ladder });
    const experiment = openExperiment({ options, target, ledger, control, verify, onHalt, tellLadder });
    await test(register(one.name, { id: { node, drill: one.name } }), t => runDrill(t, one, experiment).catch(hold));
    if (experiment.begun) tell({ watched: watchedOf(one, experiment) });
    // whatever was broken is undone; that the ledger cannot be written is no finding about the system
    if (own !== undefined) throw own;
  }
  return 0;
}

/** Resolves when it is on its way: the kernel then keeps it for the parent, whatever becomes of this process. */
function tellParent(message: Message): Promise<void> {
  return new Promise((resolve, reject) => {
    if (process.send === undefined) reject(new Error('there is no parent that could act on it'));
    else process.send(message, undefined, {}, error => error === null ? resolve() : reject(error));
  });
}

/** Where the node answers; CannotRun when it is not up, or broken already. */
async function findTarget({ options, control, node }: OnNode): Promise<{ target: Target; ledger: string }> {
  const { found, platform } = await findTargets(options, control);
  const faults = await orCannotRun(control.faultsInPlace(platform === 'swarm' ? ['all'] : [node]));
  const own = found.find(({ target }) => target.node === node);
  if (own === undefined) throw new CannotRun(`${node} is not up (make up starts it); nothing was broken`);
  if (faults.length === 0) return own;
  const told = faults.map(({ fault, since }) => `${fault} since ${since}`).join(', ');
  const where = faults[0]?.node ?? node;
  const undo = `NODE=${where} node verifier/dist/drill.js recover undoes it`;
  throw new CannotRun(`still in place on ${where}: ${told}; ${undo}`);
}

/** What a drill left that was killed together with its parent. */
async function recoverLeft(begun: OnNode): Promise<number> {
  const { control, node } = begun;
  const lock = await takeNode(begun, 'drill recover');
  onSignals(name => say(`${name}: this is the undoing, please wait`));
  const { said, whole } = await undoFaults(control, node);
  (said.length > 0 ? said : [`no fault is in place on ${node}`]).forEach(say);
  lock.release();
  return whole ? 0 : 1;
}

function tellRed(points: readonly Point[]): string[] {
  const [first] = brokenOf(points);
  const next = `next: make verify, then what RUNBOOK.md says under ${first?.id.drill}`;
  return first === undefined ? [] : [...firstRed(points), next];
}

function verdict(names: readonly string[], points: readonly Point[]): string {
  return `verdict: ${names.map(name => {
    const point = points.find(one => isDrill(one) && one.id.drill === name);
    if (point === undefined) return `${name} not finished`;
    return `${name} ${point.skip !== undefined ? 'not run' : point.held ? 'held' : 'broken'}`;
  }).join(' · ')}`;
}

function isDrill({ id }: Point): boolean {
  return id.drill !== undefined && id.check === undefined;
}

function say(line: string): void {
  process.stderr.write(`drill: ${line}\n`);
}
