// The one way in which anything acts on the system: the verbs, with turns, memory and an undo journal around them.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openBackups } from './database/backups.ts';
import type { Backups } from './database/backups.ts';
import { openLocal } from './local.ts';
import type { Holder, Lock } from './lock.ts';
import { openJournal } from './journal.ts';
import type { Entry } from './journal.ts';
import { judgeStates, readMemory, writeMemory } from './memory.ts';
import type { Judged, Memory } from './memory.ts';
import { pickNode, pickNodes, readNodes } from './nodes.ts';
import { Misunderstood, answered, messageOf } from './platform.ts';
import type { Ended, Facts, FaultName, MachineFacts, Node, Outcome, Platform, Spoilt, Target } from './platform.ts';
import { bestPlatform, openPlatform, tellLacks } from './platforms.ts';
import { readSettings } from './settings.ts';
import type { Env, Settings } from './settings.ts';
import { openTurns } from './turns.ts';

export type { Entry, Holder, Memory };

/**
 * Node names are those of vagrant/nodes.txt; an unknown one throws `Misunderstood`. Names that are not given are
 * those of NODE, else those that a verb's comment says. Verbs that act take turns: they wait for each other and for
 * drills on their nodes, and say for whom. What cannot be had at all (a state folder that cannot be written, an
 * unreadable journal) is thrown, with one line that says so.
 */
export type Control = Backups & {
  readonly settings: Settings;
  /** undefined when nothing was started. */
  memory: () => Promise<Memory | undefined>;
  /** These names (`all` is every node), else NODE, else the nodes that were asked for at `up`, else the first. */
  chosenNodes: (names?: readonly string[]) => Promise<string[]>;
  /** Without names: the chosen nodes. */
  up: (names?: readonly string[]) => Promise<Outcome>;
  /** Without names, as for destroy and status: every node. */
  halt: (names?: readonly string[]) => Promise<Outcome>;
  destroy: (names?: readonly string[]) => Promise<Outcome>;
  /** undefined when nothing was started. */
  status: (names?: readonly string[]) => Promise<Judged[] | undefined>;
  /** The last lines of every log; LINES of each when no number is given. */
  logs: (write: (line: string) => void, names?: readonly string[], lines?: number) => Promise<Outcome>;
  /** Those of the chosen nodes that are up. Sends nothing. */
  targets: (names?: readonly string[]) => Promise<Target[]>;
  facts: (node: string) => Promise<Outcome<Facts>>;
  /** Of a node's own machine, and what each of these services answers in there. */
  machine: (node: string, services: readonly Target[]) => Promise<Outcome<MachineFacts>>;
  /** The programs in whose logs the password of the service's role stands: there should be none. */
  leaks: (node: string) => Promise<Outcome<string[]>>;
  /** Every fault that may still be in place, on any node. Throws when the journal cannot be read. */
  journal: () => Promise<Entry[]>;
  /** Those of them that a look finds in place, or that cannot be looked at; what healed by itself is not. */
  faultsInPlace: (names?: readonly string[]) => Promise<Entry[]>;
  inject: (node: string, fault: FaultName, spoilt?: readonly Spoilt[]) => Promise<Outcome<Ended[] | undefined>>;
  /**
   * Without a fault: everything that was or might be broken. The journal's entry goes only when the recovery was
   * done.
   */
  recover: (node: string, fault?: FaultName) => Promise<Outcome>;
  /** The lock of a drill on a node, for as long as this process and those it hands `fd` to live; or who has it. */
  beginDrill: (node: string, name: string) => Promise<Lock | { heldBy: Holder }>;
  /** Who runs a drill on this node now. */
  drillOn: (node: string) => Promise<Holder | undefined>;
  /** Resolves once nothing that was begun here is under way any more. */
  idle: () => Promise<void>;
};
/**
 * `say` hears one line for people at a time. `inDrill`: this is the drill that holds the node's lock, so it does not
 * wait for itself. `open` opens the platforms; those of this folder when not given.
 */
export type ControlOptions = {
  env: Env; root: string; say: (line: string) => void; inDrill?: boolean; open?: typeof openPlatform;
};

