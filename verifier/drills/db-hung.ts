// db-hung: the database is frozen; TCP to it is still accepted, and no answer ever comes.
import type { Drill } from '../experiment/drill.ts';
import { injectFault, recoverFault, refusesMeanwhile } from '../experiment/fault.ts';

const budgets = { silentMs: 5_000, detectedMs: 1_000, servedMs: 2_000 };

export const dbHung: Drill = {
  name: 'db-hung',
  title: 'the database is frozen, and still accepts connections',
  runbook: {
    looksLike: 'tcp held, `/health` 200 at once, `/ready` 503 with the reason `timeout` within 1 s, '
      + 'orders 503 within their deadline.',
    means: 'the database accepts connections and never answers (frozen, or its disk is).',
    takes: 'about 8 s',
    byHand: '`infra/control inject db-hung`',
    backToNormal: '`infra/control recover db-hung`. '
      + 'The service gives its frozen connections up and opens new ones by itself.',
  },
  faults: ['db-hung'],
  budgets,
  successor: 'same',
  plan: experiment => ({
    fault: [
      injectFault(experiment, 'db-hung'),
      { name: 'real', checks: [{ id: 'db-silent', claim: 'the database is silent', run: async say => {
        // a database that was stopped would make it connection_refused: only silence gives this reason
        const seen = await experiment.wait({
          what: 'ready', withinMs: budgets.silentMs,
          look: experiment.api.ready, good: answer => answer.value?.reason === 'timeout',
        });
        say(`ready says ${seen.status} ${seen.value?.reason}`);
      } }] },
      refusesMeanwhile(experiment, ['timeout'], budgets.detectedMs),
    ],
    recovery: recoverFault(experiment, 'db-hung', budgets),
  }),
};
