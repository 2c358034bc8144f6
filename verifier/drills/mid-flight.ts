// mid-flight: the database is killed while sixteen writers post; what was promised is there, once, and nothing else.
import type { Rung } from '../checks/climb.ts';
import type { Drill } from '../experiment/drill.ts';
import type { Experiment } from '../experiment/experiment.ts';
import { promised, reckon, servedAgain, staysObservable } from '../experiment/fault.ts';

const budgets = { noticedMs: 10_000, servedMs: 2_000 };

export const midFlight: Drill = {
  name: 'mid-flight',
  title: 'the database is killed while sixteen writers post orders (KILLS=3 times)',
  runbook: {
    looksLike: 'a burst of 503 while orders are written; some carry `outcome_unknown`.',
    means: 'the database died under load.',
    takes: 'about 45 s with three kills, over 2 minutes with `KILLS=10`',
    byHand: '`infra/control inject db-killed`',
    backToNormal: 'the database is started again by its supervisor (process) or restart policy (docker, vagrant); '
      + '`infra/control recover db-killed` makes sure. '
      + 'Writers repeat what was ambiguous with the same key.',
  },
  faults: ['db-killed'],
  budgets,
  successor: 'same',
  plan: experiment => ({
    fault: [killed(experiment)],
    recovery: {
      name: 'recovery',
      checks: [{ id: 'recovered', claim: 'clients are served again, writers too', run: async say => {
        await servedAgain(experiment, budgets.servedMs, say);
        await promised(experiment, 100);
        await experiment.load.stop();
      } }],
    },
    afterwards: [{ name: 'meanwhile', checks: staysObservable(experiment) }, reckon(experiment)],
  }),
};

function killed(experiment: Experiment): Rung {
  const { kills } = experiment;
  const claim = `the database is killed ${kills} times under sixteen writers`;
  return { name: 'fault', checks: [{ id: 'killed', claim, run: async () => {
    await experiment.load.start();
    experiment.timeline.mark('inject');
    for (let kill = 1; kill <= kills; kill += 1) await killOnce(experiment);
  } }] };
}

/** Real when a writer noticed: a supervisor may have the database back before any probe of the timeline. */
async function killOnce(experiment: Experiment): Promise<void> {
  const { load, timeline, wait } = experiment;
  const turnedAway = () => load.count('refused', 'ambiguous');
  await promised(experiment, 200);
  const before = turnedAway();
  await experiment.inject('db-killed');
  await wait({
    what: 'a writer that notices', withinMs: budgets.noticedMs, everyMs: 20,
    look: async () => turnedAway(), good: count => count > before,
  });
  // At once: an engine's restart policy pauses longer after each kill. Of several kills the last one's marks stay.
  timeline.mark('recover');
  await experiment.recover('db-killed');
  timeline.mark('recovered');
}
