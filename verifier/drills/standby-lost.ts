// standby-lost: a standby is frozen under load; the other one confirms the orders.
import type { SwarmFacts } from '#infra/platform';
import type { Check } from '../checks/climb.ts';
import type { Drill } from '../experiment/drill.ts';
import type { Experiment } from '../experiment/experiment.ts';
import { lookAtFleet, onFleet, planLoss } from '../experiment/fleet.ts';
import { nothingLost } from '../experiment/reckoning.ts';

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
  plan: experiment => planLoss(experiment, { ...loss, meanwhile: [otherConfirms(experiment)] }, [
    // what waits for the frozen standby is given up with it, after longer than a writer waits
    { name: 'reckoning', checks: [nothingLost(experiment)] },
  ]),
};

/** The frozen one is the one that confirmed: without another nothing would be taken. */
function otherConfirms(experiment: Experiment): Check {
  return { id: 'other-confirms', claim: 'the standby that followed confirms now', run: async say => {
    const confirms = (facts: SwarmFacts | undefined) => (
      facts?.members?.find(({ role, streams }) => role === 'confirms' && streams)?.name
    );
    const before = confirms(onFleet(experiment));
    const now = await experiment.wait({
      what: 'who confirms', wanted: `another than ${before}`, withinMs: 60_000, look: () => lookAtFleet(experiment),
      good: facts => ![undefined, before].includes(confirms(facts)), tell: facts => confirms(facts) ?? 'nobody',
    });
    say(`${before} confirmed before, ${confirms(now)} confirms`);
  } };
}