/** Reads the settings and opens the control of this checkout; complaints about them are thrown as Misunderstood. */
export function openControl({ env, root, say, inDrill = false, open = openPlatform }: ControlOptions): Control {
  const read = readSettings(env, root);
  if ('complaints' in read) throw new Misunderstood(read.complaints.join('; '));
  const { settings } = read;
  const { state } = settings;
  const all = readNodes(root);
  const journal = openJournal(join(state, 'journal'), all.map(({ name }) => name));
  const talk = (line: string) => say(`infra/control: ${line}`);
  const onWait = ({ pid, name }: Holder) => talk(`waiting for ${name} to finish (pid ${pid})`);
  const turns = openTurns({ state, inDrill, onWait });
  const { inTurn } = turns;
  const context = { settings, local: openLocal(settings.env, turns.fd), say };

  /** Those that were named, else those of NODE, else what `otherwise` gives. */
  const pick = async (names: readonly string[], otherwise: () => Promise<readonly string[]> | readonly string[]) => {
    const wanted = names.length > 0 ? names : settings.nodes ?? [];
    return pickNodes(all, wanted.length > 0 ? wanted : await otherwise());
  };
  const every = () => all.map(({ name }) => name);
  const remembered = async () => {
    const { nodes = [] } = await readMemory(state, settings.platform) ?? {};
    const stray = nodes.find(name => !every().includes(name));
    if (stray === undefined) return nodes.length > 0 ? nodes : every().slice(0, 1);
    throw new Error(`${join(state, 'nodes')} names "${stray}", no node of vagrant/nodes.txt: remove that line`);
  };
  const oneNode = (name: string) => pickNode(all, name);

  const inForce = async (given = context): Promise<Platform | undefined> => {
    const name = settings.platform ?? (await readMemory(state, settings.platform))?.platform;
    return name === undefined ? undefined : open(name, given);
  };
  const started = async (given = context): Promise<Platform | { failed: string }> =>
    await inForce(given) ?? { failed: 'not up: nothing was started; run make up' };

  const ask = async <T>(name: string, look: (platform: Platform, node: Node) => Promise<Outcome<T>>) => {
    const platform = await started();
    if ('failed' in platform) return platform;
    const node = oneNode(name);
    return answered(() => look(platform, node));
  };

  const isInPlace = async (platform: Platform, { node, fault }: Entry) => {
    try {
      return await platform.faults[fault].inPlace(oneNode(node));
    } catch (error) {
      talk(`whether ${fault} is in place on ${node} cannot be seen: ${messageOf(error)}`);
      return true;
    }
  };
  const inPlaceOn = async (platform: Platform, nodes: readonly Node[]) => {
    const entries = (await journal.read()).filter(entry => nodes.some(({ name }) => name === entry.node));
    const looked = await Promise.all(entries.map(async entry => ({ entry, there: await isInPlace(platform, entry) })));
    const those = (wanted: boolean) => looked.filter(({ there }) => there === wanted).map(({ entry }) => entry);
    return { still: those(true), healed: those(false) };
  };
  /** Forgets what has healed, and tells what has not. Only in turn. */
  const settle = async (platform: Platform, nodes: readonly Node[]) => {
    const { still, healed } = await inPlaceOn(platform, nodes);
    for (const { node, fault } of healed) await journal.remove(node, fault);
    for (const { node, fault, since } of still) {
      talk(`fault ${fault} is still in place on ${node} since ${since}; make recover NODE=${node} undoes it`);
    }
    return still;
  };

  const timed = async (verb: string, act: () => Promise<Outcome>): Promise<Outcome> => {
    const began = performance.now();
    const outcome = await act();
    const took = `${Math.round((performance.now() - began) / 1000)} s`;
    talk('done' in outcome ? `${verb} done in ${took}` : `${verb} failed after ${took}`);
    return outcome;
  };

  const up = async (names: readonly string[] = []): Promise<Outcome> => {
    const nodes = await pick(names, remembered);
    return inTurn(`up ${namesOf(nodes)}`, nodes, async () => {
      const before = await readMemory(state, settings.platform);
      const name = settings.platform ?? before?.platform ?? await bestPlatform(context);
      if (before !== undefined && before.platform !== name) {
        const old = await open(before.platform, context).targets(all);
        const is = `platform ${before.platform} is up`;
        if (old.length > 0) return { failed: `${is}: make halt first, or go on with PLATFORM=${before.platform}` };
      }
      const platform = open(name, context);
      const wanted = [...new Set([...before?.nodes ?? [], ...nodes.map(node => node.name)])];
      const memory = { platform: name, nodes: wanted, targets: before?.targets ?? [] };
      await writeMemory(state, memory);
      const outcome = await timed('up', () => answered(() => platform.up(nodes, all)));
      if (!('done' in outcome)) await tellLacks(name, context);
      const targets = [...memory.targets, ...await platform.targets(nodes)];
      const first = (one: Target, i: number) => targets.findIndex(other => same(one, other)) === i;
      await writeMemory(state, { ...memory, targets: targets.filter(first) });
      await settle(platform, nodes);
      return outcome;
    });
  };

  /** Every node when none is named; done when nothing was started. */
  const stop = async (
    verb: string, names: readonly string[], act: (platform: Platform, nodes: Node[]) => Promise<Outcome>,
  ): Promise<Outcome> => {
    const nodes = await pick(names, every);
    return inTurn(`${verb} ${namesOf(nodes)}`, nodes, async () => {
      const platform = await inForce();
      if (platform !== undefined) return act(platform, nodes);
      talk('not up: nothing was started');
      return { done: undefined };
    });
  };
  const halt = (names: readonly string[] = []): Promise<Outcome> =>
    stop('halt', names, async (platform, nodes) => {
      // whatever the journal says or does not say, what is to be stopped is stopped
      const settled = await answered(async () => ({ done: await settle(platform, nodes) }));
      const outcome = await timed('halt', () => answered(() => platform.halt(nodes)));
      return 'done' in outcome && 'failed' in settled ? settled : outcome;
    });

  // With the orders goes what was remembered of them, also by runs that were given the address in TARGETS.
  const destroy = (names: readonly string[] = []): Promise<Outcome> =>
    stop('destroy', names, async (platform, nodes) => {
      const outcome = await timed('destroy', () => answered(() => platform.destroy(nodes)));
      if (!('done' in outcome)) return outcome;
      const memory = await readMemory(state, settings.platform) ?? { platform: platform.name, nodes: [], targets: [] };
      const gone = (name: string) => nodes.some(node => node.name === name);
      const reached = memory.targets.filter(({ node }) => gone(node));
      for (const { host, port } of reached) await forget(`ledger/${host}_${port}.jsonl`);
      for (const { name } of nodes) {
        await journal.forget(name);
        await forget(`ledger/${platform.name}-${name}.jsonl`);
        await forget(`writers/${name}`);
      }
      await writeMemory(state, {
        platform: memory.platform,
        nodes: memory.nodes.filter(name => !gone(name)),
        targets: memory.targets.filter(({ node }) => !gone(node)),
      });
      return outcome;
    });
  const forget = (path: string) => rm(join(state, path), { recursive: true, force: true });

  const inject: Control['inject'] = async (name, fault, spoilt) => {
    const node = oneNode(name);
    return inTurn(`inject ${fault}`, [node], async () => {
      const platform = await started();
      if ('failed' in platform) return platform;
      if ((await platform.targets([node])).length === 0) return { failed: `${name} is not up: run make up first` };
      const added = await journal.add(name, fault);
      const undo = async () => { if (added) await journal.remove(name, fault); };
      try {
        const outcome = await answered(() => platform.faults[fault].inject(node, spoilt));
        // Not possible: nothing was done, so nothing is to be undone. What was refused leaves nothing, either.
        if ('impossible' in outcome || ('done' in outcome && refused.includes(fault))) await undo();
        return outcome;
      } catch (error) {
        if (error instanceof Misunderstood) await undo();
        throw error;
      }
    });
  };

  const recover = async (name: string, fault?: FaultName): Promise<Outcome> => {
    const node = oneNode(name);
    return inTurn(`recover ${fault ?? 'every fault'}`, [node], async () => {
      const platform = await started();
      if ('failed' in platform) return platform;
      const act = () => fault === undefined ? platform.mend(node) : platform.faults[fault].recover(node);
      const outcome = await answered(act);
      if (!('done' in outcome)) return outcome;
      if (fault !== undefined) await journal.remove(name, fault);
      const { still, healed } = await inPlaceOn(platform, [node]);
      for (const entry of healed) await journal.remove(name, entry.fault);
      if (fault === undefined && still.length > 0) {
        return { failed: `${still.map(entry => entry.fault).join(', ')} still in place on ${name}` };
      }
      talk(`${name}: ${fault ?? 'every fault'} recovered`);
      return outcome;
    });
  };

  const inPlace = async (platform: Platform, node: Node) =>
    (await inPlaceOn(platform, [node])).still.map(({ fault }) => fault);
  return {
    settings, up, halt, destroy, inject, recover, ...openBackups({ context, turns, nodeOf: oneNode, started, inPlace }),
    chosenNodes: async (names = []) => (await pick(names, remembered)).map(({ name }) => name),
    memory: () => readMemory(state, settings.platform),
    status: async (names = []) => {
      const [platform, nodes] = [await inForce(), await pick(names, every)];
      if (platform === undefined) return undefined;
      const asked = (await readMemory(state, settings.platform))?.nodes ?? [];
      return judgeStates(await platform.status(nodes), asked, await platform.targets(nodes));
    },
    logs: async (write, names = [], lines = settings.lines) => {
      const platform = await started({ ...context, settings: { ...settings, lines } });
      if ('failed' in platform) return platform;
      const nodes = await pick(names, remembered);
      return answered(() => platform.logs(nodes, write));
    },
    targets: async (names = []) => (await inForce())?.targets(await pick(names, remembered)) ?? [],
    facts: name => ask(name, (platform, node) => platform.facts(node)),
    machine: (name, services) => ask(name, (platform, node) => platform.machine(node, services)),
    leaks: name => ask(name, (platform, node) => platform.leaks(node)),
    journal: journal.read,
    faultsInPlace: async (names = []) => {
      const platform = await inForce();
      const nodes = await pick(names, every);
      // without a platform nobody can look: what the journal says stays said
      const unseen = async () => (await journal.read()).filter(({ node }) => nodes.some(({ name }) => name === node));
      return platform === undefined ? unseen() : (await inPlaceOn(platform, nodes)).still;
    },
    beginDrill: (name, drill) => turns.beginDrill(oneNode(name), drill),
    drillOn: async name => turns.drillOn(oneNode(name)),
    idle: turns.idle,
  };
}

/** Done when the system has turned it away. */
const refused: readonly FaultName[] = ['config-refused', 'bad-upgrade'];

function namesOf(nodes: readonly Node[]): string {
  return nodes.map(({ name }) => name).join(' ');
}

function same(one: Target, other: Target): boolean {
  return one.node === other.node && one.host === other.host && one.port === other.port;
}
