// The steps which drills share: sound before, inject, what must hold meanwhile, recover, sound again, and who answered.
import { describe } from './api.ts';
import { Broken } from './ladder.ts';
import type { Check, Rung } from './ladder.ts';
import { lateMs } from './lanes.ts';
import { eachOf } from './reconcile.ts';
import { faultsInPlace } from './scene.ts';
import type { Facts, Scene } from './scene.ts';
import { detectedMs, lanes, recoveredMs, within } from './timeline.ts';
import type { Lane, Sample } from './timeline.ts';
import { Late, until } from './until.ts';

type Say = (line: string) => void;
const orderLanes: Lane[] = ['read', 'write'];

/** First rung of every drill: nothing is broken on purpose that is broken already. */
export function soundBefore(scene: Scene): Rung {
  return rung('sound', {
    'no fault is in place': async () => {
      const faults = await faultsInPlace(scene.control, scene.target.node);
      if (faults.length > 0) throw new Broken(`${faults.join(', ')} still in place on ${scene.target.node}: run drill recover first`);
    },
    'the whole contract holds': async say => {
      await scene.begin(await scene.proveSound());
      say(`${scene.target.host}:${scene.target.port} is instance ${scene.before.version.instance_id}`);
    },
  });
}

/** Injects one fault and marks the moment on the timeline. */
export function injectFault(scene: Scene, fault: string): Rung {
  return rung('fault', {
    [`${fault} is injected`]: async say => {
      scene.timeline.mark('inject');
      const { ms } = await scene.inject(fault);
      scene.timeline.mark('injected');
      say(`inject ${fault} took ${ms} ms`);
    },
  });
}

/** What must hold while the database cannot be used: alive and observable, not ready, orders turned away in form. */
export function sitsThrough(scene: Scene, reasons: readonly string[]): Rung {
  return rung('meanwhile', {
    'ready says 503 within a second, with the right reason': async say => {
      const settled = () => span(scene, 'ready', 'injected').filter(sample => sample.fromMs >= mark(scene, 'injected') + scene.options.scaled(1_000));
      const looks = async () => [settled().length - 5, ...orderLanes.map(lane => span(scene, lane, 'injected').length - 2)];
      await inTime('enough looks', until(looks, missing => missing.every(count => count >= 0), scene.options.scaled(30_000)));
      const wrong = settled().filter(sample => sample.grade !== 'refused');
      if (wrong.length > 0) throw new Broken(`ready: wanted 503 with Retry-After, saw ${words(wrong)}`);
      const last = settled().at(-1)?.word ?? 'nothing';
      if (!reasons.some(reason => last === `503 ${reason}`)) throw new Broken(`ready: wanted reason ${reasons.join(' or ')}, saw ${last}`);
      say(`detected_ms ${detectedMs(scene.timeline.samples, 'ready', mark(scene, 'inject'))}, ${last}`);
    },
    'TCP is accepted and held': async () => onlyGood(scene, 'tcp'),
    'health is 200': async say => {
      onlyGood(scene, 'health');
      say(`health took ${slowest(span(scene, 'health', 'inject'))} ms at most`);
    },
    'orders are refused with 503 and Retry-After, within their deadline': async say => {
      const orders = orderLanes.flatMap(lane => span(scene, lane, 'injected'));
      const wrong = orders.filter(sample => sample.grade !== 'refused');
      if (wrong.length > 0) throw new Broken(`orders: wanted 503 with Retry-After, saw ${words(wrong)}`);
      say(`${orders.length} orders refused, ${slowest(orders)} ms at most: ${words(orders)}`);
    },
  });
}

/**
 * Recovers one fault; then clients are served again within 2 s of the moment at which the system is mended. `cutOff`: the fault
 * took away the way to the service, so a request of before may wait for its lost answer until its own deadline, and says nothing.
 */
export function recoverFault(scene: Scene, fault: string, { cutOff = false } = {}): Rung {
  return rung('recovery', {
    [`${fault} is recovered`]: async say => {
      scene.timeline.mark('recover');
      const { ms } = await scene.recover(fault);
      scene.timeline.mark('recovered');
      if (cutOff) scene.timeline.renew();
      say(`recover ${fault} took ${ms} ms`);
      await servedAgain(scene, say);
    },
  });
}

/** Waits until every lane is good, and judges when the last of them became so. */
export async function servedAgain(scene: Scene, say: Say): Promise<void> {
  const { scaled } = scene.options;
  const mended = mark(scene, 'recovered');
  const back = async () => lanes.map(lane => recoveredMs(scene.timeline.samples, lane, mark(scene, 'recover')));
  const seen = await inTime('served again', until(back, all => all.every(ms => ms !== null), scaled(20_000)));
  const late = Math.max(...seen.map(ms => ms ?? Infinity)) - (mended - mark(scene, 'recover'));
  say(`recovered_ms ${lanes.map((lane, i) => `${lane} ${seen[i]}`).join(' · ')}`);
  if (late > scaled(2_000)) throw new Broken(`served again ${late} ms after the system was mended, wanted within ${scaled(2_000)} ms`);
}

