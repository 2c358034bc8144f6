// What drills of a fleet share: a loss under load, and how long nobody's order was taken.
import type { FaultName } from '#infra/platform';
import { Broken } from '../checks/climb.ts';
import type { Check, Rung } from '../checks/climb.ts';
import { counted } from '../results/point.ts';
import { NotPossible } from './experiment.ts';
import type { Experiment } from './experiment.ts';
import { promised, servedAgain } from './fault.ts';
import type { Attempt } from './load.ts';
import { countWords, longestGapMs } from './timeline.ts';

type Say = (line: string) => void;
/** How long orders may be refused, in ms before SCALE; 0: not one request may fail. */
export type Loss = { fault: FaultName; withoutWritesMs: number; recoverMs: number; meanwhile?: Check[] };

/** Elsewhere a drill of a fleet is not run: there is one of everything. */
export function onFleet({ before }: Pick<Experiment, 'before'>): void {
  if (before.facts.containers !== 'tasks') throw new NotPossible('a drill of a fleet: make up PLATFORM=swarm');
}

/** Sixteen writers post while it happens, until orders are taken again with the fault still in place. */
export function lostUnderLoad(experiment: Experiment, loss: Loss): Rung[] {
  const { fault, withoutWritesMs, meanwhile = [] } = loss;
  const { load, scaled } = experiment;
  const claim = `${fault} under sixteen writers; orders are taken again within ${scaled(withoutWritesMs)} ms`;
  const lost: Check = { id: 'lost', claim, run: async say => {
    onFleet(experiment);
    await load.start();
    await promised(experiment, 100);
    const began = experiment.timeline.mark('inject');
    const { ms } = await experiment.inject(fault);
    const injected = experiment.timeline.mark('injected');
    await takenSince(experiment, injected, withoutWritesMs + 20_000);
    await promised(experiment, 100);
    const gapMs = longestGapMs(experiment.timeline.samples, 'write', began);
    say(`inject ${fault} took ${ms} ms; no order was taken for ${gapMs} ms; ${tellAttempts(load.attempts)}`);
    experiment.measured.push({ what: 'without writes', ms: gapMs, withinMs: scaled(withoutWritesMs) });
    if (gapMs > scaled(withoutWritesMs)) {
      throw new Broken(`writes: wanted them again within ${scaled(withoutWritesMs)} ms, saw none for ${gapMs} ms`);
    }
  } };
  return [
    { name: 'fault', checks: [lost] },
    ...meanwhile.length === 0 ? [] : [{ name: 'meanwhile', checks: meanwhile }],
  ];
}

/** What was lost comes back by itself or by `recover`, all of it, while the writers go on. */
export function wholeAgain(experiment: Experiment, { fault, recoverMs }: Loss): Rung {
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

/** Nobody who asked was failed: no order, and no look of the timeline. */
export function nobodyFailed({ load, timeline }: Pick<Experiment, 'load' | 'timeline'>, say: Say): void {
  const orders = load.attempts.filter(({ fate }) => fate !== 'acked').map(({ said }) => `order ${said}`);
  const looks = timeline.samples.filter(({ grade }) => grade !== 'good').map(({ probe, word }) => `${probe} ${word}`);
  const failed = [...orders, ...looks];
  const asked = `${counted(load.attempts.length, 'order')} and ${counted(timeline.samples.length, 'look')}`;
  say(`${asked}, ${failed.length} failed`);
  if (failed.length > 0) throw new Broken(`wanted no failed request, saw ${countWords(failed)}`);
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
