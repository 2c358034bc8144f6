// split: the leader is cut off from the others under load; one member takes writes, on the other side.
import type { SwarmFacts } from '#infra/platform';
import type { Check } from '../checks/climb.ts';
import type { Drill } from '../experiment/drill.ts';
import type { Experiment } from '../experiment/experiment.ts';
import { lookAtFleet, planLoss } from '../experiment/fleet.ts';
import { reckon } from '../experiment/reckoning.ts';

const loss = { fault: 'split', withoutWritesMs: 60_000, recoverMs: 240_000 } as const;

export const split: Drill = {
  name: 'split',
  title: 'the machine with the database\'s leader is cut off from the others while sixteen writers post orders',
  runbook: {
    looksLike: 'orders are refused for about 25 s; then a member on the side with two machines takes them, and the '
      + 'one that is alone follows nobody and takes no writes.',
    means: 'a cable, a switch or a firewall cut one machine off; it still runs.',
    takes: 'about 3 minutes; needs `PLATFORM=swarm`, elsewhere it is reported as not run',
    byHand: '`infra/control inject split`',
    backToNormal: '`infra/control recover split` plugs it in again; the former leader follows. No acknowledged '
      + 'order is lost.',
  },
  faults: ['split'],
  successor: 'any',
  plan: experiment => planLoss(experiment, { ...loss, meanwhile: [oneLeads(experiment)] }, [reckon(experiment)]),
};

/** Every member is asked in its own container, so that the one that is alone has its say too. */
function oneLeads(experiment: Experiment): Check {
  const claim = 'one member takes writes, and not on the machine that is cut off';
  return { id: 'one-leads', claim, run: async say => {
    const sides = await experiment.wait({
      what: 'members that take writes', wanted: 'one, on a machine that is not cut off', withinMs: 60_000,
      look: async () => sidesIn(await lookAtFleet(experiment)),
      good: ({ leading, cut }) => cut.length === 1 && leading.length === 1 && leading[0] !== cut[0],
      tell: ({ leading, cut }) => `${leading.join(' and ') || 'none'}, cut off ${cut.join() || 'none'}`,
    });
    say(`${sides.leading.join()} leads, ${sides.cut.join()} is cut off`);
  } };
}

/** By node; nothing of both while nobody can tell. */
function sidesIn(facts: SwarmFacts | undefined): { leading: string[]; cut: string[] } {
  if (facts === undefined) return { leading: [], cut: [] };
  const leading = facts.leaders.map(leader => facts.tasks.find(({ service }) => service === leader)?.node ?? leader);
  return { leading, cut: facts.cut_off };
}
