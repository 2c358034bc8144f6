// Turns: one verb at a time in a state folder, one drill at a time on a node, held by locks that the kernel releases.
import { join } from 'node:path';
import { holderOf, refuseForeign, takeLock, tryLock } from './lock.ts';
import type { Holder, Lock } from './lock.ts';
import type { Node } from './platform.ts';

export type Turns = {
  /** Acts when it is this verb's turn; a recovery must not overtake the injection that it undoes. */
  inTurn: <T>(verb: string, nodes: readonly Node[], act: () => Promise<T>) => Promise<T>;
  /** Beside verbs and drills: one at a time with this lock (a file), wherever it is asked for. */
  alongside: <T>(lock: string, verb: string, act: () => Promise<T>) => Promise<T>;
  /** The lock of the verb under way: what is started with it holds it too, so the next verb waits for its end. */
  fd: () => number | undefined;
  beginDrill: (node: Node, name: string) => Promise<Lock | { heldBy: Holder }>;
  drillOn: (node: Node) => Promise<Holder | undefined>;
  /** Resolves once nothing that was begun here is under way any more. */
  idle: () => Promise<void>;
};
export type TurnsOptions = {
  state: string;
  /** This is the drill that holds the nodes' locks, so it does not wait for itself. */
  inDrill: boolean;
  onWait: (holder: Holder) => void;
};

/** Long enough for the slowest `up` of emulated machines. */
const TURN_MS = 15 * 60_000;

/** Takes no lock yet. */
export function openTurns({ state, inDrill, onWait }: TurnsOptions): Turns {
  const underWay = new Set<Promise<unknown>>();
  const file = (name: string) => join(state, 'locks', name);
  const drillFile = ({ name }: Node) => file(`drill-${name}`);
  let turn: Lock | undefined;

  const inTurn = async <T>(verb: string, nodes: readonly Node[], act: () => Promise<T>): Promise<T> => {
    const held: Lock[] = [];
    const take = async (path: string) => {
      const lock = await takeLock(path, verb, { deadlineMs: TURN_MS, onWait });
      held.unshift(lock);
      return lock;
    };
    refuseForeign(join(state, 'locks'));
    try {
      // drills first: whoever had the verb's turn and waited for a drill would keep that drill from its recovery
      if (!inDrill) for (const node of nodes) await take(drillFile(node));
      turn = await take(file('verb'));
      return await act();
    } finally {
      turn = undefined;
      held.forEach(lock => lock.release());
    }
  };
  const watch = <T>(running: Promise<T>): Promise<T> => {
    const watched = running.catch(() => undefined).finally(() => underWay.delete(watched));
    underWay.add(watched);
    return running;
  };
  const alongside = async <T>(path: string, verb: string, act: () => Promise<T>): Promise<T> => {
    const lock = await takeLock(path, verb, { deadlineMs: TURN_MS, onWait });
    return act().finally(lock.release);
  };
  return {
    inTurn: (verb, nodes, act) => watch(inTurn(verb, nodes, act)),
    alongside: (lock, verb, act) => watch(alongside(lock, verb, act)),
    fd: () => turn?.fd,
    beginDrill: async (node, name) => {
      refuseForeign(join(state, 'locks'));
      return tryLock(drillFile(node), name);
    },
    drillOn: node => holderOf(drillFile(node)),
    idle: async () => { while (underWay.size > 0) await Promise.all(underWay); },
  };
}
