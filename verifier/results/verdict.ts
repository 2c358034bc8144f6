// The verdict: what a run of verify comes to, rung by rung, in one line.
import { rungs } from '../checks/rungs.ts';
import type { RungName } from '../checks/rungs.ts';
import type { Point } from './point.ts';

/** What is said of a rung; `–` was not looked at, for a lower one is broken. */
export type State = 'yes' | 'no' | 'skipped' | '–';
export type Ladder = Readonly<Record<RungName, State>>;
/** `red`: the run did not hold; `rehearsal`: on plain processes, which are not the runtime that is specified. */
type Besides = { red?: boolean; rehearsal?: boolean };

/**
 * `verdict: reachable yes · alive yes · versioned yes · ready no · usable – · …` over every target; `–` was not looked
 * at. On machines it begins with `online`. Under EXPECT=unready a yes says that the rung held the no that was asked
 * for. A run that is red for another reason than a rung says so first: no red run reads as if all had held.
 */
export function verdict(points: readonly Point[], expect: 'ready' | 'unready', besides: Besides = {}): string {
  const states = Object.entries(ladderOf(points)).map(([rung, state]) => `${rung} ${state}`);
  // there is no such rung where nodes are no machines
  const machines = points.filter(({ id }) => id.rung === 'online');
  if (machines.length > 0) states.unshift(`online ${stateOf(machines)}`);
  const journal = stateOf(points.filter(({ id }) => id.rung === 'journal')) === 'no' ? ['journal no'] : [];
  const isTold = journal.length > 0 || states.some(state => state.endsWith(' no'));
  return `verdict: ${[
    ...besides.red === true && !isTold ? ['red'] : [],
    ...journal,
    ...states,
    ...expect === 'ready' ? [] : ['EXPECT=unready'],
    ...besides.rehearsal === true ? ['rehearsal on plain processes: the specified runtime was not looked at'] : [],
  ].join(' · ')}`;
}

/** The same as data, bottom rung first. */
export function ladderOf(points: readonly Point[]): Ladder {
  const entries = rungs.map(rung => [rung, stateOf(points.filter(({ id }) => id.rung === rung))] as const);
  return Object.fromEntries(entries) as Record<RungName, State>;
}

export function stateOf(points: readonly Point[]): State {
  const looked = points.filter(({ skip }) => skip === undefined);
  if (looked.some(({ held }) => !held)) return 'no';
  if (points.some(({ blockedBy }) => blockedBy !== undefined)) return '–';
  if (looked.length > 0) return 'yes';
  return points.length > 0 ? 'skipped' : '–';
}
