// right-revoked: the role of the service may not insert orders any more; it may still read them.
import type { Drill } from '../experiment/drill.ts';
import { injectFault, meanwhile, recoverFault } from '../experiment/fault.ts';

export const rightRevoked: Drill = {
  name: 'right-revoked',
  title: 'the role of the service has lost its right to store orders',
  runbook: {
    looksLike: 'tcp held, `/health` 200, `/ready` 503 with the reason `schema_failed`, new orders 503, '
      + 'look-ups 200.',
    means: 'a migration or an administrator has revoked a right on the table.',
    takes: 'about 7 s',
    byHand: '`infra/control inject right-revoked`',
    backToNormal: '`infra/control recover right-revoked` grants it again. Ready again within 2 s, in the same '
      + 'process.',
  },
  faults: ['right-revoked'],
  successor: 'same',
  plan: experiment => ({
    fault: [
      ...injectFault(experiment, 'right-revoked'),
      meanwhile(experiment, { ready: ['schema_failed'], refused: ['write'] }),
    ],
    recovery: recoverFault(experiment, 'right-revoked'),
  }),
};
