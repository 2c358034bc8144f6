// replica-killed: one replica of three is killed under load; nobody notices, and another takes its place.
import type { Check } from '../checks/climb.ts';
import type { Drill } from '../experiment/drill.ts';
import type { Experiment } from '../experiment/experiment.ts';
import { lostUnderLoad, nobodyFailed, wholeAgain } from '../experiment/fleet.ts';
import { isDurable, reckon } from '../experiment/reckoning.ts';

const loss = { fault: 'replica-killed', withoutWritesMs: 3_000, recoverMs: 60_000 } as const;

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
  plan: experiment => ({
    fault: [{ name: 'durable', checks: [isDurable(experiment)] }, ...lostUnderLoad(experiment, loss)],
    recovery: wholeAgain(experiment, loss),
    afterwards: [{ name: 'unnoticed', checks: [unnoticed(experiment)] }, reckon(experiment)],
  }),
};

function unnoticed(experiment: Experiment): Check {
  return { id: 'unnoticed', claim: 'not one request failed', run: async say => nobodyFailed(experiment, say) };
}
