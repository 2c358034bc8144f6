// port-closed: clients cannot reach the service's port; verify is red at the door and runs nothing above it.
import type { FaultName } from '#infra/platform';
import type { Check } from '../checks/climb.ts';
import { probe } from '../client/tcp.ts';
import type { Drill, Plan } from '../experiment/drill.ts';
import type { Experiment } from '../experiment/experiment.ts';
import { injectFault, recoverFault } from '../experiment/fault.ts';

const budgets = { closedMs: 10_000 };

export const portClosed: Drill = {
  name: 'port-closed',
  title: 'the TCP port of the service is closed',
  runbook: {
    looksLike: 'connection refused, or accepted and closed at once; '
      + '`make verify` is red at `reachable` (or at `published`, where the engine tells it) and runs nothing above it.',
    means: 'the published TCP port of the service is gone.',
    takes: 'about 10 s',
    byHand: '`infra/control inject port-closed`',
    backToNormal: '`infra/control recover port-closed`. '
      + 'On `process` the service itself is the listener, so there the port is closed by stopping it, '
      + 'and another process answers afterwards.',
  },
  faults: ['port-closed'],
  budgets,
  red: ['reachable', 'published'],
  successor: 'any',
  plan: experiment => unreachable(experiment, 'port-closed', budgets),
};

/** The whole drill; only the way in which the port is taken away differs. */
export function unreachable(experiment: Experiment, fault: FaultName, { closedMs }: typeof budgets): Plan {
  const { target, scaled } = experiment;
  const notHeld: Check = { id: 'tcp-not-held', claim: 'TCP is not held', run: async say => {
    const { state } = await experiment.wait({
      what: 'TCP', wanted: 'a port that is not held', withinMs: closedMs,
      look: () => probe(target, scaled(2_000)), good: seen => seen.state !== 'held', tell: seen => seen.state,
    });
    say(`the port is ${state}`);
  } };
  return {
    fault: [...injectFault(experiment, fault), { name: 'meanwhile', checks: [notHeld] }],
    recovery: recoverFault(experiment, fault, { cutOff: true }),
  };
}
