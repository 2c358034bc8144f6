// The rungs that drills share around a fault: injected, in place, what must hold meanwhile, recovered.
import type { FaultName } from '#infra/platform';
import { inWords } from '../budgets.ts';
import type { Timed } from '../budgets.ts';
import { Broken } from '../checks/climb.ts';
import type { Check, Rung } from '../checks/climb.ts';
import type { Experiment } from './experiment.ts';
import { lateMs } from './probes.ts';
import { countWords, detectedMs, duringFault, markOf, probeNames, recoveredMs } from './timeline.ts';
import type { ProbeName, Sample } from './timeline.ts';
import { counted } from '../results/point.ts';

type Say = (line: string) => void;
/**
 * What must hold while a fault is in place: `ready` is either the reasons that readiness may give, or `unseen` for a
 * fault that it cannot see. `refused`: the probes of orders that have to be turned away; the others have to be served.
 */
export type Meanwhile = { ready: readonly string[] | 'unseen'; refused: readonly ('read' | 'write')[] };
type Serving = Pick<Experiment, 'timeline' | 'scaled' | 'wait' | 'budgets' | 'measured'>;
const orderProbes = ['read', 'write'] as const;

/** Injects one fault and marks the moment on the timeline; then a look that does not ask the service shows it. */
export function injectFault(experiment: Experiment, fault: FaultName): Rung[] {
  const injected: Check = { id: 'injected', claim: `${fault} is injected`, run: async say => {
    const { timeline } = experiment;
    timeline.mark('inject');
    const { ms } = await experiment.inject(fault);
    timeline.mark('injected');
    say(`inject ${fault} took ${ms} ms`);
  } };
  const inPlace: Check = { id: 'in-place', claim: `${fault} is in place`, run: async say => {
    say(`the database is ${(await experiment.facts()).db.state}`);
    await seeInPlace(experiment, fault);
  } };
  return [{ name: 'fault', checks: [injected] }, { name: 'real', checks: [inPlace] }];
}

/** Throws Broken when a look does not find it. */
export async function seeInPlace(
  { control, target: { node } }: Pick<Experiment, 'control' | 'target'>, fault: FaultName,
): Promise<void> {
  const seen = await control.faultsInPlace([node]);
  if (!seen.some(entry => entry.fault === fault)) throw new Broken(`${fault}: wanted it in place, saw nothing of it`);
}

/** Alive and observable all the time; readiness and orders as they must be. `more` is looked at after these. */
export function meanwhile(experiment: Experiment, must: Meanwhile, more: Check[] = []): Rung {
  const { ready, refused } = must;
  const served = orderProbes.filter(probe => !refused.includes(probe));
  return { name: 'meanwhile', checks: [
    ready === 'unseen' ? staysReady(experiment) : turnsUnready(experiment, ready),
    ...refused.length === 0 ? [] : [ordersRefused(experiment, refused)],
    ...served.map(probe => staysServed(experiment, probe)),
    ...staysObservable(experiment),
    ...more,
  ] };
}

/** What must hold while the database cannot be used at all. */
export function refusesMeanwhile(experiment: Experiment, reasons: readonly string[], more: Check[] = []): Rung {
  return meanwhile(experiment, { ready: reasons, refused: orderProbes }, more);
}

/** TCP is held and health is 200 all the time. */
export function staysObservable(experiment: Experiment): Check[] {
  return [tcpHeld(experiment), { id: 'health-200', claim: 'health is 200', run: async say => {
    await holds(experiment, 'health');
    say(`health took ${slowest(duringFault(experiment.timeline, 'health', 'inject'))} ms at most`);
  } }];
}

export function tcpHeld(experiment: Experiment): Check {
  return { id: 'tcp-held', claim: 'TCP is accepted and held', run: () => holds(experiment, 'tcp') };
}

/** A process that does nothing answers nobody. */
export function healthFails(experiment: Experiment): Check {
  return { id: 'health-fails', claim: 'health is not answered', run: async say => {
    const samples = await enough(experiment, 'health', 2);
    const good = samples.filter(({ grade }) => grade === 'good');
    if (good.length > 0) throw new Broken(`health: wanted no answer, saw ${wordsOf(good)}`);
    say(`health: ${wordsOf(samples)}`);
  } };
}

