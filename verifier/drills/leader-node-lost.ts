// leader-node-lost: the machine with the database's leader goes off under load; the fleet goes on without it.
import type { Drill } from '../experiment/drill.ts';
import { lostUnderLoad, wholeAgain } from '../experiment/fleet.ts';
import { isDurable, nothingLost } from '../experiment/reckoning.ts';

const loss = { fault: 'leader-node-lost', withoutWritesMs: 60_000, recoverMs: 240_000 } as const;

export const leaderNodeLost: Drill = {
  name: 'leader-node-lost',
  title: 'the machine with the database\'s leader goes off while sixteen writers post orders',
  runbook: {
    looksLike: 'orders are refused for about 25 s; the router of that node does not answer, those of the others do.',
    means: 'the machine with the leader lost its power or crashed.',
    takes: 'about 3 minutes; needs `PLATFORM=swarm`, elsewhere it is reported as not run',
    byHand: '`infra/control inject leader-node-lost`',
    backToNormal: '`infra/control recover leader-node-lost` or `make up` switches it on; it joins by itself. No '
      + 'acknowledged order is lost.',
  },
  faults: ['leader-node-lost'],
  successor: 'any',
  plan: experiment => ({
    fault: [{ name: 'durable', checks: [isDurable(experiment)] }, ...lostUnderLoad(experiment, loss)],
    recovery: wholeAgain(experiment, loss),
    // what was under way on the lost machine has a router's 12 s, longer than a writer waits
    afterwards: [{ name: 'reckoning', checks: [nothingLost(experiment)] }],
  }),
};
