// loosened: the container of the service runs with a capability that it must not have.
import type { Drill } from '../experiment/drill.ts';
import { injectFault, recoverFault } from '../experiment/fault.ts';

export const loosened: Drill = {
  name: 'loosened',
  title: 'the container of the service has a capability too many',
  runbook: {
    looksLike: 'everything answers; `make verify` is red at `contained` and names the capability.',
    means: 'the container was made by hand, or its definition was loosened.',
    takes: 'containers only: elsewhere it is reported as not run',
    byHand: '`infra/control inject loosened`',
    backToNormal: '`infra/control recover loosened`, or `make up`, makes the container again as it is defined.',
  },
  faults: ['loosened'],
  red: ['contained'],
  successor: 'any',
  plan: experiment => ({
    fault: injectFault(experiment, 'loosened'),
    recovery: recoverFault(experiment, 'loosened', { cutOff: true }),
  }),
};
