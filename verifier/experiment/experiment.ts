// What a drill has in hand: one node, the service on it, the control that breaks and repairs, and what clients see.
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Control } from '#infra/control';
import type { Ended, Facts, FaultName, Outcome, Spoilt, Target } from '#infra/platform';
import { Broken } from '../checks/climb.ts';
import { wantedBuild } from '../checks/service/build.ts';
import { climbContract } from '../checks/contract.ts';
import { budgets } from '../budgets.ts';
import type { Timed } from '../budgets.ts';
import { openApi } from '../client/api.ts';
import type { Api, Version } from '../client/api.ts';
import { Late, until } from '../client/until.ts';
import type { Expect, Options } from '../options.ts';
import type { Stage } from '../results/registry.ts';
import type { Ended as Program } from '../results/run.ts';
import type { Ladder } from '../results/verdict.ts';
import type { Timing } from '../results/watched.ts';
import { draftOrder, judge, openLoad } from './load.ts';
import type { Attempt, Load, Place } from './load.ts';
import { lateMs, openProbes } from './probes.ts';
import type { Find } from './reconcile.ts';
import { watchTimeline } from './timeline.ts';
import type { Timeline } from './timeline.ts';

/** What was there before anything was broken; `order` was accepted then. */
export type Before = { version: Version; facts: Facts; order: Attempt & { orderId: string } };
/** What was answered, and how long it took. */
export type Took<T> = { told: T; ms: number };
/** `wanted` and what `tell` makes of the last look are said when it does not come: `ready: wanted 503, saw 200`. */
export type Waiting<T> = {
  what: string; wanted: string; withinMs: number; everyMs?: number;
  look: () => Promise<T>; good: (seen: T) => boolean; tell: (seen: T) => string;
};
export type Experiment = {
  readonly target: Target;
  readonly control: Control;
  readonly scaled: (ms: number) => number;
  readonly strict: boolean;
  /** How many times a drill that kills does so, when that was said. */
  readonly kills: number | undefined;
  /** Where its backups go, out of the operator's way; `destroy` removes it. */
  readonly backups: string;
  /** Files that it has left to be looked at, which the report says at the end. */
  readonly kept: Set<string>;
  readonly api: Api;
  /** Where a fault of somebody else would be in the way: this node, and of a fleet every one. */
  faulty: () => Promise<string[]>;
  /** Sixteen writers and their log; nobody writes before its `start`. */
  readonly load: Load;
  /** Throws Broken with every check of the contract that is broken; gives the facts that it saw last. */
  proveSound: () => Promise<Facts>;
  /** Remembers who answers, with the facts just seen, and starts the timeline. */
  begin: (facts: Facts) => Promise<void>;
  /** These four exist once it has begun. */
  readonly before: Before;
  readonly timeline: Timeline;
  /** What a budget of the table is on this platform, in ms before SCALE. */
  readonly budgets: Readonly<Record<Timed, number>>;
  /** What took how long beside what was allowed: whoever judges a time adds it. */
  readonly measured: Timing[];
  /** The orders of the probe `write`, and the one before them, with what was answered to each. */
  readonly attempts: readonly Attempt[];
  readonly begun: boolean;
  facts: () => Promise<Facts>;
  inject: (fault: FaultName, spoilt?: readonly Spoilt[]) => Promise<Took<Ended[] | undefined>>;
  recover: (fault: FaultName) => Promise<Took<void>>;
  halt: () => Promise<Took<void>>;
  up: () => Promise<Took<void>>;
  /** The program verify on this node; ready is what it expects unless told otherwise. */
  verify: (expect?: Expect) => Promise<Program>;
  /** Hands on what verify said while the fault was in place. */
  tellLadder: (ladder: Ladder) => Promise<void>;
  /** Looks again until it is good; Broken after `withinMs` (before SCALE) with what was seen last. */
  wait: <T>(waiting: Waiting<T>) => Promise<T>;
  place: Place;
  find: Find;
  /** Acts while the probe `write` places no order. */
  withoutWrites: <T>(act: () => Promise<T>) => Promise<T>;
  close: () => Promise<void>;
};
export type ExperimentOptions = {
  options: Options;
  target: Target;
  /** The file that remembers what this node has promised. */
  ledger: string;
  control: Control;
  verify: (expect: Expect) => Promise<Program>;
  tellLadder: (ladder: Ladder) => Promise<void>;
  /** Told before the node is halted by this drill, and after it has been started again. */
  onHalt: (halted: boolean) => Promise<void>;
};

/** The platform cannot do this fault: the drill was not run, which is neither held nor broken. */
export class NotPossible extends Error {}

