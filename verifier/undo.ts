// What makes a drill safe to interrupt: the parent mends, the child lets a command under way end, and never stays behind.
import type { Control } from './control.ts';
import { faultsInPlace } from './scene.ts';

export type Mended = { said: string[]; whole: boolean };

/** Undoes every fault that the undo journal still knows for a node, and starts again what was left halted. */
export async function mend(control: Control, node: string): Promise<Mended> {
  const left = await faultsInPlace(control, node);
  if (left.length === 0) return { said: [], whole: true };
  const { exit, stderr } = await control.recover();
  const still = exit === 0 ? await faultsInPlace(control, node) : left;
  if (still.length === 0) return { said: [`undone on ${node}: ${left.join(', ')}`], whole: true };
  return { said: [`NOT undone on ${node}: ${still.join(', ')}: ${stderr.trim().split('\n').at(-1)}; make recover NODE=${node} tries again`], whole: false };
}

/** Starts a node again which a drill had halted when it was interrupted. */
export async function startAgain(control: Control, node: string): Promise<Mended> {
  const { stdout } = await control.targets();
  if (stdout.split('\n').some(line => line.startsWith(`${node} `))) return { said: [], whole: true };
  const { exit } = await control.up();
  return exit === 0 ? { said: [`${node} was halted and is up again`], whole: true } : { said: [`${node} is halted and did not start; make up tries again`], whole: false };
}

const signals = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;
type Signal = keyof typeof signals;
const names: Signal[] = ['SIGHUP', 'SIGINT', 'SIGTERM'];

/** While this is in force no signal ends the process, however often it comes; each is told. */
export function patience(tell: (name: Signal) => void): { stop: () => void } {
  names.forEach(name => process.on(name, tell));
  return { stop: () => names.forEach(name => process.off(name, tell)) };
}

/** On a signal: what is under way comes to its end, so that nothing is injected after it was recovered; then this process leaves. */
export function leaveWhenAsked(underWay: () => Promise<void>): void {
  const leave = (name: Signal) => void underWay().then(() => process.exit(128 + signals[name]));
  names.forEach(name => process.on(name, leave));
}

/** A parent killed with SIGKILL tells nobody: this process then gets another one, and leaves. The undo journal stays. */
export function leaveWithParent(): void {
  const parent = process.ppid;
  setInterval(() => { if (process.ppid !== parent) process.exit(1); }, 100).unref();
}
