// service-frozen: the service is stopped as with SIGSTOP; TCP is still held, and nobody answers.
import type { Drill } from '../experiment/drill.ts';
import { healthFails, injectFault, recoverFault, tcpHeld } from '../experiment/fault.ts';

export const serviceFrozen: Drill = {
  name: 'service-frozen',
  title: 'the service is frozen (SIGSTOP): it holds its port and answers nobody',
  runbook: {
    looksLike: 'connections are accepted and held, no request is answered; `make verify` is red at `alive`.',
    means: 'the process of the service does nothing any more, yet its kernel still takes connections.',
    takes: 'about 10 s',
    byHand: '`infra/control inject service-frozen`',
    backToNormal: '`infra/control recover service-frozen`; the same process goes on where it stopped. '
      + 'A process whose event loop hangs without having been stopped from outside is started again by itself.',
  },
  faults: ['service-frozen'],
  red: ['alive'],
  successor: 'same',
  plan: experiment => ({
    fault: [
      ...injectFault(experiment, 'service-frozen'),
      { name: 'meanwhile', checks: [healthFails(experiment), tcpHeld(experiment)] },
    ],
    recovery: recoverFault(experiment, 'service-frozen', { cutOff: true }),
  }),
};
