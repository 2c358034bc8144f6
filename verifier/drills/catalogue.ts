// Every drill, in the order in which `all` runs them.
import { inWords, listBudgets } from '../budgets.ts';
import type { Drill } from '../experiment/drill.ts';
import { backupRestores } from './backup-restores.ts';
import { badCredentials } from './bad-credentials.ts';
import { configRefused } from './config-refused.ts';
import { connectionsExhausted } from './connections-exhausted.ts';
import { dbDown } from './db-down.ts';
import { dbHung } from './db-hung.ts';
import { dbRestartStorm } from './db-restart-storm.ts';
import { dbSlow } from './db-slow.ts';
import { diskFull } from './disk-full.ts';
import { drain } from './drain.ts';
import { leaderFrozen } from './leader-frozen.ts';
import { leaderKilled } from './leader-killed.ts';
import { leaderNodeLost } from './leader-node-lost.ts';
import { loosened } from './loosened.ts';
import { midFlight } from './mid-flight.ts';
import { networkCut } from './network-cut.ts';
import { nodeLost } from './node-lost.ts';
import { oldBuild } from './old-build.ts';
import { ordersLost } from './orders-lost.ts';
import { portClosed } from './port-closed.ts';
import { portDropped } from './port-dropped.ts';
import { powerCut } from './power-cut.ts';
import { processKilled } from './process-killed.ts';
import { readOnly } from './read-only.ts';
import { replicaKilled } from './replica-killed.ts';
import { restartKeepsOrders } from './restart-keeps-orders.ts';
import { rightRevoked } from './right-revoked.ts';
import { rollingUpgrade } from './rolling-upgrade.ts';
import { serviceFrozen } from './service-frozen.ts';
import { split } from './split.ts';
import { standbyLost } from './standby-lost.ts';
import { tableLocked } from './table-locked.ts';
import { upgrade } from './upgrade.ts';

export const drills: readonly Drill[] = [
  dbDown, badCredentials, midFlight, portClosed, portDropped, dbHung, processKilled, restartKeepsOrders, drain,
  configRefused, serviceFrozen, oldBuild, tableLocked, diskFull, ordersLost, loosened, dbSlow, networkCut,
  connectionsExhausted, dbRestartStorm, readOnly, rightRevoked, upgrade, powerCut, backupRestores,
  replicaKilled, rollingUpgrade, leaderKilled, leaderFrozen, standbyLost, nodeLost, leaderNodeLost, split,
];

/** `db-down               the database is stopped`, a line a drill. */
export function listDrills(): string {
  const width = Math.max(...drills.map(drill => drill.name.length));
  return drills.map(({ name, title }) => `${name.padEnd(width)}  ${title}`).join('\n');
}

/** All that an operator wants to know before running it: the sentences of the runbook, and the drill's budgets. */
export function describeDrill({ name, title, runbook, faults, red, budgets = {} }: Drill): string {
  const own = Object.entries(budgets).map(([what, ms]) => `${inWords(what.replace(/Ms$/, ''))} ${ms} ms`);
  return [
    `${name}: ${title}`,
    `Looks like:      ${runbook.looksLike}`,
    `Means:           ${runbook.means}`,
    `Run:             \`make drill DRILL=${name}\`, ${runbook.takes}`,
    `By hand:         ${runbook.byHand}`,
    `Back to normal:  ${runbook.backToNormal}`,
    `Injects:         ${faults.join(', ') || 'nothing; it halts the node'}`,
    ...red === undefined ? [] : [`Red:             make verify, at ${red.join(' or ')}`],
    ...own.length === 0 ? [] : [`Own budgets:     ${own.join(', ')}, times SCALE`],
  ].join('\n');
}

/** The budgets of all drills, times SCALE. */
export function describeBudgets(): string {
  return ['Budgets, times SCALE:', ...listBudgets().map(line => `  ${line}`)].join('\n');
}

/** Names to drills, each once; `all` is every one. Unknown names come back as such. */
export function pickDrills(names: readonly string[]): { picked: Drill[]; unknown: string[] } {
  if (names.includes('all') && names.length === 1) return { picked: [...drills], unknown: [] };
  const picked = [...new Set(names)].flatMap(name => drills.find(drill => drill.name === name) ?? []);
  return { picked, unknown: names.filter(name => !drills.some(drill => drill.name === name)) };
}
