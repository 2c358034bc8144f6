// split: the leader is cut off from the others under load; at most one side takes orders.
import { Broken } from '../checks/climb.ts';
import type { Check } from '../checks/climb.ts';
import type { Drill } from '../experiment/drill.ts';
import type { Experiment } from '../experiment/experiment.ts';
import { lostUnderLoad, wholeAgain } from '../experiment/fleet.ts';
import { isDurable, nothingLost } from '../experiment/reckoning.ts';

const loss = { fault: 'split', withoutWritesMs: 60_000, recoverMs: 240_000 } as const;

export const split: Drill = {
  name: 'split',
  title: 'the machine with the database\'s leader is cut off from the others while sixteen writers post orders',
  runbook: {
    looksLike: 'orders are refused for about 25 s; then the side with two machines takes them, and the one that '
      + 'is alone takes none.',
    means: 'a cable, a switch or a firewall cut one machine off; it still runs.',
    takes: 'about 3 minutes; needs `PLATFORM=swarm`, elsewhere it is reported as not run',
    byHand: '`infra/control inject split`',
    backToNormal: '`infra/control recover split` plugs it in again; the former leader follows. No acknowledged '
      + 'order is lost, and at no time did two members acknowledge.',
  },
  faults: ['split'],
  successor: 'any',
  plan: experiment => ({
    fault: [
      { name: 'durable', checks: [isDurable(experiment)] },
      ...lostUnderLoad(experiment, { ...loss, meanwhile: [oneLeads(experiment)] }),
    ],
    recovery: wholeAgain(experiment, loss),
    // what was under way on the lost machine has a router's 12 s, longer than a writer waits
    afterwards: [{ name: 'reckoning', checks: [nothingLost(experiment)] }],
  }),
};

/** Asked on every machine, the one that is alone too: one leads, and it is not the one of before. */
function oneLeads(experiment: Experiment): Check {
  return { id: 'one-leads', claim: 'one member leads, on the side with two machines', run: async say => {
    const led = experiment.before.facts;
    const { leaders } = await experiment.wait({
      what: 'the leaders', wanted: 'one', withinMs: 60_000,
      look: async () => {
        const facts = await experiment.facts();
        if (facts.containers !== 'tasks') throw new Broken('no facts of a fleet');
        return facts;
      },
      good: ({ leaders: seen }) => seen.length === 1, tell: ({ leaders: seen }) => seen.join(' and ') || 'none',
    });
    say(`${led.containers === 'tasks' ? led.leaders.join() : 'nobody'} led before, ${leaders.join()} leads`);
  } };
}
