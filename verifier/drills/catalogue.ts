// Every drill, in the order in which `all` runs them.
import type { Drill } from '../experiment/drill.ts';
import { badCredentials } from './bad-credentials.ts';
import { configRefused } from './config-refused.ts';
import { dbDown } from './db-down.ts';
import { dbHung } from './db-hung.ts';
import { drain } from './drain.ts';
import { midFlight } from './mid-flight.ts';
import { portClosed } from './port-closed.ts';
import { portDropped } from './port-dropped.ts';
import { processKilled } from './process-killed.ts';
import { restartKeepsOrders } from './restart-keeps-orders.ts';

export const drills: readonly Drill[] = [
  dbDown, badCredentials, midFlight, portClosed, portDropped, dbHung, processKilled, restartKeepsOrders, drain,
  configRefused,
];

/** `db-down               the database is stopped`, a line a drill. */
export function listDrills(): string {
  const width = Math.max(...drills.map(drill => drill.name.length));
  return drills.map(({ name, title }) => `${name.padEnd(width)}  ${title}`).join('\n');
}

/** All that an operator wants to know before running it: the sentences of the runbook, and the drill's budgets. */
export function describeDrill({ name, title, runbook, faults, budgets }: Drill): string {
  const within = Object.entries(budgets).map(([what, ms]) => `${wordsOf(what)} ${ms} ms`);
  return [
    `${name}: ${title}`,
    `Looks like:      ${runbook.looksLike}`,
    `Means:           ${runbook.means}`,
    `Run:             \`make drill DRILL=${name}\`, ${runbook.takes}`,
    `By hand:         ${runbook.byHand}`,
    `Back to normal:  ${runbook.backToNormal}`,
    `Injects:         ${faults.join(', ') || 'nothing; it halts the node'}`,
    `Budgets:         ${within.join(', ')}, times SCALE`,
  ].join('\n');
}

/** Names to drills, each once; `all` is every one. Unknown names come back as such. */
export function pickDrills(names: readonly string[]): { picked: Drill[]; unknown: string[] } {
  if (names.includes('all') && names.length === 1) return { picked: [...drills], unknown: [] };
  const picked = [...new Set(names)].flatMap(name => drills.find(drill => drill.name === name) ?? []);
  return { picked, unknown: names.filter(name => !drills.some(drill => drill.name === name)) };
}

/** `refusedInContainerMs` to `refused in container`. */
function wordsOf(budget: string): string {
  return budget.replace(/Ms$/, '').replace(/[A-Z]/g, letter => ` ${letter.toLowerCase()}`);
}
