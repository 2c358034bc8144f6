// The verdict: what a run of verify comes to, rung by rung, in one line.
import { rungs } from '../checks/rungs.ts';
import type { Point } from './point.ts';

/**
 * `verdict: reachable yes · alive yes · versioned yes · ready no · usable – …` over every target; `–` was not looked
 * at. Under EXPECT=unready a yes says that the rung held the no that was asked for.
 */
export function verdict(points: readonly Point[], expect: 'ready' | 'unready'): string {
  const states = rungs.map(rung => `${rung} ${stateOf(points.filter(({ id }) => id.rung === rung))}`);
  return `verdict: ${[...states, ...expect === 'ready' ? [] : ['EXPECT=unready']].join(' · ')}`;
}

function stateOf(points: readonly Point[]): string {
  const looked = points.filter(({ skip }) => skip === undefined);
  if (looked.some(({ held }) => !held)) return 'no';
  if (points.some(({ blockedBy }) => blockedBy !== undefined)) return '–';
  if (looked.length > 0) return 'yes';
  return points.length > 0 ? 'skipped' : '–';
}
