// node-lost: a machine goes off under load; the fleet goes on without it.
import type { Drill } from '../experiment/drill.ts';
import { planLoss } from '../experiment/fleet.ts';
import { reckon } from '../experiment/reckoning.ts';

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
  plan: experiment => planLoss(experiment, loss, [reckon(experiment)]),
};
