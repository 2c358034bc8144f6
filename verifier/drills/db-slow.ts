// db-slow: every commit takes a tenth of a second longer; orders are slower, and nothing fails.
import { Broken } from '../checks/climb.ts';
import type { Check } from '../checks/climb.ts';
import type { Drill } from '../experiment/drill.ts';
import type { Experiment } from '../experiment/experiment.ts';
import { injectFault, meanwhile, recoverFault } from '../experiment/fault.ts';
import { duringFault } from '../experiment/timeline.ts';
import { counted } from '../results/point.ts';

/** What a commit waits at least. */
const leastMs = 90;

export const dbSlow: Drill = {
  name: 'db-slow',
  title: 'the database is slow: every commit waits 100 ms longer',
  runbook: {
    looksLike: 'orders take 100 ms and more, `/health` and `/ready` are as quick as ever.',
    means: 'the disk of the database is slow, or busy with something else.',
    takes: 'about 8 s',
    byHand: '`infra/control inject db-slow`',
    backToNormal: '`infra/control recover db-slow`; really slow disks are a matter for whoever runs them.',
  },
  faults: ['db-slow'],
  successor: 'same',
  plan: experiment => ({
    fault: [
      ...injectFault(experiment, 'db-slow'),
      meanwhile(experiment, { ready: 'unseen', refused: [] }, [ordersAreSlower(experiment)]),
    ],
    recovery: recoverFault(experiment, 'db-slow'),
  }),
};

/** A service that answers sooner than its database commits has not waited for it. */
export function ordersAreSlower(experiment: Pick<Experiment, 'timeline'>): Check {
  return { id: 'orders-slower', claim: 'orders take longer, and are taken', run: async say => {
    const samples = duringFault(experiment.timeline, 'write', 'injected');
    const took = samples.map(({ fromMs, toMs }) => toMs - fromMs).sort((one, other) => one - other);
    const median = took[Math.floor(took.length / 2)] ?? 0;
    say(`${counted(took.length, 'order')} took ${took[0]} to ${took.at(-1)} ms, half of them ${median} ms or less`);
    if (median < leastMs) throw new Broken(`orders: wanted half of them to take ${leastMs} ms, saw ${median} ms`);
  } };
}
