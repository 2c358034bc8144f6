// What a drill is, and how one is run: steady state, fault, recovery, steady state again.
import type { TestContext } from 'node:test';
import type { FaultName } from '#infra/platform';
import { Broken, climb } from '../checks/climb.ts';
import type { Rung } from '../checks/climb.ts';
import { register } from '../results/registry.ts';
import type { Stage } from '../results/registry.ts';
import { NotPossible } from './experiment.ts';
import type { Experiment } from './experiment.ts';
import { tellKept } from './reckoning.ts';
import { soundAfter, soundBefore } from './steady-state.ts';
import type { Successor } from './steady-state.ts';
import { tellTimeline } from './timeline.ts';
import { undoFaults } from './undo.ts';
import { verifyIsGreen, verifyIsRed } from './verified.ts';
import type { Red } from './verified.ts';

/** What an operator wants to know, in sentences that are also in RUNBOOK.md under the drill's name. */
export type Sentences = {
  looksLike: string;
  means: string;
  /** Stands after `make drill DRILL=…`: how long it takes. */
  takes: string;
  byHand: string;
  backToNormal: string;
};
/** What is no word of the table in budgets.ts, in ms before SCALE. */
export type OwnBudgets = Readonly<Record<`${string}Ms`, number>>;
/** What is climbed between the steady states. Without a recovery it is no drill, and does not compile. */
export type Plan = {
  /** It is injected, it is real, and what must hold meanwhile. */
  fault: Rung[];
  recovery: Rung;
  /** What is looked at once it has recovered, beside the steady state. */
  afterwards?: Rung[];
};
export type Drill = {
  name: string;
  title: string;
  runbook: Sentences;
  /** What it injects; empty for the one that halts the node instead. */
  faults: readonly FaultName[];
  budgets?: OwnBudgets;
  /** Where make verify is red while the fault is in place; it is green again after the recovery. */
  red?: Red;
  /** Who answers afterwards. */
  successor: Successor;
  plan: (experiment: Experiment) => Plan;
};

/** A point for each check. A drill that is not possible here is a skip with its reason; under STRICT it is red. */
export async function runDrill(t: TestContext, drill: Drill, experiment: Experiment): Promise<void> {
  const began = performance.now();
  const { target, strict } = experiment;
  let notPossible: string | undefined;
  const stage: Stage = {
    test: async (name, { id, blockedBy, skip }, run) => {
      register(name, blockedBy === undefined ? { id } : { id, blockedBy });
      await t.test(name, skip === undefined ? {} : { skip }, async point => {
        try {
          await run(point);
        } catch (error) {
          if (!(error instanceof NotPossible) || strict) throw error;
          notPossible = error.message;
          point.skip(`not run: ${notPossible}`);
        }
      });
    },
  };
  const rungs = rungsOf(drill, experiment);
  let red: string | null = null;
  try {
    red = await climb(stage, rungs, { id: { node: target.node, drill: drill.name }, label: drill.name, strict });
  } finally {
    await experiment.close().finally(() => undoLeft(experiment, line => t.diagnostic(line)));
  }
  if (red !== null && notPossible === undefined) experiment.kept.forEach(file => t.diagnostic(tellKept(file)));
  if (experiment.begun) tellTimeline(experiment.timeline).forEach(line => t.diagnostic(line));
  t.diagnostic(`${drill.name} took ${Math.round(performance.now() - began)} ms`);
  if (notPossible !== undefined) t.skip(`not run: ${notPossible}`);
}

/** All of a drill, from steady state to steady state. */
export function rungsOf({ plan, red, successor }: Drill, experiment: Experiment): Rung[] {
  const { fault, recovery, afterwards = [] } = plan(experiment);
  return [
    soundBefore(experiment), ...fault,
    ...red === undefined ? [] : [{ name: 'red', checks: [verifyIsRed(experiment, red)] }],
    recovery, ...afterwards,
    ...red === undefined ? [] : [verifyIsGreen(experiment)],
    soundAfter(experiment, { successor, verified: red !== undefined }),
  ];
}

/** A drill that broke half way has not come to its recovery; the next one shall not find its fault. */
async function undoLeft({ control, target }: Experiment, say: (line: string) => void): Promise<void> {
  const { said, whole } = await undoFaults(control, target.node);
  if (!whole) throw new Broken(said.join('; '));
  said.forEach(say);
}
