// db-down: the database is stopped; the service stays up, says so, and heals by itself.
import { Broken } from '../checks/climb.ts';
import type { Check } from '../checks/climb.ts';
import type { Drill } from '../experiment/drill.ts';
import type { Experiment } from '../experiment/experiment.ts';
import { injectFault, recoverFault, refusesMeanwhile } from '../experiment/fault.ts';
import { tellBroken } from '../results/point.ts';

export const dbDown: Drill = {
  name: 'db-down',
  title: 'the database is stopped',
  runbook: {
    looksLike: 'tcp held, `/health` 200, `/ready` 503 with the reason `connection_refused` '
      + '(or `unreachable` between containers), orders 503; `make verify` is red at `ready`.',
    means: 'the database is stopped.',
    takes: 'about 15 s',
    byHand: '`infra/control inject db-down`, or on a VM `docker compose -f infra/docker-compose.yml stop db`.',
    backToNormal: '`infra/control recover db-down`, or '
      + '`docker compose -f infra/docker-compose.yml start db` on the VM; then `make verify`. '
      + 'Ready again within 2 s of the database\'s return, in the same process.',
  },
  faults: ['db-down'],
  red: ['ready'],
  successor: 'same',
  plan: experiment => ({
    fault: [
      ...injectFault(experiment, 'db-down'),
      refusesMeanwhile(experiment, ['connection_refused', 'unreachable'], [holdsUnready(experiment)]),
    ],
    recovery: recoverFault(experiment, 'db-down'),
  }),
};

/** What an operator asks who knows that the database is away. */
function holdsUnready(experiment: Experiment): Check {
  const claim = 'verify with EXPECT=unready is green';
  return { id: 'verify-unready', claim, run: async () => {
    const { exit, points, cannotRun } = await experiment.verify('unready');
    if (exit === 0) return;
    throw new Broken(`verify: wanted exit 0, saw exit ${exit}: ${cannotRun ?? tellBroken(points)}`);
  } };
}
