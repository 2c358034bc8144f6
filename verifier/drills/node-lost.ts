// node-lost: a machine goes off under load; the fleet goes on without it.
import type { Drill } from '../experiment/drill.ts';
import { lostUnderLoad, wholeAgain } from '../experiment/fleet.ts';
import { isDurable, nothingLost } from '../experiment/reckoning.ts';

const loss = { fault: 'node-lost', withoutWritesMs: 30_000, recoverMs: 240_000 } as const;

export const nodeLost: Drill = {
  name: 'node-lost',
  title: 'a machine without the database\'s leader goes off while sixteen writers post orders',
  runbook: {
    looksLike: 'a few requests fail or wait some seconds; the router of that node does not answer, those of the '
      + 'others do.',
    means: 'a machine lost its power or crashed.',
    takes: 'about 2 minutes; needs `PLATFORM=swarm`, elsewhere it is reported as not run',
    byHand: '`infra/control inject node-lost`',
    backToNormal: '`infra/control recover node-lost` or `make up` switches it on; it joins by itself. No '
      + 'acknowledged order is lost.',
  },
  faults: ['node-lost'],
  successor: 'any',
  plan: experiment => ({
    fault: [{ name: 'durable', checks: [isDurable(experiment)] }, ...lostUnderLoad(experiment, loss)],
    recovery: wholeAgain(experiment, loss),
    // what was under way on the lost machine has a router's 12 s, longer than a writer waits
    afterwards: [{ name: 'reckoning', checks: [nothingLost(experiment)] }],
  }),
};
