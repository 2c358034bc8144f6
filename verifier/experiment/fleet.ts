// What drills of a fleet share: a loss under load, and how long nobody's order was taken.
import { noFleet } from '#infra/platform';
import type { FaultName, SwarmFacts } from '#infra/platform';
import { Broken } from '../checks/climb.ts';
import type { Check, Rung } from '../checks/climb.ts';
import { counted } from '../results/point.ts';
import { NotPossible } from './experiment.ts';
import type { Experiment } from './experiment.ts';
import type { Plan } from './drill.ts';
import { promised, seeInPlace, servedAgain } from './fault.ts';
import type { Attempt, How } from './load.ts';
import { isDurable } from './reckoning.ts';
import { countWords, longestGapMs } from './timeline.ts';

/**
 * How long orders may be refused, in ms before SCALE. `kills`: whose task is gone afterwards, where Swarm starts
 * another by itself; else the fault stays in place and is seen there.
 */
export type Loss = {
  fault: FaultName; withoutWritesMs: number; recoverMs: number; meanwhile?: Check[];
  kills?: 'a replica' | 'the leader';
};

/** Lost under load, seen to be lost, and whole again. `afterwards` comes last. */
export function planLoss(experiment: Experiment, loss: Loss, afterwards: Rung[]): Plan {
  return {
    fault: [{ name: 'durable', checks: [isDurable(experiment)] }, ...lostUnderLoad(experiment, loss)],
    recovery: wholeAgain(experiment, loss), afterwards,
  };
}

/** Elsewhere a drill of a fleet is not run: there is one of everything. */
export function onFleet({ before }: Pick<Experiment, 'before'>): SwarmFacts {
  const { facts } = before;
  if (facts.containers !== 'tasks') throw new NotPossible(noFleet);
  return facts;
}

/** Undefined while it cannot be looked at: a swarm that has lost a machine needs some seconds. */
export async function lookAtFleet(experiment: Pick<Experiment, 'facts'>): Promise<SwarmFacts | undefined> {
  const facts = await experiment.facts().catch((error: unknown) => {
    if (error instanceof Broken) return undefined;
    throw error;
  });
  return facts?.containers === 'tasks' ? facts : undefined;
}

/** Two hundred orders a second before SCALE, for minutes: all of them are read back. */
export function steadily({ scaled }: Pick<Experiment, 'scaled'>): How {
  return { restMs: scaled(50) };
}

/** Sixteen writers post while it happens, until orders are taken again with the fault still in place. */
function lostUnderLoad(experiment: Experiment, loss: Loss): Rung[] {
  const { fault, withoutWritesMs, meanwhile = [] } = loss;
  const { load, scaled } = experiment;
  const claim = `${fault} under sixteen writers; orders are taken again within ${scaled(withoutWritesMs)} ms`;
  const lost: Check = { id: 'lost', claim, run: async say => {
    onFleet(experiment);
    await load.start(steadily(experiment));
    await promised(experiment, 100);
    const began = experiment.timeline.mark('inject');
    const { ms } = await experiment.inject(fault);
    const injected = experiment.timeline.mark('injected');
    await takenSince(experiment, injected, withoutWritesMs + 20_000);
    await promised(experiment, 100);
    const gapMs = longestGapMs(experiment.timeline.samples, 'write', began);
    const readMs = longestGapMs(experiment.timeline.samples, 'read', began);
    say(`inject ${fault} took ${ms} ms; no order was taken for ${gapMs} ms, none read for ${readMs} ms; `
      + tellAttempts(load.attempts));
    experiment.measured.push({ what: 'without writes', ms: gapMs, withinMs: scaled(withoutWritesMs) });
    if (gapMs > scaled(withoutWritesMs)) {
      throw new Broken(`writes: wanted them again within ${scaled(withoutWritesMs)} ms, saw none for ${gapMs} ms`);
    }
  } };
  return [
    { name: 'fault', checks: [lost] },
    { name: 'real', checks: [isReal(experiment, loss)] },
    ...meanwhile.length === 0 ? [] : [{ name: 'meanwhile', checks: meanwhile }],
  ];
}