/**
 * Recovers one fault; then clients are served again within the budgets, counted from when the system is whole.
 * `cutOff`: the fault took away the way to the service, so a request of before may wait for its lost answer.
 */
export function recoverFault(experiment: Experiment, fault: FaultName, { cutOff = false } = {}): Rung {
  return {
    name: 'recovery',
    checks: [{ id: 'recovered', claim: `${fault} is recovered`, run: async say => {
      const { timeline } = experiment;
      timeline.mark('recover');
      const { ms } = await experiment.recover(fault);
      timeline.mark('recovered');
      if (cutOff) timeline.renew();
      say(`recover ${fault} took ${ms} ms`);
      await servedAgain(experiment, say);
    } }],
  };
}

/** Waits until every probe is served, and judges when each of them was; whether orders are lost is judged later. */
export async function servedAgain(experiment: Serving, say: Say): Promise<void> {
  const { timeline, scaled, wait, budgets, measured } = experiment;
  const began = markOf(timeline, 'recover');
  const wholeMs = markOf(timeline, 'recovered') - began;
  const seen = await wait({
    what: 'clients', wanted: 'each to be served again', withinMs: 20_000,
    look: async () => probeNames.map(probe => {
      const samples = timeline.samples.filter(sample => sample.probe === probe).map(whereLost);
      return { probe, ms: recoveredMs(samples, probe, began), word: samples.at(-1)?.word ?? 'nothing' };
    }),
    good: all => all.every(({ ms }) => ms !== null),
    tell: all => all.flatMap(({ probe, ms, word }) => ms === null ? [`${probe} ${word}`] : []).join(', '),
  });
  say(`recovered_ms ${seen.map(({ probe, ms }) => `${probe} ${ms}`).join(' · ')}`);
  const late = seen.flatMap(({ probe, ms }) => {
    const limitMs = scaled(probe === 'read' || probe === 'write' ? budgets.writeAgain : budgets.readyAgain);
    const lateMs = (ms ?? Infinity) - wholeMs;
    return lateMs > limitMs ? [`${probe} ${lateMs} ms after the system was whole, wanted within ${limitMs} ms`] : [];
  });
  const slowestOf = (probes: readonly ProbeName[]) => Math.max(0, ...seen.flatMap(({ probe, ms }) => (
    probes.includes(probe) ? (ms ?? Infinity) - wholeMs : []
  )));
  measured.push(
    { what: 'ready again', ms: slowestOf(['tcp', 'health', 'ready']), withinMs: scaled(budgets.readyAgain) },
    { what: 'write again', ms: slowestOf(['read', 'write']), withinMs: scaled(budgets.writeAgain) },
  );
  if (late.length > 0) throw new Broken(`served again: ${late.join('; ')}`);
}

/** Throws Broken when something took longer than its budget. */
export function keepsTo(
  { scaled, budgets, measured }: Pick<Experiment, 'scaled' | 'budgets' | 'measured'>, what: Timed, ms: number,
): void {
  const limitMs = scaled(budgets[what]);
  measured.push({ what: inWords(what), ms, withinMs: limitMs });
  if (ms > limitMs) throw new Broken(`${what}: wanted it within ${limitMs} ms, saw it take ${ms} ms`);
}

/** Waits until the writers have been promised so many more orders. */
export async function promised({ load, wait }: Experiment, more: number): Promise<void> {
  const before = load.count('acked');
  await wait({
    what: 'writers', wanted: `${more} more orders accepted`, withinMs: 30_000,
    look: async () => load.count('acked') - before, good: count => count >= more, tell: count => `${count} more`,
  });
}

