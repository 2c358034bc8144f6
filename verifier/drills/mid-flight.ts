// mid-flight: the database is killed while sixteen writers post; what was promised is there, once, and nothing else.
import type { Rung } from '../checks/climb.ts';
import type { Drill } from '../experiment/drill.ts';
import type { Experiment } from '../experiment/experiment.ts';
import { promised, staysObservable } from '../experiment/fault.ts';
import { isDurable, reckon, servedUnderLoad } from '../experiment/reckoning.ts';

const budgets = { noticedMs: 10_000 };

export const midFlight: Drill = {
  name: 'mid-flight',
  title: 'the database is killed while sixteen writers post orders (KILLS=3 times)',
  runbook: {
    looksLike: 'a burst of 503 while orders are written; some carry `outcome_unknown`.',
    means: 'the database died under load.',
    takes: 'about 15 s with three kills, about 1 minute with `KILLS=10`',
    byHand: '`infra/control inject db-killed`',
    backToNormal: 'the database is started again by its supervisor (process) or restart policy (docker, vagrant); '
      + '`infra/control recover db-killed` makes sure. '
      + 'Writers repeat what was ambiguous with the same key.',
  },
  faults: ['db-killed'],
  budgets,
  successor: 'same',
  plan: experiment => ({
    fault: [{ name: 'durable', checks: [isDurable(experiment)] }, killed(experiment)],
    recovery: servedUnderLoad(experiment),
    afterwards: [{ name: 'meanwhile', checks: staysObservable(experiment) }, reckon(experiment)],
  }),
};

function killed(experiment: Experiment): Rung {
  const { kills = 3 } = experiment;
  const claim = `the database is killed ${kills === 1 ? 'once' : `${kills} times`} under sixteen writers`;
  return { name: 'fault', checks: [{ id: 'killed', claim, run: async () => {
    await experiment.load.start();
    experiment.timeline.mark('inject');
    for (let kill = 1; kill <= kills; kill += 1) await killOnce(experiment);
  } }] };
}

/** Real when a writer noticed, or when another server runs: the service may hide a quick restart from its writers. */
async function killOnce(experiment: Experiment): Promise<void> {
  const { load, timeline, wait } = experiment;
  const turnedAway = () => load.count('refused', 'ambiguous');
  const startedAt = async () => (await experiment.facts()).db.started_at;
  await promised(experiment, 200);
  const [before, began] = [turnedAway(), await startedAt()];
  await experiment.inject('db-killed');
  await wait({
    what: 'the database', wanted: 'a writer that notices, or another server', withinMs: budgets.noticedMs, everyMs: 20,
    look: async () => turnedAway() > before || ![began, null].includes(await startedAt()),
    good: noticed => noticed, tell: () => `none turned away, and the server of ${began}`,
  });
  // At once: an engine's restart policy pauses longer after each kill. Of several kills the last one's marks stay.
  timeline.mark('recover');
  await experiment.recover('db-killed');
  timeline.mark('recovered');
}
