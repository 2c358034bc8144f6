// What a drill has in hand: one node, the service on it, the control that breaks and repairs, and what clients see.
import { join } from 'node:path';
import type { Control } from '#infra/control';
import type { Ended, Facts, FaultName, Outcome, Spoilt, Target } from '#infra/platform';
import { Broken } from '../checks/climb.ts';
import { climbContract } from '../checks/contract.ts';
import { openApi } from '../client/api.ts';
import type { Api, Order, Version } from '../client/api.ts';
import { ask } from '../client/http.ts';
import { Late, until } from '../client/until.ts';
import type { Options } from '../options.ts';
import type { Stage } from '../results/registry.ts';
import type { Ended as Program } from '../results/run.ts';
import { openLoad } from './load.ts';
import type { Load, Place } from './load.ts';
import { lateMs, openProbes } from './probes.ts';
import type { Placed } from './probes.ts';
import { watchTimeline } from './timeline.ts';
import type { Timeline } from './timeline.ts';

/** What was there before anything was broken; `order` is one that was accepted then. */
export type Before = { version: Version; facts: Facts; order: Order };
/** What was told, and how long it took. */
export type Took<T> = { told: T; ms: number };
export type Waiting<T> = {
  what: string; withinMs: number; everyMs?: number; look: () => Promise<T>; good: (seen: T) => boolean;
};
export type Experiment = {
  readonly target: Target;
  readonly control: Control;
  readonly scaled: (ms: number) => number;
  readonly strict: boolean;
  /** How many times a drill that kills does so. */
  readonly kills: number;
  readonly api: Api;
  /** Sixteen writers and their log; nobody writes before its `start`. */
  readonly load: Load;
  /** Throws Broken with every check of the contract that is broken; gives the facts that it saw last. */
  proveSound: () => Promise<Facts>;
  /** Remembers who answers, with the facts just seen, and starts the timeline. */
  begin: (facts: Facts) => Promise<void>;
  /** These three exist once it has begun. */
  readonly before: Before;
  readonly timeline: Timeline;
  /** The orders that the probe `write` was promised. */
  readonly placed: readonly Placed[];
  readonly begun: boolean;
  facts: () => Promise<Facts>;
  inject: (fault: FaultName, spoilt?: Spoilt) => Promise<Took<Ended | undefined>>;
  recover: (fault: FaultName) => Promise<Took<void>>;
  halt: () => Promise<Took<void>>;
  up: () => Promise<Took<void>>;
  /** The program verify on this node. */
  verify: () => Promise<Program>;
  /** Looks again until it is good; Broken after `withinMs` (before SCALE) with what was seen last. */
  wait: <T>(waiting: Waiting<T>) => Promise<T>;
  place: Place;
  find: (orderId: string) => ReturnType<Place>;
  close: () => Promise<void>;
};
export type ExperimentOptions = {
  options: Options;
  target: Target;
  /** The file that remembers what this node has promised. */
  ledger: string;
  control: Control;
  verify: () => Promise<Program>;
  /** Told before the node is halted by this drill, and after it has been started again. */
  onHalt: (halted: boolean) => Promise<void>;
};

/** The platform cannot do this fault: the drill was not run, which is neither held nor broken. */
export class NotPossible extends Error {}

/** Looks at nothing yet; `begin` does. */
export function openExperiment(given: ExperimentOptions): Experiment {
  const { target, control, verify, onHalt } = given;
  const { scaled, state, strict, kills } = given.options;
  const { node } = target;
  const api = openApi(target, scaled(5_000));
  const deadlineMs = scaled(lateMs.write);
  const place: Place = (order, key) => ask(target, {
    method: 'POST', path: '/order', deadlineMs, body: JSON.stringify(order),
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
  });
  const load = openLoad(place, join(state, 'writers', node, `${new Date().toISOString().replace(/[:.]/g, '-')}.jsonl`));
  let opened: { before: Before; timeline: Timeline; placed: readonly Placed[] } | undefined;
  const inHand = () => {
    if (opened === undefined) throw new Error('the drill has not begun');
    return opened;
  };
  return {
    target, control, scaled, strict, kills, api, load, place, verify,
    proveSound: () => proveSound(given),
    begin: async facts => {
      const before = await remember(api, facts);
      const { probes, placed } = openProbes(target, { scaled, orderId: before.order.order_id });
      // where every answer costs ten times as much, ten probes a second would be a load test
      opened = { before, placed, timeline: watchTimeline(probes, Math.max(100, scaled(100))) };
    },
    get begun() { return opened !== undefined; },
    get before() { return inHand().before; },
    get timeline() { return inHand().timeline; },
    get placed() { return inHand().placed; },
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
    wait: async ({ what, look, good, withinMs, everyMs }) => {
      try {
        return await until(look, good, scaled(withinMs), everyMs);
      } catch (error) {
        throw error instanceof Late ? new Broken(`${what}: ${error.message}`) : error;
      }
    },
    find: orderId => ask(target, { path: `/orders/${encodeURIComponent(orderId)}`, deadlineMs }),
    close: async () => {
      await load.stop();
      await opened?.timeline.stop();
    },
  };
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
  await climbContract(stage, target, { expect: 'ready', strict: false, scaled: options.scaled, ledger, facts });
  if (broken.length > 0) throw new Broken(`not sound: ${broken.join('; ')}`);
  if (last === undefined) throw new Broken('the contract was proved without facts');
  return last;
}

async function remember(api: Api, facts: Facts): Promise<Before> {
  const version = (await api.version()).value;
  const order = (await api.place({ symbol: 'DRILL', side: 'buy', qty: '1' })).value;
  if (version === undefined || order === undefined) throw new Broken('no version was told, or no order taken');
  return { version, facts, order };
}
