// db-hung: the database is frozen; TCP to it is still accepted, and no answer ever comes.
import type { Rung } from '../checks/climb.ts';
import type { Drill } from '../experiment/drill.ts';
import type { Experiment } from '../experiment/experiment.ts';
import { injectFault, promised, recoverFault, refusesMeanwhile } from '../experiment/fault.ts';
import { reckon } from '../experiment/reckoning.ts';

export const dbHung: Drill = {
  name: 'db-hung',
  title: 'the database is frozen, and still accepts connections',
  runbook: {
    looksLike: 'tcp held, `/health` 200 at once, `/ready` 503 with the reason `timeout` within 1 s, '
      + 'orders 503 within their deadline.',
    means: 'the database accepts connections and never answers (frozen, or its disk is).',
    takes: 'about 10 s',
    byHand: '`infra/control inject db-hung`',
    backToNormal: '`infra/control recover db-hung`. '
      + 'The service gives its frozen connections up and opens new ones by itself.',
  },
  faults: ['db-hung'],
  successor: 'same',
  plan: experiment => ({
    fault: [
      served(experiment, 'writers', () => experiment.load.start(), async () => undefined),
      ...injectFault(experiment, 'db-hung'), refusesMeanwhile(experiment, ['timeout']),
    ],
    recovery: recoverFault(experiment, 'db-hung'),
    // what was in flight when it froze is carried out once it is back: nobody may have been told that it was refused
    afterwards: [
      served(experiment, 'writers-again', async () => undefined, () => experiment.load.stop()), reckon(experiment),
    ],
  }),
};

type Act = () => Promise<void>;

function served(experiment: Experiment, name: string, before: Act, after: Act): Rung {
  return { name, checks: [{ id: 'promised', claim: 'sixteen writers are served', run: async () => {
    await before();
    await promised(experiment, 50);
    await after();
  } }] };
}
