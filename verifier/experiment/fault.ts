// The rungs that drills share around a fault: injected, what must hold meanwhile, recovered, nothing promised is lost.
import { rm } from 'node:fs/promises';
import type { FaultName } from '#infra/platform';
import { Broken } from '../checks/climb.ts';
import type { Rung } from '../checks/climb.ts';
import type { Experiment } from './experiment.ts';
import { lateMs } from './probes.ts';
import { findLosses, reconcile, tellReckoning } from './reconcile.ts';
import { countWords, detectedMs, duringFault, markOf, probeNames, recoveredMs } from './timeline.ts';
import type { ProbeName, Sample } from './timeline.ts';

type Say = (line: string) => void;
const orderProbes: ProbeName[] = ['read', 'write'];

/** Injects one fault and marks the moment on the timeline. */
export function injectFault(experiment: Experiment, fault: FaultName): Rung {
  return {
    name: 'fault',
    checks: [{ id: 'injected', claim: `${fault} is injected`, run: async say => {
      const { timeline } = experiment;
      timeline.mark('inject');
      const { ms } = await experiment.inject(fault);
      timeline.mark('injected');
      say(`inject ${fault} took ${ms} ms`);
    } }],
  };
}

/** What must hold while the database cannot be used: alive and observable, not ready, orders turned away in form. */
export function refusesMeanwhile(experiment: Experiment, reasons: readonly string[], detectedWithinMs: number): Rung {
  return {
    name: 'meanwhile',
    checks: [
      {
        id: 'ready-503',
        claim: 'ready says 503 within a second, with the right reason',
        run: say => saysUnready(experiment, reasons, detectedWithinMs, say),
      },
      ...staysObservable(experiment),
      {
        id: 'orders-refused',
        claim: 'orders are refused with 503 and Retry-After, within their deadline',
        run: async say => {
          const orders = orderProbes.flatMap(probe => duringFault(experiment.timeline, probe, 'injected'));
          const wrong = orders.filter(sample => sample.grade !== 'refused');
          if (wrong.length > 0) throw new Broken(`orders: wanted 503 with Retry-After, saw ${wordsOf(wrong)}`);
          say(`${orders.length} orders refused, ${slowest(orders)} ms at most: ${wordsOf(orders)}`);
        },
      },
    ],
  };
}

/** TCP is held and health is 200 all the time. */
export function staysObservable(experiment: Experiment): Rung['checks'] {
  return [
    { id: 'tcp-held', claim: 'TCP is accepted and held', run: async () => onlyGood(experiment, 'tcp') },
    { id: 'health-200', claim: 'health is 200', run: async say => {
      onlyGood(experiment, 'health');
      say(`health took ${slowest(duringFault(experiment.timeline, 'health', 'inject'))} ms at most`);
    } },
  ];
}

/**
 * Recovers one fault; then clients are served again within `servedMs` (before SCALE) of the system's being whole.
 * `cutOff`: the fault took away the way to the service, so a request of before may wait for its lost answer.
 */
export function recoverFault(
  experiment: Experiment, fault: FaultName, how: { servedMs: number; cutOff?: boolean },
): Rung {
  return {
    name: 'recovery',
    checks: [{ id: 'recovered', claim: `${fault} is recovered`, run: async say => {
      const { timeline } = experiment;
      timeline.mark('recover');
      const { ms } = await experiment.recover(fault);
      timeline.mark('recovered');
      if (how.cutOff === true) timeline.renew();
      say(`recover ${fault} took ${ms} ms`);
      await servedAgain(experiment, how.servedMs, say);
    } }],
  };
}

