// disk-full: the database has no room for another order; it still answers, and gives out what it has.
import type { Drill } from '../experiment/drill.ts';
import { injectFault, meanwhile, recoverFault } from '../experiment/fault.ts';

export const diskFull: Drill = {
  name: 'disk-full',
  title: 'the disk of the database is full: no order can be stored, those that are stored can be read',
  runbook: {
    looksLike: '`/health` and `/ready` 200, new orders 503, look-ups 200; `make verify` is red at `usable`.',
    means: 'the file system of the database is full (the drill fills no disk: before each insert the server writes to '
      + '`/dev/full`, so that the caller gets the kernel\'s own error).',
    takes: 'about 10 s',
    byHand: '`infra/control inject disk-full`',
    backToNormal: 'make room, then nothing else is to be done. `infra/control recover disk-full` after the drill '
      + 'or an `inject`.',
  },
  faults: ['disk-full'],
  red: ['usable'],
  successor: 'same',
  plan: experiment => ({
    fault: [
      ...injectFault(experiment, 'disk-full'),
      meanwhile(experiment, { ready: 'unseen', refused: ['write'] }),
    ],
    recovery: recoverFault(experiment, 'disk-full'),
  }),
};
