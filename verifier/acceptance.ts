// The specification's acceptance list, executed: node verifier/dist/acceptance.js, TAP on stdout, from a clean state to a clean state.
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { criteria } from './criteria.ts';
import { openControl } from './control.ts';
import type { Control } from './control.ts';
import { climb } from './ladder.ts';
import { readOptions } from './options.ts';
import type { Options } from './options.ts';
import { openPrograms } from './programs.ts';
import { isSupervised, superviseTap } from './tap.ts';
import { leaveWhenAsked, leaveWithParent, patience } from './undo.ts';

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
/** The golden path's node, and the second host. */
const nodes = ['control', 'worker1'] as const;

process.exitCode = await main(process.argv.slice(2));

async function main(args: string[]): Promise<number> {
  const read = readOptions(process.env, root);
  const complaints = 'complaints' in read ? [...read.complaints] : [];
  if (args.length > 0) complaints.push('no arguments are taken, but PLATFORM STRICT ORDERS_STATE SCALE CONTROL are');
  if (process.env['TARGETS'] || process.env['NODE']) complaints.push(`TARGETS and NODE are not taken: acceptance starts ${nodes.join(' and ')} itself`);
  if ('complaints' in read || complaints.length > 0) return cannotRun(complaints.join('; '));
  const { options } = read;
  return isSupervised(process.env) ? run(options) : supervise(options);
}

/** The parent: whatever becomes of the child, what it made is destroyed before this returns. */
async function supervise(options: Options): Promise<number> {
  const everything = controlFor(options, 'all');
  const trace = await everything.platform();
  // it ends by destroying what it made, and must not take an operator's orders with it
  if (trace.exit === 0) return cannotRun(`platform ${trace.stdout.trim()} is in use; acceptance begins from a clean state and ends with nothing: make destroy first`);
  const signals = patience(name => say(`${name}: destroying what was made first, please wait`));
  const code = await superviseTap(fileURLToPath(import.meta.url), [], { env: process.env, onEnd: ({ fault }) => [`verdict: acceptance ${fault === null ? 'met' : 'not met'}`] });
  const left = await everything.platform();
  const { exit } = left.exit === 0 ? await everything.destroy() : { exit: 0 };
  if (left.exit === 0) say(exit === 0 ? 'what was made is destroyed' : 'what was made is NOT destroyed; make destroy tries again');
  signals.stop();
  return exit === 0 ? code : 1;
}

/** The child: writes TAP, and never outlives its parent. */
async function run(options: Options): Promise<number> {
  const programs = openPrograms();
  const control = Object.fromEntries([...nodes, 'all'].map(name => [name, controlFor(options, name)]));
  leaveWithParent();
  leaveWhenAsked(async () => {
    await programs.end();
    await Promise.all(Object.values(control).map(one => one.idle()));
  });
  await climb({ test }, criteria({ options, nodes, programs, controlFor: name => control[name] ?? controlFor(options, name) }), { strict: options.strict });
  return 0;
}

function controlFor(options: Options, node: string): Control {
  return openControl({ path: options.control, node, scaled: options.scaled, onTalk: text => { process.stderr.write(text); } });
}

function say(text: string): void {
  process.stderr.write(`acceptance: ${text}\n`);
}

function cannotRun(why: string): number {
  say(why);
  return 2;
}