/** Without it a fault that did nothing would be a drill that holds. */
function isReal(experiment: Experiment, { fault, kills }: Loss): Check {
  const claim = kills === undefined ? `${fault} is in place` : `the task of ${kills} is gone that ran before`;
  return { id: 'in-place', claim, run: async say => {
    if (kills === undefined) {
      await seeInPlace(experiment, fault);
      return;
    }
    const before = onFleet(experiment);
    const killed = kills === 'the leader' ? before.leaders[0] : 'api';
    const about = before.tasks.filter(({ service }) => service === killed);
    const now = await experiment.wait({
      what: 'the fleet', wanted: 'facts', withinMs: 60_000, look: () => lookAtFleet(experiment),
      good: facts => facts !== undefined, tell: () => 'none',
    });
    const gone = about.filter(({ id }) => !now?.tasks.some(task => task.id === id));
    say(`gone: ${gone.map(({ service, id, node }) => `${service} ${id} on ${node}`).join(', ') || 'none'}`);
    if (gone.length !== 1) throw new Broken(`${fault}: wanted one task of ${kills} gone, saw ${gone.length}`);
  } };
}

/** What was lost comes back by itself or by `recover`, all of it, while the writers go on. */
function wholeAgain(experiment: Experiment, { fault, recoverMs }: Loss): Rung {
  const { load, scaled } = experiment;
  const claim = `the fleet is whole again, within ${scaled(recoverMs)} ms`;
  return { name: 'recovery', checks: [{ id: 'recovered', claim, run: async say => {
    const { timeline } = experiment;
    timeline.mark('recover');
    const { ms } = await experiment.recover(fault);
    timeline.mark('recovered');
    await servedAgain(experiment, say);
    await promised(experiment, 100);
    await load.stop();
    say(`recover ${fault} took ${ms} ms`);
    experiment.measured.push({ what: 'whole again', ms, withinMs: scaled(recoverMs) });
    if (ms > scaled(recoverMs)) throw new Broken(`whole: wanted it within ${scaled(recoverMs)} ms, saw ${ms} ms`);
  } }] };
}

/** Of an order without a key the router may say that nobody knows what became of it: it is never sent twice. */
export function unnoticed(experiment: Experiment): Rung {
  const claim = 'not one request failed, but for orders without a key whose outcome is unknown';
  return { name: 'unnoticed', checks: [{ id: 'unnoticed', claim, run: async say => {
    const { load, timeline, attempts } = experiment;
    const isUnknown = (word: string) => /^50[24] outcome_unknown$/.test(word);
    const orders = [...load.attempts, ...attempts.filter(({ said }) => isUnknown(said))];
    const failed = [
      ...orders.filter(({ fate, key }) => fate !== 'acked' && key !== undefined).map(({ said }) => `order ${said}`),
      ...timeline.samples.filter(({ grade }) => grade !== 'good')
        .filter(({ probe, word }) => probe !== 'write' || !isUnknown(word))
        .map(({ probe, word }) => `${probe} ${word}`),
    ];
    const exempt = orders.filter(({ fate, key }) => fate !== 'acked' && key === undefined);
    const asked = `${counted(load.attempts.length, 'order')} and ${counted(timeline.samples.length, 'look')}`;
    say(`${asked}, ${failed.length} failed; ${exempt.length} without a key unknown`);
    if (failed.length > 0) throw new Broken(`wanted no failed request, saw ${countWords(failed)}`);
  } }] };
}

/** Until the probe `write` has had an order taken that was sent after that moment. */
export async function takenSince({ wait, timeline }: Experiment, sinceMs: number, withinMs: number): Promise<void> {
  await wait({
    what: 'orders', wanted: 'one taken', withinMs,
    look: async () => timeline.samples.some(({ probe, grade, fromMs }) => (
      probe === 'write' && grade === 'good' && fromMs >= sinceMs
    )),
    good: taken => taken, tell: () => 'none',
  });
}

function tellAttempts(attempts: readonly Attempt[]): string {
  const many = (fate: Attempt['fate']) => attempts.filter(one => one.fate === fate).length;
  return `${many('acked')} orders accepted, ${many('refused')} refused, ${many('ambiguous')} unknown`;
}
