// What a drill is, and how one is run: steady state, fault, recovery, steady state again.
import type { TestContext } from 'node:test';
import type { FaultName } from '#infra/platform';
import { Broken, climb } from '../checks/climb.ts';
import type { Rung } from '../checks/climb.ts';
import { register } from '../results/registry.ts';
import type { Stage } from '../results/registry.ts';
import { NotPossible } from './experiment.ts';
import type { Experiment } from './experiment.ts';
import { soundAfter, soundBefore } from './steady-state.ts';
import type { Successor } from './steady-state.ts';
import { tellTimeline } from './timeline.ts';
import { undoFaults } from './undo.ts';

/** What an operator wants to know, in sentences that also stand in RUNBOOK.md under the drill's name. */
export type Sentences = {
  looksLike: string;
  means: string;
  /** Stands after `make drill DRILL=…`: how long it takes. */
  takes: string;
  byHand: string;
  backToNormal: string;
};
/** In ms before SCALE; `servedMs`: clients are served again so long after the system is whole. */
export type Budgets = Readonly<Record<`${string}Ms`, number>> & { readonly servedMs: number };
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
  budgets: Budgets;
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
  const { fault, recovery, afterwards = [] } = drill.plan(experiment);
  const rungs = [soundBefore(experiment), ...fault, recovery, ...afterwards, soundAfter(experiment, drill.successor)];
  try {
    await climb(stage, rungs, { id: { node: target.node, drill: drill.name }, label: drill.name, strict });
  } finally {
    await experiment.close().finally(() => undoLeft(experiment, line => t.diagnostic(line)));
  }
  if (experiment.begun) tellTimeline(experiment.timeline).forEach(line => t.diagnostic(line));
  t.diagnostic(`${drill.name} took ${Math.round(performance.now() - began)} ms`);
  if (notPossible !== undefined) t.skip(`not run: ${notPossible}`);
}

/** A drill that broke half way has not come to its recovery; the next one shall not find its fault. */
async function undoLeft({ control, target }: Experiment, say: (line: string) => void): Promise<void> {
  const { said, whole } = await undoFaults(control, target.node);
  if (!whole) throw new Broken(said.join('; '));
  said.forEach(say);
}
