// replica-killed: one replica of three is killed under load; nobody notices, and another takes its place.
import type { Drill } from '../experiment/drill.ts';
import { planLoss, unnoticed } from '../experiment/fleet.ts';
import { reckon } from '../experiment/reckoning.ts';

const loss = { fault: 'replica-killed', withoutWritesMs: 3_000, recoverMs: 60_000, kills: 'a replica' } as const;

export const replicaKilled: Drill = {
  name: 'replica-killed',
  title: 'one of three replicas is killed while sixteen writers post orders',
  runbook: {
    looksLike: 'nothing, from outside: the routers send what that replica had to another. `make status` shows a node '
      + 'without `api` for some seconds.',
    means: 'one replica was killed (out of memory, by hand, by a crash: see its log).',
    takes: 'about 1 minute; needs `PLATFORM=swarm`, elsewhere it is reported as not run',
    byHand: '`infra/control inject replica-killed`',
    backToNormal: 'by itself, when Swarm has started another; `infra/control recover replica-killed` waits for it.',
  },
  faults: ['replica-killed'],
  successor: 'any',
  plan: experiment => planLoss(experiment, loss, [unnoticed(experiment), reckon(experiment)]),
};
