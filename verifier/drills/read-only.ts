// read-only: the database takes no writes; look-ups are served, and readiness says why orders are not.
import type { Drill } from '../experiment/drill.ts';
import { injectFault, meanwhile, recoverFault } from '../experiment/fault.ts';

export const readOnly: Drill = {
  name: 'read-only',
  title: 'the database is read-only',
  runbook: {
    looksLike: 'tcp held, `/health` 200, `/ready` 503 with the reason `read_only`, new orders 503, look-ups 200.',
    means: 'the database is a standby, or somebody has made it read-only.',
    takes: 'about 7 s',
    byHand: '`infra/control inject read-only`',
    backToNormal: '`infra/control recover read-only`. Ready again within 2 s, in the same process.',
  },
  faults: ['read-only'],
  successor: 'same',
  plan: experiment => ({
    fault: [
      ...injectFault(experiment, 'read-only'),
      meanwhile(experiment, { ready: ['read_only'], refused: ['write'] }),
    ],
    recovery: recoverFault(experiment, 'read-only'),
  }),
};
