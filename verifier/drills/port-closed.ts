// port-closed: clients cannot reach the service's port; verify is red at the bottom rung and runs nothing above it.
import type { FaultName } from '#infra/platform';
import { Broken } from '../checks/climb.ts';
import { rungs } from '../checks/rungs.ts';
import { probe } from '../client/tcp.ts';
import type { Drill, Plan } from '../experiment/drill.ts';
import type { Experiment } from '../experiment/experiment.ts';
import { injectFault, recoverFault } from '../experiment/fault.ts';
import { brokenOf, tellBroken } from '../results/point.ts';

const budgets = { closedMs: 10_000, servedMs: 2_000 };

export const portClosed: Drill = {
  name: 'port-closed',
  title: 'the TCP port of the service is closed',
  runbook: {
    looksLike: 'connection refused, or accepted and closed at once; '
      + '`make verify` is red at `reachable` and runs nothing above it.',
    means: 'the published TCP port of the service is gone.',
    takes: 'about 20 s',
    byHand: '`infra/control inject port-closed`',
    backToNormal: '`infra/control recover port-closed`. '
      + 'On `process` the service itself is the listener, so there the port is closed by stopping it, '
      + 'and another process answers afterwards.',
  },
  faults: ['port-closed'],
  budgets,
  successor: 'any',
  plan: experiment => unreachable(experiment, 'port-closed', budgets),
};

/** The whole drill; only the way in which the port is taken away differs. */
export function unreachable(experiment: Experiment, fault: FaultName, { closedMs, servedMs }: typeof budgets): Plan {
  const { target, scaled } = experiment;
  return {
    fault: [
      injectFault(experiment, fault),
      { name: 'real', checks: [{ id: 'tcp-not-held', claim: 'TCP is not held', run: async say => {
        const { state } = await experiment.wait({
          what: 'TCP', withinMs: closedMs,
          look: () => probe(target, scaled(2_000)), good: seen => seen.state !== 'held',
        });
        say(`the port is ${state}`);
      } }] },
      { name: 'meanwhile', checks: [{
        id: 'verify-red', claim: 'verify is red at reachable, all above it skipped', run: () => verifyIsRed(experiment),
      }] },
    ],
    recovery: recoverFault(experiment, fault, { servedMs, cutOff: true }),
    afterwards: [{ name: 'verified', checks: [{ id: 'verify-green', claim: 'verify is green again', run: async () => {
      const { exit, points } = await experiment.verify();
      if (exit !== 0) throw new Broken(`verify: wanted exit 0, saw ${exit}: ${tellBroken(points)}`);
    } }] }],
  };
}

async function verifyIsRed(experiment: Experiment): Promise<void> {
  const { exit, points } = await experiment.verify();
  const [bottom, ...higher] = rungs;
  const above = points.filter(({ id }) => higher.some(rung => rung === id.rung));
  const ran = above.filter(({ blockedBy }) => blockedBy !== bottom);
  const atBottom = brokenOf(points).some(({ id }) => id.rung === bottom);
  if (exit !== 1 || !atBottom) throw new Broken(`verify: wanted exit 1 and ${bottom} broken, saw exit ${exit}`);
  if (above.length > 0 && ran.length === 0) return;
  const saw = ran.map(({ claim }) => claim).join(', ') || 'nothing at all';
  throw new Broken(`verify: wanted all above ${bottom} skipped, saw it run ${saw}`);
}
