// leader-frozen: the database's leader is frozen under load; another one leads, and the former finds that out.
import type { Drill } from '../experiment/drill.ts';
import { planLoss } from '../experiment/fleet.ts';
import { reckon } from '../experiment/reckoning.ts';

const loss = { fault: 'leader-frozen', withoutWritesMs: 60_000, recoverMs: 180_000 } as const;

export const leaderFrozen: Drill = {
  name: 'leader-frozen',
  title: 'the database\'s leader stops doing anything while sixteen writers post orders',
  runbook: {
    looksLike: 'orders are refused for about 25 s: nobody can know at once that a silent leader is gone.',
    means: 'the machine or the process of the leader hangs.',
    takes: 'about 2 minutes; needs `PLATFORM=swarm`, elsewhere it is reported as not run',
    byHand: '`infra/control inject leader-frozen`',
    backToNormal: 'another member leads by itself; `infra/control recover leader-frozen` wakes the former one, '
      + 'which follows then. No acknowledged order is lost.',
  },
  faults: ['leader-frozen'],
  successor: 'any',
  plan: experiment => planLoss(experiment, loss, [reckon(experiment)]),
};
