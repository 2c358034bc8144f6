// old-build: another build answers on the port; it works, and is not the one that this checkout made.
import type { Drill } from '../experiment/drill.ts';
import { injectFault, recoverFault } from '../experiment/fault.ts';

export const oldBuild: Drill = {
  name: 'old-build',
  title: 'the service runs another build than the one of this checkout',
  runbook: {
    looksLike: 'everything answers; `make verify` is red at `versioned` and names both commits.',
    means: 'an old build, or one that somebody made elsewhere, runs here.',
    takes: 'about 10 s',
    byHand: '`infra/control inject old-build`',
    backToNormal: '`infra/control recover old-build`, or `make up`, starts the build of this checkout.',
  },
  faults: ['old-build'],
  red: ['versioned'],
  successor: 'any',
  plan: experiment => ({
    fault: injectFault(experiment, 'old-build'),
    recovery: recoverFault(experiment, 'old-build', { cutOff: true }),
  }),
};
