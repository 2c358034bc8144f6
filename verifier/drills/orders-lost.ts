// orders-lost: one order that was promised is gone from the database, and is put back.
import type { Drill } from '../experiment/drill.ts';
import { injectFault, meanwhile, recoverFault } from '../experiment/fault.ts';

export const ordersLost: Drill = {
  name: 'orders-lost',
  title: 'one promised order is deleted behind the back of the service',
  runbook: {
    looksLike: 'everything answers, one look-up of an accepted order is 404; `make verify` is red at `lasting` '
      + 'and names the order.',
    means: 'somebody has deleted rows, or restored a backup that is older than the promises.',
    takes: 'about 10 s',
    byHand: '`infra/control inject orders-lost`',
    backToNormal: '`infra/control recover orders-lost` puts the row back. A real loss comes back from a backup only '
      + '(Backup and restore): stop writing first, and keep `.state`.',
  },
  faults: ['orders-lost'],
  red: ['lasting'],
  successor: 'same',
  plan: experiment => ({
    fault: [
      ...injectFault(experiment, 'orders-lost'),
      meanwhile(experiment, { ready: 'unseen', refused: [] }),
    ],
    recovery: recoverFault(experiment, 'orders-lost'),
  }),
};
