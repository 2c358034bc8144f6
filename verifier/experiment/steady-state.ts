// The steady state: the whole contract holds, before anything is broken and once it has recovered, and who answers.
import type { Control } from '#infra/control';
import type { Facts } from '#infra/platform';
import { Broken } from '../checks/climb.ts';
import type { Check, Rung } from '../checks/climb.ts';
import type { Experiment } from './experiment.ts';
import { findLost } from './reckoning.ts';
import { countWords } from './timeline.ts';

type Say = (line: string) => void;
/** same: the process that was there before; restarted: a new one, by the supervisor; any: as the platform does it. */
export type Successor = 'same' | 'restarted' | 'any';
type After = { successor: Successor; verified: boolean };
const claims: Record<Successor, string> = {
  same: 'the same process answers', restarted: 'a new process answers', any: 'the process that answers names itself',
};

/** First rung of every drill: nothing is broken on purpose that is broken already. */
export function soundBefore(experiment: Experiment): Rung {
  const { control, target } = experiment;
  return {
    name: 'sound',
    checks: [
      { id: 'no-fault', claim: 'no fault is in place', run: async () => {
        const faults = await control.faultsInPlace(await experiment.faulty());
        if (faults.length === 0) return;
        const where = [...new Set(faults.map(({ node }) => node))].join(', ');
        const told = faults.map(({ fault }) => fault).join(', ');
        throw new Broken(`${told} still in place on ${where}: run drill recover first`);
      } },
      { id: 'contract', claim: 'the whole contract holds', run: async say => {
        await experiment.begin(await experiment.proveSound());
        say(`${target.host}:${target.port} is instance ${experiment.before.version.instance_id}`);
      } },
    ],
  };
}

/**
 * Last rung of every drill: sound again, by whoever should answer now, and nothing that was promised is lost.
 * `verified`: the program verify has just said that the whole contract holds.
 */
export function soundAfter(experiment: Experiment, { successor, verified }: After): Rung {
  let facts: Facts | undefined;
  const contract: Check = { id: 'contract', claim: 'the whole contract holds again', run: async () => {
    facts = await experiment.proveSound();
  } };
  const restarts = successor === 'restarted' ? 1 : 0;
  const counted: Check = {
    id: 'restart-count',
    claim: `restart_count has gone up by ${restarts}`,
    run: say => countRestarts(experiment, restarts, say, facts),
  };
  return {
    name: 'after',
    checks: [
      ...verified ? [] : [contract],
      { id: 'successor', claim: claims[successor], run: say => provesSuccessor(experiment, successor, say) },
      ...successor === 'any' ? [] : [counted],
      {
        id: 'orders-there',
        claim: 'every order promised during the drill is there, once, and no refused one',
        run: async say => {
          const why = await findLost(experiment, experiment.attempts, say);
          if (why !== undefined) throw new Broken(why);
        },
      },
      { id: 'answers-in-form', claim: 'every answer during the drill had a form that is promised', run: async say => {
        const { samples } = experiment.timeline;
        const wrong = samples.filter(({ malformed }) => malformed);
        if (wrong.length > 0) throw new Broken(countWords(wrong.map(({ probe, word }) => `${probe} ${word}`)));
        say(`${samples.length} looks`);
      } },
      { id: 'journal-empty', claim: 'no fault is left in the undo journal', run: async () => {
        const left = await faultsLeft({ control: experiment.control, node: experiment.target.node });
        if (left.length > 0) throw new Broken(`left in the undo journal: ${left.join(', ')}`);
      } },
    ],
  };
}

/** Every fault that the undo journal knows for this node, in place or not. Throws when it cannot be read. */
export async function faultsLeft({ control, node }: { control: Control; node: string }): Promise<string[]> {
  return (await control.journal()).filter(entry => entry.node === node).map(({ fault }) => fault);
}

/** How often the supervisor has started the service since the drill began, by these facts or by new ones. */
export async function countRestarts(experiment: Experiment, wanted: number, say: Say, facts?: Facts): Promise<void> {
  const { restart_count: now } = (facts ?? await experiment.facts()).api;
  const { restart_count: before } = experiment.before.facts.api;
  say(`restart_count ${before} before, ${now} now`);
  if (now - before !== wanted) throw new Broken(`restart_count: ${before} before, wanted ${wanted} more, saw ${now}`);
}

async function provesSuccessor({ api, before }: Experiment, successor: Successor, say: Say): Promise<void> {
  const { version } = before;
  const now = (await api.version()).value;
  const same = now?.instance_id === version.instance_id && now?.started_at === version.started_at;
  say(`instance ${version.instance_id} before, ${now?.instance_id ?? 'nobody'} now`);
  if (now === undefined) throw new Broken('no process names itself');
  if (successor === 'same' && !same) throw new Broken(`wanted the same process, saw one of ${now.started_at}`);
  if (successor === 'restarted' && same) throw new Broken('wanted a new process, saw the one that was there before');
}
