// Breaks the system on purpose and sees it heal: node verifier/dist/drill.js NAME…, TAP on stdout. Exit 0 held, 1 broken, 2 could not run.
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openControl } from './control.ts';
import type { Control } from './control.ts';
import { describeDrill, listDrills, pickDrills } from './drills.ts';
import { readOptions } from './options.ts';
import type { Options } from './options.ts';
import type { Point } from './report.ts';
import { runDrill } from './run-drill.ts';
import { openScene } from './scene.ts';
import type { Drill } from './scene.ts';
import { CannotRun, survey } from './survey.ts';
import type { Sighted } from './survey.ts';
import { isSupervised, superviseTap } from './tap.ts';
import { leaveWhenAsked, leaveWithParent, mend, patience, startAgain } from './undo.ts';

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const usage = `usage: drill NAME… | all | --list | --describe NAME | recover
  NODE= picks the node (control), PLATFORM= the platform (the one that is up), SCALE= stretches every deadline, KILLS= for mid-flight (3)
`;

type Setting = { options: Options; node: string; control: Control; kills: number };

process.exitCode = await main(process.argv.slice(2));

async function main(args: string[]): Promise<number> {
  const [first, ...rest] = args;
  if (first === undefined) return cannotRun(usage);
  if (first === '--list') return tell(listDrills());
  const { picked, unknown } = pickDrills(first === '--describe' ? rest : first === 'recover' ? [] : args);
  if (unknown.length > 0) return cannotRun(`no drill ${unknown.join(', ')}; known:\n${listDrills()}\n`);
  if (first === '--describe') return picked.length === 0 ? cannotRun(usage) : tell(picked.map(describeDrill).join('\n\n'));
  const setting = readSetting();
  if ('complaints' in setting) return cannotRun(`${setting.complaints.join('; ')}\n`);
  try {
    if (first === 'recover') return await recoverLeft(setting);
    return isSupervised(process.env) ? await runAll(picked, setting) : await supervise(args, picked, setting);
  } catch (error) {
    if (error instanceof CannotRun) return cannotRun(`${error.message}\n`);
    throw error;
  }
}

function readSetting(): Setting | { complaints: string[] } {
  const read = readOptions(process.env, root);
  const complaints = 'complaints' in read ? [...read.complaints] : [];
  const kills = Number(process.env['KILLS'] || 3);
  if (!Number.isInteger(kills) || kills < 1 || kills > 100) complaints.push(`KILLS must be a whole number from 1 to 100, not "${process.env['KILLS']}"`);
  if ('complaints' in read) return { complaints };
  const { options } = read;
  const node = options.nodes ?? 'control';
  if (options.targets.length > 0) complaints.push('TARGETS is for verify; a drill acts on a node of ours, picked by NODE');
  if (node === 'all' || node.includes(' ')) complaints.push(`NODE must be one node for a drill, not "${node}"`);
  if (complaints.length > 0) return { complaints };
  const onTalk = (text: string) => { process.stderr.write(text); };
  return { options, node, kills, control: openControl({ path: options.control, node, scaled: options.scaled, onTalk }) };
}

/** The parent: whatever becomes of the child, what it broke is mended before this returns. */
async function supervise(args: string[], picked: Drill[], { options, node, control }: Setting): Promise<number> {
  await findNode({ options, node, control });
  const signals = patience(name => process.stderr.write(`drill: ${name}: mending what was broken first, please wait\n`));
  let ran: Point[] = [];
  const code = await superviseTap(fileURLToPath(import.meta.url), args, {
    env: process.env,
    onEnd: ({ points }) => { ran = points.filter(point => point.depth === 0); return [verdict(picked, ran)]; },
  });
  const ends = [await mend(control, node), await startAgain(control, node)];
  for (const line of ends.flatMap(({ said }) => said)) process.stderr.write(`drill: ${line}\n`);
  signals.stop();
  // whatever was left for the parent to mend, the drill did not come to its end
  if (ends.some(({ said, whole }) => !whole || (code === 0 && said.length > 0))) return 1;
  return code === 0 && ran.every(point => point.skip !== undefined) ? 2 : code;
}

async function findNode({ options, node, control }: Omit<Setting, 'kills'>): Promise<Sighted> {
  const { sighted, faults } = await survey({ ...options, nodes: node }, () => control);
  const found = sighted.find(one => one.target.node === node);
  const here = faults.filter(fault => fault.node === node).map(({ fault, since }) => `${fault} since ${since}`);
  if (found === undefined) throw new CannotRun(`${node} is not up (make up starts it); nothing was broken`);
  if (here.length > 0) throw new CannotRun(`still in place on ${node}: ${here.join(', ')}; NODE=${node} node verifier/dist/drill.js recover undoes it`);
  return found;
}

/** The child: writes TAP, and never outlives its parent. */
async function runAll(picked: Drill[], { options, node, control, kills }: Setting): Promise<number> {
  leaveWithParent();
  leaveWhenAsked(control.idle);
  const { target, ledger } = await findNode({ options, node, control });
  for (const drill of picked) await test(drill.name, t => runDrill(t, drill, openScene({ target, ledger, control, options, kills })));
  return 0;
}

async function recoverLeft({ node, control }: Setting): Promise<number> {
  const { said, whole } = await mend(control, node);
  for (const line of said.length > 0 ? said : [`no fault is in place on ${node}`]) process.stderr.write(`drill: ${line}\n`);
  return whole ? 0 : 1;
}

function verdict(picked: readonly Drill[], ran: readonly Point[]): string {
  return `verdict: ${picked.map(({ name }) => {
    const point = ran.find(one => one.name === name);
    return `${name} ${point === undefined ? 'not finished' : point.skip !== undefined ? 'not run' : point.held ? 'held' : 'broken'}`;
  }).join(' · ')}`;
}

function tell(text: string): number {
  process.stdout.write(`${text}\n`);
  return 0;
}

function cannotRun(why: string): number {
  process.stderr.write(`drill: ${why}`);
  return 2;
}
