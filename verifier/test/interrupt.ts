// One interruption of a drill on a real stack: a signal, to whom, at which moment; and whether all is well after it.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { holderOf } from '#infra/lock';
import { until } from '../client/until.ts';
import { tellBroken } from '../results/point.ts';
import { startProgram } from '../results/run.ts';
import { childrenOf } from './program.ts';
import type { RealStack } from './real-stack.ts';

export const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGKILL'] as const;
/** group: the drill, its child, and whatever is in their process groups, at once. */
export const receivers = ['drill', 'child', 'group'] as const;
export const moments = ['injecting', 'in place', 'recovering'] as const;
export type Case = {
  drill: string; signal: (typeof signals)[number]; whom: (typeof receivers)[number]; moment: (typeof moments)[number];
};
/** `undone` by the drill itself, or by what an operator types. `trouble` is what is not well; undefined when all is. */
export type Row = Case & {
  exit: string; undone: 'itself' | 'make recover' | 'make up'; trouble: string | undefined; ms: number;
};

const drillProgram = fileURLToPath(new URL('../drill.js', import.meta.url));
const verifyProgram = new URL('../verify.js', import.meta.url).href;

export function tellRow({ drill, signal, whom, moment, exit, undone, trouble, ms }: Row): string {
  const words = [drill.padEnd(20), signal.padEnd(7), whom.padEnd(5), moment.padEnd(10)];
  const cells = [...words, exit.padEnd(7), undone.padEnd(12)];
  return `| ${cells.join(' | ')} | ${String(ms).padStart(6)} ms | ${trouble ?? 'sound'} |`;
}

/** Leaves the stack sound, or says in `trouble` what is not. */
export async function interrupt(stack: RealStack, one: Case): Promise<Row> {
  const began = performance.now();
  // whoever was killed in its turn has left its name
  const stale = await textOf(join(stack.state, 'locks/verb'));
  const drill = spawn(process.execPath, [drillProgram, one.drill], { env: stack.env, detached: true, stdio: 'ignore' });
  const ended = new Promise<string>(resolve => drill.on('exit', (code, signal) => resolve(signal ?? String(code))));
  const troubles: string[] = [];
  const reached = await reach(stack, { ...one, stale }, ended);
  if (!reached) troubles.push(`ended before ${one.moment}`);
  const pids = await pidsOf(drill, one.whom);
  if (reached && pids.length < (one.whom === 'group' ? 2 : 1)) troubles.push('it had no child');
  for (const pid of pids) send(pid, one.signal);
  const exit = await ended;
  troubles.push(...await leftRunning(stack));
  const { undone, failed } = await undo(stack);
  troubles.push(...failed);
  // nobody else may have to undo anything but after a SIGKILL of the one whose task it is
  if (undone !== 'itself' && (one.signal !== 'SIGKILL' || one.whom === 'child')) troubles.push(`${undone} was needed`);
  const left = await stack.control.journal();
  if (left.length > 0) troubles.push(`in the journal: ${left.map(({ fault }) => fault).join(', ')}`);
  const verified = await startProgram(verifyProgram, [], stack.env).ended;
  if (verified.exit !== 0) troubles.push(`verify: ${tellBroken(verified.points)}`);
  const trouble = troubles.length === 0 ? undefined : troubles.join('; ');
  // the next one shall not be blamed for this one
  if (trouble !== undefined) await stack.control.up();
  return { ...one, exit, undone, trouble, ms: Math.round(performance.now() - began) };
}

/** Waits for the moment, as the journal and the name of whoever has the turn show it; false when it does not come. */
async function reach(
  { state, control }: RealStack, { moment, stale }: Case & { stale: string }, ended: Promise<string>,
): Promise<boolean> {
  let over = false;
  void ended.then(() => { over = true; });
  let injecting = false;
  const look = async () => {
    const [text, entries] = await Promise.all([textOf(join(state, 'locks/verb')), namesIn(join(state, 'journal'))]);
    const turn = text === stale ? '' : text;
    const begun = /"(inject|halt) /.test(turn);
    injecting ||= begun || entries.length > 0;
    if (moment === 'injecting') return injecting;
    if (moment === 'in place') return injecting && !begun;
    return /"(recover|up) /.test(turn);
  };
  await until(async () => over || await look(), Boolean, control.settings.scaled(90_000), 1);
  return !over;
}

async function pidsOf(child: ChildProcess, whom: Case['whom']): Promise<number[]> {
  const { pid = 0 } = child;
  if (whom === 'drill') return [pid];
  const children = await childrenOf({ child });
  return whom === 'child' ? children : [-pid, ...children.map(one => -one)];
}

/** Nothing of the drill may go on: no program of ours, and none that still holds a lock. */
async function leftRunning({ state, control }: RealStack): Promise<string[]> {
  const look = async () => {
    const ours = ({ env, argv }: Process) => env.includes(state) && argv.includes('/verifier/dist/');
    const programs = (await processes()).filter(ours);
    const held = await Promise.all(['verb', 'drill-control'].map(async name => {
      const holder = await holderOf(join(state, 'locks', name));
      return holder === undefined ? [] : [name];
    }));
    return [...programs.map(({ argv }) => argv), ...held.flat()];
  };
  try {
    await until(look, left => left.length === 0, control.settings.scaled(60_000));
    return [];
  } catch {
    return [`left running: ${(await look()).join(', ')}`];
  }
}

/** As an operator would: make recover when something is left in the journal, make up when the node is halted. */
async function undo({ control }: RealStack): Promise<{ undone: Row['undone']; failed: string[] }> {
  const failed: string[] = [];
  let undone: Row['undone'] = 'itself';
  if ((await control.journal()).length > 0) {
    undone = 'make recover';
    const outcome = await control.recover('control');
    if (!('done' in outcome)) failed.push(`make recover: ${JSON.stringify(outcome)}`);
  }
  if ((await control.targets()).length === 0 || !(await control.status())?.some(({ runs }) => runs)) {
    undone = 'make up';
    const outcome = await control.up();
    if (!('done' in outcome)) failed.push(`make up: ${JSON.stringify(outcome)}`);
  }
  return { undone, failed };
}

type Process = { argv: string; env: string };

async function processes(): Promise<Process[]> {
  const pids = (await readdir('/proc')).filter(name => /^\d+$/.test(name));
  return Promise.all(pids.map(async pid => {
    const [argv, env] = await Promise.all([textOf(`/proc/${pid}/cmdline`), textOf(`/proc/${pid}/environ`)]);
    return { argv: argv.replaceAll('\0', ' ').trim(), env };
  }));
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // gone already: the moment was its last
  }
}

function textOf(file: string): Promise<string> {
  return readFile(file, 'utf8').catch(() => '');
}

function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch(() => []);
}