/** Waits until every probe is good, and judges when the last of them became so. */
export async function servedAgain({ timeline, scaled, wait }: Experiment, servedMs: number, say: Say): Promise<void> {
  const began = markOf(timeline, 'recover');
  const seen = await wait({
    what: 'served again',
    look: async () => probeNames.map(probe => recoveredMs(timeline.samples, probe, began)),
    good: all => all.every(ms => ms !== null),
    withinMs: 20_000,
  });
  const lateBy = Math.max(...seen.map(ms => ms ?? Infinity)) - (markOf(timeline, 'recovered') - began);
  say(`recovered_ms ${probeNames.map((probe, i) => `${probe} ${seen[i]}`).join(' · ')}`);
  if (lateBy <= scaled(servedMs)) return;
  throw new Broken(`served again ${lateBy} ms after the system was whole, wanted within ${scaled(servedMs)} ms`);
}

/** Every writer had its answer in time, and what was told is what is stored. */
export function reckon({ load, scaled, place, find }: Experiment): Rung {
  const slowestMs = scaled(lateMs.write);
  return {
    name: 'reckoning',
    checks: [
      { id: 'answered', claim: `every writer had its answer within ${slowestMs} ms`, run: async say => {
        const longest = Math.max(0, ...load.attempts.map(attempt => attempt.ms));
        const silent = load.attempts.filter(attempt => attempt.said === 'silent');
        const words = countWords(load.attempts.map(({ said }) => said));
        say(`${load.attempts.length} answers, ${longest} ms at most: ${words}`);
        if (silent.length > 0) throw new Broken(`${silent.length} orders were not answered within ${slowestMs} ms`);
      } },
      {
        id: 'nothing-lost',
        claim: 'accepted and missing 0, accepted and changed 0, refused but present 0, doubled 0, unresolved 0',
        run: async say => {
          const reckoning = await reconcile({ attempts: load.attempts, place, find });
          say(tellReckoning(reckoning));
          const losses = findLosses(reckoning);
          if (losses.length > 0) throw new Broken(`${losses.join('; ')}; the writers' log is ${load.file}`);
          await rm(load.file);
        },
      },
    ],
  };
}

/** Waits until the writers have been promised so many more orders. */
export async function promised({ load, wait }: Experiment, more: number): Promise<void> {
  const wanted = load.count('acked') + more;
  await wait({
    what: `${more} more orders`, withinMs: 30_000,
    look: async () => load.count('acked'), good: count => count >= wanted,
  });
}

async function saysUnready(
  { timeline, scaled, wait }: Experiment, reasons: readonly string[], withinMs: number, say: Say,
): Promise<void> {
  const from = markOf(timeline, 'injected') + scaled(withinMs);
  const settled = () => duringFault(timeline, 'ready', 'injected').filter(sample => sample.fromMs >= from);
  await wait({
    what: 'enough probes',
    look: async () => [settled(), ...orderProbes.map(probe => duringFault(timeline, probe, 'injected'))],
    good: ([ready = [], ...orders]) => ready.length >= 5 && orders.every(samples => samples.length >= 2),
    withinMs: 30_000,
  });
  const wrong = settled().filter(sample => sample.grade !== 'refused');
  if (wrong.length > 0) throw new Broken(`ready: wanted 503 with Retry-After, saw ${wordsOf(wrong)}`);
  const last = settled().at(-1)?.word ?? 'nothing';
  if (!reasons.some(reason => last === `503 ${reason}`)) {
    throw new Broken(`ready: wanted reason ${reasons.join(' or ')}, saw ${last}`);
  }
  say(`detected_ms ${detectedMs(timeline.samples, 'ready', markOf(timeline, 'inject'))}, ${last}`);
}

/** Throws Broken with what a probe saw since the fault was injected, unless all of it was good. */
function onlyGood({ timeline, scaled }: Experiment, probe: ProbeName): void {
  const wrong = duringFault(timeline, probe, 'inject').filter(sample => sample.grade !== 'good');
  if (wrong.length === 0) return;
  throw new Broken(`${probe}: wanted it to hold within ${scaled(lateMs[probe])} ms, saw ${wordsOf(wrong)}`);
}

function wordsOf(samples: readonly Sample[]): string {
  return countWords(samples.map(({ word }) => word));
}

function slowest(samples: readonly Sample[]): number {
  return Math.max(0, ...samples.map(sample => sample.toMs - sample.fromMs));
}
