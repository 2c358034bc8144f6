// leader-node-lost: the machine with the database's leader goes off under load; the fleet goes on without it.
import type { Drill } from '../experiment/drill.ts';
import { planLoss } from '../experiment/fleet.ts';
import { reckon } from '../experiment/reckoning.ts';

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
  plan: experiment => planLoss(experiment, loss, [reckon(experiment)]),
};