/** same: the very process that was there before; restarted: a new one, started by the supervisor once; any: as the platform does it. */
export type Successor = 'same' | 'restarted' | 'any';

/** Last rung of every drill: sound again, proved to be so by whoever should have answered, and nothing promised is lost. */
export function soundAfter(scene: Scene, successor: Successor, restarts = successor === 'restarted' ? 1 : 0): Rung {
  let facts: Facts | undefined;
  return rung('after', {
    'the whole contract holds again': async () => { facts = await scene.proveSound(); },
    [successors[successor]]: async say => {
      const { version } = scene.before;
      const now = (await scene.api.version()).value;
      const same = now?.instance_id === version.instance_id && now?.started_at === version.started_at;
      say(`instance ${version.instance_id} before, ${now?.instance_id} now`);
      if (successor === 'same' && !same) throw new Broken(`wanted the same process, saw another, started ${now?.started_at}`);
      if (successor === 'restarted' && same) throw new Broken('wanted a new process, saw the one that was there before');
    },
    ...successor === 'any' ? {} : { [`restart_count has gone up by ${restarts}`]: say => countRestarts(scene, restarts, say, facts) },
    'every order promised during the drill is there': say => everyOrderIsThere(scene, say),
  });
}

const successors: Record<Successor, string> = {
  same: 'the same process answers', restarted: 'a new process answers', any: 'it is told which process answers',
};

/** How often the supervisor has started the service since the drill began, by these facts or by new ones; without that fact it says nothing. */
export async function countRestarts(scene: Scene, wanted: number, say: Say, facts?: Facts): Promise<void> {
  const { restarts } = facts ?? await scene.facts();
  const before = scene.before.facts.restarts;
  if (restarts === undefined || before === undefined) return say('this platform does not count restarts');
  if (restarts - before !== wanted) throw new Broken(`restart_count: ${before} before, wanted ${wanted} more, saw ${restarts}`);
}

async function everyOrderIsThere(scene: Scene, say: Say): Promise<void> {
  const wrong = await eachOf([...scene.placed], 8, async order => {
    const answer = await scene.api.find(order.orderId);
    const { symbol, side, qty } = answer.value ?? {};
    const equal = symbol === order.symbol && side === order.side && qty === order.qty;
    return equal ? [] : [`order ${order.orderId}: wanted ${order.side} ${order.qty} ${order.symbol}, saw ${describe(answer)} ${side} ${qty} ${symbol}`];
  });
  if (wrong.flat().length > 0) throw new Broken(`${wrong.flat().length} orders: ${wrong.flat().slice(0, 3).join('; ')}`);
  say(`${wrong.length} orders promised, all there`);
}

/** What until gives; a Late is the drill's finding, said in one line. */
export async function inTime<T>(what: string, waiting: Promise<T>): Promise<T> {
  try {
    return await waiting;
  } catch (error) {
    throw error instanceof Late ? new Broken(`${what}: ${error.message}`) : error;
  }
}

/** A lane's samples since a mark; those that were still under way when recovery began belong to neither side. */
export function span(scene: Scene, lane: Lane, since: string): Sample[] {
  return within(scene.timeline.samples, lane, [mark(scene, since), scene.timeline.marks.get('recover') ?? Infinity]);
}

/** When a mark was set, in ms of the timeline. */
export function mark(scene: Scene, name: string): number {
  const atMs = scene.timeline.marks.get(name);
  if (atMs === undefined) throw new Broken(`the drill has not come to ${name}`);
  return atMs;
}

/** Throws Broken with what a lane saw since the fault was injected, unless all of it was good. */
export function onlyGood(scene: Scene, lane: Lane): void {
  const wrong = span(scene, lane, 'inject').filter(sample => sample.grade !== 'good');
  if (wrong.length > 0) throw new Broken(`${lane}: wanted it to hold within ${scene.options.scaled(lateMs[lane])} ms, saw ${words(wrong)}`);
}

/** `503 timeout (12), silent (1)`. */
export function words(samples: readonly Sample[]): string {
  const counts = new Map<string, number>();
  for (const { word } of samples) counts.set(word, (counts.get(word) ?? 0) + 1);
  return [...counts].map(([word, count]) => `${word} (${count})`).join(', ') || 'nothing';
}

/** A rung from claims and how each is checked. */
export function rung(name: string, checks: Record<string, Check['run']>): Rung {
  return { name, checks: Object.entries(checks).map(([claim, run]) => ({ claim, run })) };
}

function slowest(samples: readonly Sample[]): number {
  return Math.max(0, ...samples.map(sample => sample.toMs - sample.fromMs));
}
