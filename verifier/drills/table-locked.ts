// table-locked: a session holds the table of orders; readiness cannot see it, orders time out.
import type { Drill } from '../experiment/drill.ts';
import { injectFault, meanwhile, recoverFault } from '../experiment/fault.ts';

export const tableLocked: Drill = {
  name: 'table-locked',
  title: 'a session locks the table of orders (ACCESS EXCLUSIVE)',
  runbook: {
    looksLike: '`/health` and `/ready` 200, orders and look-ups 503 after about 1 s; `make verify` is red at '
      + '`usable`.',
    means: 'a migration, a backup or a forgotten session at a prompt holds a lock on the table.',
    takes: 'about 15 s',
    byHand: '`infra/control inject table-locked`',
    backToNormal: '`infra/control recover table-locked` ends the session that holds the lock; by hand '
      + '`pg_terminate_backend` of the `pid` that `pg_blocking_pids` names. What was refused was not stored.',
  },
  faults: ['table-locked'],
  red: ['usable'],
  successor: 'same',
  plan: experiment => ({
    fault: [
      ...injectFault(experiment, 'table-locked'),
      meanwhile(experiment, { ready: 'unseen', refused: ['read', 'write'] }),
    ],
    recovery: recoverFault(experiment, 'table-locked'),
  }),
};
