// What a drill left behind when it ended before its recovery is undone here, by its parent or by `drill recover`.
import { messageOf } from '#infra/platform';
import type { Control } from '#infra/control';
import type { Outcome } from '#infra/platform';
import { faultsLeft } from './steady-state.ts';

/** `said`: what was done, for people; empty when nothing was to be done. `whole`: nothing is left to undo. */
export type Undone = { said: string[]; whole: boolean };

/** Undoes every fault that the undo journal knows for a node. A journal that cannot be read is not an empty one. */
export async function undoFaults(control: Control, node: string): Promise<Undone> {
  const again = `make recover NODE=${node} tries again`;
  try {
    const left = await faultsLeft({ control, node });
    if (left.length === 0) return { said: [], whole: true };
    const outcome = await control.recover(node);
    const still = 'done' in outcome ? await faultsLeft({ control, node }) : left;
    if (still.length === 0) return { said: [`undone on ${node}: ${left.join(', ')}`], whole: true };
    return { said: [`NOT undone on ${node}: ${still.join(', ')}: ${reasonOf(outcome)}; ${again}`], whole: false };
  } catch (error) {
    return { said: [`NOT undone on ${node}: ${messageOf(error)}; ${again}`], whole: false };
  }
}

/** Starts a node again that the drill itself had halted. */
export async function startAgain(control: Control, node: string): Promise<Undone> {
  const again = 'make up tries again';
  try {
    const outcome = await control.up([node]);
    if ('done' in outcome) return { said: [`${node} was halted and is up again`], whole: true };
    return { said: [`${node} is halted and did not start: ${reasonOf(outcome)}; ${again}`], whole: false };
  } catch (error) {
    return { said: [`${node} is halted and did not start: ${messageOf(error)}; ${again}`], whole: false };
  }
}

function reasonOf(outcome: Outcome): string {
  if ('failed' in outcome) return outcome.failed;
  return 'impossible' in outcome ? outcome.impossible : 'still in the undo journal';
}
