// What a drill has in hand: one node, the service on it, the control that breaks and mends it, and a timeline of what clients see.
import { openApi } from './api.ts';
import type { Api, Order, Version } from './api.ts';
import { climbContract } from './contract.ts';
import { parseJournal } from './control.ts';
import type { Control, Told } from './control.ts';
import { Broken } from './ladder.ts';
import type { Rung, Stage } from './ladder.ts';
import { openLooks } from './lanes.ts';
import type { Placed } from './lanes.ts';
import type { Options, Target } from './options.ts';
import { factsOf } from './survey.ts';
import { watchTimeline } from './timeline.ts';
import type { Timeline } from './timeline.ts';
import { fields } from './writers.ts';

/** What an operator wants to know of a drill before it is run. */
export type Drill = {
  name: string;
  title: string;
  reproduce: string;
  expect: string;
  recover: string;
  takes: string;
  /** From 'sound before' to 'sound again', bottom first. */
  rungs: (scene: Scene) => Rung[];
};
export type Before = { version: Version; facts: Facts; order: Order };
export type Scene = {
  readonly target: Target;
  readonly control: Control;
  readonly options: Options;
  /** How many times a drill that kills does so. */
  readonly kills: number;
  readonly api: Api;
  /** Throws Broken with every broken check of the contract; gives the facts that it saw last. */
  proveSound(): Promise<Facts>;
  /** Remembers who answers, with the facts just seen, and starts the timeline. */
  begin(facts: Facts): Promise<void>;
  readonly begun: boolean;
  readonly before: Before;
  readonly timeline: Timeline;
  /** The orders which the timeline's write lane was promised. */
  readonly placed: readonly Placed[];
  facts(): Promise<Facts>;
  inject(fault: string, ...args: string[]): Promise<Told>;
  recover(fault: string): Promise<Told>;
  close(): Promise<void>;
};
/** One node and the ledger which remembers what it has promised. */
export type Node = { target: Target; ledger: string };
export type Facts = { containers: boolean; restarts: number | undefined; databaseState: string | undefined };

/** The platform cannot do this fault: the drill was not run, which is neither held nor broken. */
export class NotHere extends Error {}

/** Looks at nothing yet; `begin` does. */
export function openScene({ control, options, kills, ...node }: Node & Pick<Scene, 'control' | 'options' | 'kills'>): Scene {
  const { target } = node;
  const api = openApi(target, options.scaled(5_000));
  let seen: Facts | undefined;
  const facts = async () => readFacts(done(await control.facts(), 'facts'));
  const noting = async () => { const told = await control.facts(); if (told.exit === 0) seen = readFacts(told); return told; };
  let opened: { before: Before; timeline: Timeline; placed: readonly Placed[] } | undefined;
  const stand = () => { if (opened === undefined) throw new Error('the drill has not begun'); return opened; };
  return {
    target, control, options, kills, api, facts,
    proveSound: async () => { await proveSound(node, { ...control, facts: noting }, options); return seen ?? facts(); },
    begin: async sound => {
      const before = await remember(api, sound);
      const { look, placed } = openLooks(target, { scaled: options.scaled, orderId: before.order.order_id });
      // where every answer costs ten times as much, ten looks a second would be a load test
      opened = { before, placed, timeline: watchTimeline(look, Math.max(100, options.scaled(100))) };
    },
    get begun() { return opened !== undefined; },
    get before() { return stand().before; },
    get timeline() { return stand().timeline; },
    get placed() { return stand().placed; },
    inject: async (fault, ...args) => done(await control.inject(fault, ...args), `inject ${[fault, ...args].join(' ')}`),
    recover: async fault => done(await control.recover(fault), `recover ${fault}`),
    close: async () => { await opened?.timeline.stop(); },
  };
}

/** Every fault that the undo journal knows for this node. */
export async function faultsInPlace(control: Control, node: string): Promise<string[]> {
  return parseJournal((await control.journal()).stdout).filter(entry => entry.node === node).map(entry => entry.fault);
}

async function proveSound({ target, ledger }: Node, control: Control, options: Options): Promise<void> {
  const broken: string[] = [];
  // the contract has a report of its own in verify; here only what is broken is worth a line
  const stage: Stage & { diagnostic: () => void } = {
    diagnostic: () => undefined,
    test: async (name, { skip }, run) => {
      if (!skip) await run(stage).catch((error: unknown) => { broken.push(error instanceof Error ? `${name}: ${error.message}` : name); });
    },
  };
  // what this platform cannot show is for verify to say: a drill proves the same whether or not STRICT is asked of it
  await climbContract(stage, target, { expect: 'ready', strict: false, scaled: options.scaled, ledger, facts: factsOf(() => control, target.node) });
  if (broken.length > 0) throw new Broken(`not sound: ${broken.join('; ')}`);
}

async function remember(api: Api, facts: Facts): Promise<Before> {
  const version = (await api.version()).value;
  const order = (await api.place({ symbol: 'DRILL', side: 'buy', qty: '1' })).value;
  if (version === undefined || order === undefined) throw new Broken('the service did not tell its version or take an order');
  return { version, facts, order };
}

/** Gives what was told, or throws: NotHere after exit 3, Broken after any other failure. */
function done(told: Told, verb: string): Told {
  if (told.exit === 0) return told;
  const why = told.stderr.trim().split('\n').slice(-3).join(' / ') || 'no reason given';
  throw told.exit === 3 ? new NotHere(why) : new Broken(`control ${verb}: exit ${told.exit} after ${told.ms} ms: ${why}`);
}

function readFacts(told: Told): Facts {
  const { containers, api, db } = fields(parseJson(told.stdout));
  const { restart_count: restarts } = fields(api);
  const { state } = fields(db);
  return { containers: containers === true, restarts: typeof restarts === 'number' ? restarts : undefined, databaseState: typeof state === 'string' ? state : undefined };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
