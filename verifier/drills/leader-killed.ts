// leader-killed: the database's leader is killed under load; no acknowledged order is lost.
import type { Drill } from '../experiment/drill.ts';
import { planLoss } from '../experiment/fleet.ts';
import { reckon } from '../experiment/reckoning.ts';

const loss = { fault: 'leader-killed', withoutWritesMs: 60_000, recoverMs: 180_000, kills: 'the leader' } as const;

export const leaderKilled: Drill = {
  name: 'leader-killed',
  title: 'the database\'s leader is killed while sixteen writers post orders',
  runbook: {
    looksLike: 'orders are refused for some seconds, reads as well; then another member, or the same one, leads.',
    means: 'the leading PostgreSQL was killed (out of memory, by hand, by a crash).',
    takes: 'about 2 minutes; needs `PLATFORM=swarm`, elsewhere it is reported as not run',
    byHand: '`infra/control inject leader-killed`',
    backToNormal: 'by itself; `infra/control recover leader-killed` waits until all members follow. No '
      + 'acknowledged order is lost.',
  },
  faults: ['leader-killed'],
  successor: 'any',
  plan: experiment => planLoss(experiment, loss, [reckon(experiment)]),
};
