// standby-lost: a standby is frozen under load; the other one confirms the orders.
import type { Drill } from '../experiment/drill.ts';
import { lostUnderLoad, wholeAgain } from '../experiment/fleet.ts';
import { isDurable, nothingLost } from '../experiment/reckoning.ts';

const loss = { fault: 'standby-lost', withoutWritesMs: 30_000, recoverMs: 180_000 } as const;

export const standbyLost: Drill = {
  name: 'standby-lost',
  title: 'a standby of the database stops doing anything while sixteen writers post orders',
  runbook: {
    looksLike: 'orders wait some seconds if it was the one that confirms them, then the other one confirms. '
      + 'With both standbys lost, writes wait.',
    means: 'one standby hangs; an order is acknowledged only when a second member has it on its disk.',
    takes: 'about 2 minutes; needs `PLATFORM=swarm`, elsewhere it is reported as not run',
    byHand: '`infra/control inject standby-lost`',
    backToNormal: '`infra/control recover standby-lost` wakes it; it catches up by itself.',
  },
  faults: ['standby-lost'],
  successor: 'any',
  plan: experiment => ({
    fault: [{ name: 'durable', checks: [isDurable(experiment)] }, ...lostUnderLoad(experiment, loss)],
    recovery: wholeAgain(experiment, loss),
    // what waits for the frozen standby is given up with it, after longer than a writer waits
    afterwards: [{ name: 'reckoning', checks: [nothingLost(experiment)] }],
  }),
};
