// What every program here is given by the file that starts it, and how it ends when it cannot begin.
import { fileURLToPath } from 'node:url';
import { messageOf } from '#infra/platform';
import type { Control, ControlOptions } from '#infra/control';
import type { Env } from '#infra/settings';
import { OwnTrouble } from '../checks/climb.ts';
import { readOptions } from '../options.ts';
import type { Options } from '../options.ts';
import type { Stage } from '../results/registry.ts';
import { bailOut, cannotRun, isTestProgram, tell } from '../results/run.ts';

/** `file` (a URL) starts it, and is run once more as the test program: there `stage` takes its points. */
export type Program = {
  args: readonly string[];
  env: Env;
  file: string;
  stage: Stage;
  openControl: (options: ControlOptions) => Control;
  /** The share of each span for which something is watched; all of it when not given. */
  pace?: number;
};
/** A program that has read what the operator asks for. */
export type Begun = { options: Options; control: Control };

/** The program cannot even begin: the message says why. */
export class CannotRun extends Error {}

/** The checkout. */
export const root = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '');

/**
 * Reads the environment and does what the program is for; gives its exit code. `refuse` adds complaints of its own.
 * Every complaint at once, or what is thrown as CannotRun, is said on stdout (TAP) and stderr, and ends it with 2.
 */
export async function begin(
  name: string, program: Program, act: (begun: Begun) => Promise<number>,
  refuse: (options: Options | undefined) => string[],
): Promise<number> {
  const { env, openControl } = program;
  const read = readOptions(env, root);
  const complaints = 'complaints' in read ? [...read.complaints, ...refuse(undefined)] : refuse(read.options);
  if ('complaints' in read || complaints.length > 0) return end(name, env, complaints.join('; '));
  try {
    const say = (line: string) => process.stderr.write(`${line}\n`);
    const open = async () => openControl({ env, root, say });
    const control = await orCannotRun(open());
    return await act({ options: read.options, control: isTestProgram(env) ? tellingFacts(control) : control });
  } catch (error) {
    if (error instanceof CannotRun || error instanceof OwnTrouble) return end(name, env, error.message);
    throw error;
  }
}

/** The same, whose facts the parent hears as well: they are evidence, and dear where a machine is slow. */
function tellingFacts(control: Control): Control {
  return { ...control, facts: async node => {
    const facts = await control.facts(node);
    tell({ node, facts });
    return facts;
  } };
}

/** What was asked for, or CannotRun with what was thrown instead. */
export async function orCannotRun<T>(asked: Promise<T>): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    throw new CannotRun(messageOf(error));
  }
}

function end(name: string, env: Env, why: string): number {
  if (!isTestProgram(env)) return bailOut(name, why);
  cannotRun(why);
  return 2;
}
