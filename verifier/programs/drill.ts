// Breaks the system on purpose and sees it heal: a parent that undoes, and its child that runs the drills.
import { test } from 'node:test';
import type { Target } from '#infra/platform';
import { describeDrill, listDrills, pickDrills } from '../drills/catalogue.ts';
import { runDrill } from '../experiment/drill.ts';
import type { Drill } from '../experiment/drill.ts';
import { openExperiment } from '../experiment/experiment.ts';
import { startAgain, undoFaults } from '../experiment/undo.ts';
import type { Options } from '../options.ts';
import type { Point } from '../results/point.ts';
import { register } from '../results/registry.ts';
import type { Message } from '../results/reporter.ts';
import { bailOut, isTestProgram, runTests, startProgram } from '../results/run.ts';
import type { Running } from '../results/run.ts';
import { leaveWhenAsked, leaveWithParent, onSignals } from '../results/signals.ts';
import { CannotRun, begin, orCannotRun } from './program.ts';
import type { Begun, Program } from './program.ts';
import { findTargets } from './targets.ts';

const usage = `usage: drill NAME… | all | --list | --describe NAME… | recover
  NODE= picks the node (one that is up), PLATFORM= the platform (the one that is up), SCALE= stretches every deadline,
  KILLS= is for mid-flight (3), STRICT=1 takes no skip`;

/** Exit 0 held, 1 broken, 2 could not run, 128 + n after a signal. */
export async function drill(program: Program): Promise<number> {
  // a reader that hangs up early (`drill 2>&1 | head -3`) costs the report, never the recovery
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  const [first, ...rest] = program.args;
  if (first === '--list') return print(listDrills());
  if (first === '--describe') return describe(rest);
  if (first === 'recover' && rest.length === 0) return beginOnNode(program, recoverLeft);
  if (first === undefined) return bailOut('drill', usage);
  const { picked, unknown } = pickDrills(program.args);
  if (unknown.length > 0) return bailOut('drill', `no drill ${unknown.join(', ')}; known:\n${listDrills()}`);
  if (isTestProgram(program.env)) return beginOnNode(program, begun => runAll(program, picked, begun));
  return beginOnNode(program, begun => supervise(program, picked, begun));
}

function describe(names: string[]): number {
  const { picked, unknown } = pickDrills(names);
  if (picked.length > 0 && unknown.length === 0) return print(picked.map(describeDrill).join('\n\n'));
  say(unknown.length > 0 ? `no drill ${unknown.join(', ')}; known:\n${listDrills()}` : usage);
  return 2;
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

/** The parent: whatever becomes of the child, what it broke is undone before the lock is given back. */
async function supervise(program: Program, picked: readonly Drill[], begun: OnNode): Promise<number> {
  const names = picked.map(({ name }) => name);
  const lock = await takeNode(begun, `drill ${names.join(' ')}`);
  try {
    await findTarget(begun);
    return await superviseChild(program, names, { ...begun, lock: lock.fd });
  } finally {
    lock.release();
  }
}

/** The kernel gives the lock back when everyone who holds it is gone, however they went. */
async function takeNode({ control, node }: OnNode, name: string): Promise<{ fd: number; release: () => void }> {
  const lock = await orCannotRun(control.beginDrill(node, name));
  if (!('heldBy' in lock)) return lock;
  const { heldBy } = lock;
  throw new CannotRun(`${heldBy.name} (pid ${heldBy.pid}) is running on ${node}: one drill at a time on a node`);
}

type Locked = OnNode & { lock: number };

async function superviseChild(program: Program, names: string[], { control, node, lock }: Locked): Promise<number> {
  // until the process is gone: a signal in its last moment must not change how it ended
  onSignals(name => say(`${name}: undoing what was broken first, please wait`));
  let halted = false;
  const report = await runTests(program.file, names, {
    env: { ...program.env, NODE: node },
    hold: lock,
    onEnd: ({ points }) => [verdict(names, points)],
    onMessage: message => { if ('halted' in message) ({ halted } = message); },
  });
  if (report.cannotRun !== undefined) say(report.cannotRun);
  const undone = [await undoFaults(control, node)];
  // only what this drill has halted, and did not come to start
  if (halted) undone.push(await startAgain(control, node));
  undone.flatMap(({ said }) => said).forEach(say);
  // whatever was left for the parent to undo, the drill did not come to its end
  if (undone.some(({ said, whole }) => !whole || (report.exit === 0 && said.length > 0))) return 1;
  const ran = report.points.filter(isDrill);
  return report.exit === 0 && ran.every(({ skip }) => skip !== undefined) ? 2 : report.exit;
}

/** The child: its points go to its parent, which it never outlives. */
async function runAll(program: Program, picked: readonly Drill[], { options, control, node }: OnNode): Promise<number> {
  leaveWithParent();
  let verifying: Running | undefined;
  leaveWhenAsked(async () => {
    verifying?.end();
    await control.idle();
  });
  const { target, ledger } = await findTarget({ options, control, node });
  const verify = () => {
    const { href } = new URL('../verify.js', import.meta.url);
    verifying = startProgram(href, [], { ...program.env, NODE: node, EXPECT: '' });
    return verifying.ended;
  };
  for (const one of picked) {
    const experiment = openExperiment({ options, target, ledger, control, verify, onHalt: tellHalted });
    await test(register(one.name, { id: { node, drill: one.name } }), t => runDrill(t, one, experiment));
  }
  return 0;
}

/** Resolves when it is on its way: the kernel then keeps it for the parent, whatever becomes of this process. */
function tellHalted(halted: boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const message: Message = { halted };
    if (process.send === undefined) reject(new Error('there is no parent to start the node again'));
    else process.send(message, undefined, {}, error => error === null ? resolve() : reject(error));
  });
}

/** Where the node answers; CannotRun when it is not up, or broken already. */
async function findTarget({ options, control, node }: OnNode): Promise<{ target: Target; ledger: string }> {
  const faults = await orCannotRun(control.faultsInPlace([node]));
  const { found } = await findTargets(options, control);
  const own = found.find(({ target }) => target.node === node);
  if (own === undefined) throw new CannotRun(`${node} is not up (make up starts it); nothing was broken`);
  if (faults.length === 0) return own;
  const told = faults.map(({ fault, since }) => `${fault} since ${since}`).join(', ');
  throw new CannotRun(`still in place on ${node}: ${told}; NODE=${node} node verifier/dist/drill.js recover undoes it`);
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

function print(text: string): number {
  process.stdout.write(`${text}\n`);
  return 0;
}

function say(line: string): void {
  process.stderr.write(`drill: ${line}\n`);
}
