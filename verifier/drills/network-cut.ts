// network-cut: no packet passes between the service and its database; both of them run.
import type { Drill } from '../experiment/drill.ts';
import { injectFault, recoverFault, refusesMeanwhile } from '../experiment/fault.ts';

export const networkCut: Drill = {
  name: 'network-cut',
  title: 'the network between the service and its database is cut',
  runbook: {
    looksLike: 'tcp held, `/health` 200, `/ready` 503 with the reason `timeout` or `unreachable`, orders 503 '
      + 'within their deadline.',
    means: 'the network between the two is down, or a firewall drops what passes there.',
    takes: 'containers only: elsewhere it is reported as not run',
    byHand: '`infra/control inject network-cut`',
    backToNormal: '`infra/control recover network-cut`. '
      + 'The service gives its dead connections up and opens new ones by itself.',
  },
  faults: ['network-cut'],
  successor: 'same',
  plan: experiment => ({
    fault: [
      ...injectFault(experiment, 'network-cut'),
      refusesMeanwhile(experiment, ['timeout', 'unreachable', 'connection_lost', 'connection_refused']),
    ],
    recovery: recoverFault(experiment, 'network-cut'),
  }),
};