function turnsUnready(experiment: Experiment, reasons: readonly string[]): Check {
  return { id: 'ready-503', claim: 'ready says 503 in time, with the right reason', run: async say => {
    const { timeline, scaled, budgets, measured } = experiment;
    const injected = markOf(timeline, 'injected');
    const withinMs = scaled(budgets.detected);
    const samples = await enough(experiment, 'ready', 5, injected + withinMs);
    const last = duringFault(timeline, 'ready', 'injected').findLast(({ grade }) => grade !== 'refused');
    measured.push({ what: 'detected', ms: last === undefined ? 0 : last.fromMs - injected, withinMs });
    const wrong = samples.filter(({ grade }) => grade !== 'refused');
    if (wrong.length > 0) throw new Broken(`ready: wanted 503 with Retry-After, saw ${wordsOf(wrong)}`);
    const word = samples.at(-1)?.word ?? 'nothing';
    if (!reasons.some(reason => word === `503 ${reason}`)) {
      throw new Broken(`ready: wanted reason ${reasons.join(' or ')}, saw ${word}`);
    }
    say(`detected_ms ${detectedMs(timeline.samples, 'ready', markOf(timeline, 'inject'))}, ${word}`);
  } };
}

function staysReady(experiment: Experiment): Check {
  return { id: 'ready-200', claim: 'ready is 200, for it cannot see this', run: async () => {
    await enough(experiment, 'ready', 5);
    onlyGood(experiment, 'ready');
  } };
}

function ordersRefused(experiment: Experiment, refused: Meanwhile['refused']): Check {
  const orders = refused.length === 2 ? 'orders' : `${refused[0]}s of orders`;
  return {
    id: 'orders-refused',
    claim: `${orders} are refused with 503 and Retry-After, within their deadline`,
    run: async say => {
      const samples = (await Promise.all(refused.map(probe => enough(experiment, probe, 2)))).flat();
      const wrong = samples.filter(({ grade }) => grade !== 'refused');
      if (wrong.length > 0) throw new Broken(`orders: wanted 503 with Retry-After, saw ${wordsOf(wrong)}`);
      say(`${counted(samples.length, 'order')} refused, ${slowest(samples)} ms at most: ${wordsOf(samples)}`);
    },
  };
}

function staysServed(experiment: Experiment, probe: 'read' | 'write'): Check {
  return { id: `${probe}s-served`, claim: `${probe}s of orders are served`, run: async () => {
    await enough(experiment, probe, 2);
    onlyGood(experiment, probe);
  } };
}

/** Waits until a probe was made so many times since the injection, or since a later moment; gives those samples. */
async function enough(experiment: Experiment, probe: ProbeName, many: number, fromMs = 0): Promise<Sample[]> {
  return experiment.wait({
    what: probe, wanted: `${many} looks`, withinMs: 30_000,
    look: async () => duringFault(experiment.timeline, probe, 'injected').filter(sample => sample.fromMs >= fromMs),
    good: samples => samples.length >= many, tell: samples => `${samples.length}: ${wordsOf(samples)}`,
  });
}

/** A fault may be injected sooner than the next look. */
async function holds(experiment: Experiment, probe: ProbeName): Promise<void> {
  const { wait, timeline } = experiment;
  await wait({
    what: probe, wanted: 'a look while the fault is in place', withinMs: 10_000,
    look: async () => duringFault(timeline, probe, 'inject').length, good: many => many > 0, tell: many => `${many}`,
  });
  onlyGood(experiment, probe);
}

/**
 * Throws Broken with what a probe saw since the fault was injected, unless all of it was good. On a busy machine one
 * look of a hundred may come too late to be answered.
 */
export function onlyGood({ timeline, scaled }: Pick<Experiment, 'timeline' | 'scaled'>, probe: ProbeName): void {
  const samples = duringFault(timeline, probe, 'inject');
  if (samples.length === 0) throw new Broken(`${probe}: wanted looks while the fault was in place, saw none`);
  const wrong = samples.filter(sample => sample.grade !== 'good');
  const late = wrong.filter(({ word }) => word === 'silent');
  if (wrong.length === late.length && late.length <= Math.floor(samples.length / 100)) return;
  throw new Broken(`${probe}: wanted it to hold within ${scaled(lateMs[probe])} ms, saw ${wordsOf(wrong)}`);
}

/** An order that is not there any more was answered all the same: it counts as lost, not as unserved. */
function whereLost(sample: Sample): Sample {
  return sample.word === '404 order_not_found' ? { ...sample, grade: 'good' } : sample;
}

function wordsOf(samples: readonly Sample[]): string {
  return countWords(samples.map(({ word }) => word));
}

function slowest(samples: readonly Sample[]): number {
  return Math.max(0, ...samples.map(sample => sample.toMs - sample.fromMs));
}
