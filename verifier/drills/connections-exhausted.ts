// connections-exhausted: the database takes no more connections, and has ended those of the service.
import type { Drill } from '../experiment/drill.ts';
import { injectFault, recoverFault, refusesMeanwhile } from '../experiment/fault.ts';

export const connectionsExhausted: Drill = {
  name: 'connections-exhausted',
  title: 'the database has no connection left for the service',
  runbook: {
    looksLike: 'tcp held, `/health` 200, `/ready` 503 with the reason `too_many_connections`, orders 503.',
    means: 'other clients have taken all connections, or the limit of the role is too low.',
    takes: 'about 7 s',
    byHand: '`infra/control inject connections-exhausted`',
    backToNormal: '`infra/control recover connections-exhausted`; in production find out who has them in '
      + '`pg_stat_activity`. Ready again within 2 s, in the same process.',
  },
  faults: ['connections-exhausted'],
  successor: 'same',
  plan: experiment => ({
    fault: [
      ...injectFault(experiment, 'connections-exhausted'),
      refusesMeanwhile(experiment, ['too_many_connections']),
    ],
    recovery: recoverFault(experiment, 'connections-exhausted'),
  }),
};
