// db-restart-storm: the database is restarted ten times in a row while eight writers post.
import type { Rung } from '../checks/climb.ts';
import type { Drill } from '../experiment/drill.ts';
import type { Experiment } from '../experiment/experiment.ts';
import { promised, staysObservable } from '../experiment/fault.ts';
import { isDurable, reckon, servedUnderLoad } from '../experiment/reckoning.ts';

const restarts = 10;
const budgets = { restartedMs: 10_000 };

export const dbRestartStorm: Drill = {
  name: 'db-restart-storm',
  title: 'the database is restarted ten times in a row while eight writers post orders',
  runbook: {
    looksLike: 'short bursts of 503 and `shutting_down`, `starting_up` or `connection_refused` in the log.',
    means: 'somebody, or a failing supervisor, restarts the database again and again.',
    takes: 'about 15 s',
    byHand: '`infra/control inject db-restarted`, several times',
    backToNormal: 'each restart heals by itself; `infra/control recover db-restarted` makes sure. '
      + 'No accepted order is lost or stored twice.',
  },
  faults: ['db-restarted'],
  budgets,
  successor: 'same',
  plan: experiment => ({
    fault: [{ name: 'durable', checks: [isDurable(experiment)] }, restarted(experiment)],
    recovery: servedUnderLoad(experiment),
    afterwards: [{ name: 'meanwhile', checks: staysObservable(experiment) }, reckon(experiment)],
  }),
};

function restarted(experiment: Experiment): Rung {
  const claim = `the database is restarted ${restarts} times under eight writers`;
  return { name: 'fault', checks: [{ id: 'restarted', claim, run: async () => {
    await experiment.load.start({ writers: 8 });
    experiment.timeline.mark('inject');
    for (let turn = 1; turn <= restarts; turn += 1) await restartOnce(experiment);
  } }] };
}

/** Real when another server runs: the service hides a quick restart from its writers, as it should. */
async function restartOnce(experiment: Experiment): Promise<void> {
  const { timeline, wait } = experiment;
  await promised(experiment, 25);
  const startedAt = async () => (await experiment.facts()).db.started_at;
  const before = await startedAt();
  await experiment.inject('db-restarted');
  timeline.mark('recover');
  await experiment.recover('db-restarted');
  await wait({
    what: 'the database', wanted: `a start after ${before}`, withinMs: budgets.restartedMs,
    look: startedAt, good: now => now !== null && now !== before, tell: now => now ?? 'none',
  });
  timeline.mark('recovered');
}
