// Every drill, in the order in which `all` runs them.
import { badCredentials } from './drills/bad-credentials.ts';
import { configRefused } from './drills/config-refused.ts';
import { dbDown } from './drills/db-down.ts';
import { dbHung } from './drills/db-hung.ts';
import { drain } from './drills/drain.ts';
import { midFlight } from './drills/mid-flight.ts';
import { portClosed } from './drills/port-closed.ts';
import { portDropped } from './drills/port-dropped.ts';
import { processKilled } from './drills/process-killed.ts';
import { restartKeepsOrders } from './drills/restart-keeps-orders.ts';
import type { Drill } from './scene.ts';

export const drills: readonly Drill[] = [
  dbDown, badCredentials, midFlight, portClosed, portDropped, dbHung, processKilled, restartKeepsOrders, drain, configRefused,
];

/** `db-down               the database is stopped`, a line a drill. */
export function listDrills(): string {
  const width = Math.max(...drills.map(drill => drill.name.length));
  return drills.map(({ name, title }) => `${name.padEnd(width)}  ${title}`).join('\n');
}

/** All that an operator wants to know before running it. */
export function describeDrill({ name, title, reproduce, expect, recover, takes }: Drill): string {
  return [`${name}: ${title}`, `reproduce  ${reproduce}`, `expect     ${expect}`, `recover    ${recover}`, `takes      ${takes}`].join('\n');
}

/** Names to drills; `all` is every one. Unknown names come back as such. */
export function pickDrills(names: readonly string[]): { picked: Drill[]; unknown: string[] } {
  if (names.includes('all') && names.length === 1) return { picked: [...drills], unknown: [] };
  const picked = names.flatMap(name => drills.find(drill => drill.name === name) ?? []);
  return { picked, unknown: names.filter(name => !drills.some(drill => drill.name === name)) };
}