/** Looks at nothing yet; `begin` does. */
export function openExperiment(given: ExperimentOptions): Experiment {
  const { target, control, tellLadder, onHalt } = given;
  const { scaled, state, strict, kills } = given.options;
  const { node } = target;
  const api = openApi(target, scaled(lateMs.write));
  const place: Place = (order, key) => api.place(order, { as: 'json', ...key === undefined ? {} : { key } });
  const log = join(state, 'writers', node, `${new Date().toISOString().replace(/[:.]/g, '-')}.jsonl`);
  const load = openLoad(place, log, scaled(50));
  let opened: { before: Before; timeline: Timeline } & Omit<ReturnType<typeof openProbes>, 'probes'> | undefined;
  const inHand = () => {
    if (opened === undefined) throw new Error('the drill has not begun');
    return opened;
  };
  return {
    target, control, scaled, strict, kills, api, load, measured: [], place, tellLadder, find: api.find,
    backups: backupsOf(state, node), kept: new Set(),
    faulty: async () => await isFleet(given) ? ['all'] : [node],
    verify: (expect = 'ready') => given.verify(expect),
    proveSound: () => proveSound(given),
    begin: async facts => {
      const before = await remember({ api, place }, facts);
      const { probes, ...writing } = openProbes(target, {
        scaled, orderId: before.order.orderId, place, routed: facts.containers === 'tasks',
      });
      // where every answer costs ten times as much, ten probes a second would be a load test; but a drain's grace is
      // not scaled, and has to be seen
      opened = { before, ...writing, timeline: watchTimeline(probes, Math.min(500, Math.max(100, scaled(100)))) };
    },
    get begun() { return opened !== undefined; },
    get before() { return inHand().before; },
    get timeline() { return inHand().timeline; },
    get budgets() { return budgets[inHand().before.facts.platform]; },
    get attempts() { return [inHand().before.order, ...inHand().attempts]; },
    facts: async () => (await timed('facts', () => control.facts(node))).told,
    inject: (fault, spoilt) => timed(`inject ${fault}`, () => control.inject(node, fault, spoilt)),
    recover: fault => timed(`recover ${fault}`, () => control.recover(node, fault)),
    halt: async () => {
      await onHalt(true);
      return timed('halt', () => control.halt([node]));
    },
    up: async () => {
      const took = await timed('up', () => control.up([node]));
      await onHalt(false);
      return took;
    },
    withoutWrites: act => inHand().withoutWrites(act),
    wait: waiting => waitFor(waiting, scaled),
    close: async () => {
      await load.stop();
      await opened?.timeline.stop();
    },
  };
}

/** Beside the writers' logs, which are the drills' as well. */
export function backupsOf(state: string, node: string): string {
  return join(state, 'writers', node, 'backups');
}

/** Gives what was done, or throws: NotPossible as such, Broken after any other failure. */
async function timed<T>(verb: string, act: () => Promise<Outcome<T>>): Promise<Took<T>> {
  const began = performance.now();
  const outcome = await act();
  const ms = Math.round(performance.now() - began);
  if ('impossible' in outcome) throw new NotPossible(outcome.impossible);
  if ('failed' in outcome) throw new Broken(`control ${verb}: failed after ${ms} ms: ${outcome.failed}`);
  return { told: outcome.done, ms };
}

async function isFleet({ options, control }: Pick<ExperimentOptions, 'options' | 'control'>): Promise<boolean> {
  return (options.platform ?? (await control.memory())?.platform) === 'swarm';
}

async function proveSound({ options, target, ledger, control }: ExperimentOptions): Promise<Facts> {
  const broken: string[] = [];
  let last: Facts | undefined;
  // the contract has a report of its own in verify; here only what is broken is worth a line
  const stage: Stage = {
    test: async (name, { skip }, run) => {
      if (skip !== undefined) return;
      await run({ diagnostic: () => undefined }).catch((error: unknown) => {
        broken.push(error instanceof Error ? `${name}: ${error.message}` : name);
      });
    },
  };
  const facts = async () => {
    const outcome = await control.facts(target.node);
    if ('done' in outcome) last = outcome.done;
    return outcome;
  };
  // what this platform cannot show is for verify to say: a drill proves the same whether or not STRICT is asked of it
  const { scaled, standIns, all } = options;
  // it is verify that watches for long; a drill has a timeline
  const span = (ms: number) => Math.min(ms, scaled(ms)) / 10;
  const build = wantedBuild(options);
  const fleet = await isFleet({ options, control });
  await climbContract(stage, target, {
    expect: 'ready', strict: false, standIns, scaled, span, build, all, ledger, fleet, facts,
  });
  if (broken.length > 0) throw new Broken(`not sound: ${broken.join('; ')}`);
  if (last === undefined) throw new Broken('the contract was proved without facts');
  return last;
}

async function waitFor<T>(waiting: Waiting<T>, scaled: (ms: number) => number): Promise<T> {
  const { what, wanted, look, good, tell, withinMs, everyMs } = waiting;
  try {
    return await until(look, good, scaled(withinMs), everyMs);
  } catch (error) {
    if (!(error instanceof Late)) throw error;
    const last = error.last as T | undefined;
    const saw = last === undefined ? 'nothing' : tell(last);
    throw new Broken(`${what}: wanted ${wanted} within ${scaled(withinMs)} ms, saw ${saw}`);
  }
}

async function remember({ api, place }: { api: Api; place: Place }, facts: Facts): Promise<Before> {
  const version = (await api.version()).value;
  const [order, key] = [draftOrder(), randomUUID()];
  const told = judge(await place(order, key));
  if (version === undefined || told.orderId === undefined) throw new Broken('no version was given, or no order taken');
  return { version, facts, order: { ...told, order, key, orderId: told.orderId } };
}
