// db-down: the database is stopped; the service stays up, says so, and heals by itself.
import { Broken } from '../checks/climb.ts';
import type { Drill } from '../experiment/drill.ts';
import { injectFault, recoverFault, refusesMeanwhile } from '../experiment/fault.ts';

const budgets = { detectedMs: 1_000, servedMs: 2_000 };

export const dbDown: Drill = {
  name: 'db-down',
  title: 'the database is stopped',
  runbook: {
    looksLike: 'tcp held, `/health` 200, `/ready` 503 with the reason `connection_refused` '
      + '(or `unreachable` between containers), orders 503.',
    means: 'the database is stopped.',
    takes: 'about 6 s',
    byHand: '`infra/control inject db-down`, or on a VM `docker compose -f infra/docker-compose.yml stop db`.',
    backToNormal: '`infra/control recover db-down`, or '
      + '`docker compose -f infra/docker-compose.yml start db` on the VM; then `make verify`. '
      + 'Ready again within 2 s of the database\'s return, in the same process.',
  },
  faults: ['db-down'],
  budgets,
  successor: 'same',
  plan: experiment => ({
    fault: [
      injectFault(experiment, 'db-down'),
      { name: 'real', checks: [{ id: 'db-stopped', claim: 'the database does not run', run: async say => {
        const { state } = (await experiment.facts()).db;
        say(`database ${state}`);
        if (state === 'running') throw new Broken('the database: wanted it stopped, saw it running');
      } }] },
      refusesMeanwhile(experiment, ['connection_refused', 'unreachable'], budgets.detectedMs),
    ],
    recovery: recoverFault(experiment, 'db-down', budgets),
  }),
};
