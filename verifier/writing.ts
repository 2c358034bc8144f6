// Sixteen writers on a drill's target: started, waited for, stopped, and reckoned with.
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ask } from './http.ts';
import { Broken } from './ladder.ts';
import type { Rung } from './ladder.ts';
import { lateMs } from './lanes.ts';
import { reconcile } from './reconcile.ts';
import type { Reckoning } from './reconcile.ts';
import type { Scene } from './scene.ts';
import { inTime, rung } from './steps.ts';
import { until } from './until.ts';
import { startWriters } from './writers.ts';
import type { Attempt, Outcome, Place, Writers } from './writers.ts';

export type Writing = {
  /** Appended and fsynced while the writers write; kept when there is a finding to look into. */
  readonly file: string;
  readonly attempts: readonly Attempt[];
  start(mayWrite?: () => boolean): Promise<void>;
  /** Waits until so many more orders have been promised. */
  promised(more: number): Promise<void>;
  count(outcome: Outcome): number;
  stop(): Promise<void>;
};

/** Starts nothing yet. */
export function openWriting(scene: Scene): Writing {
  const folder = join(scene.options.stateFolder, 'writers');
  const file = join(folder, `${scene.target.node}-${new Date().toISOString().replace(/[:.]/g, '-')}.jsonl`);
  let writers: Writers | undefined;
  const attempts = () => writers?.attempts ?? [];
  const count = (outcome: Outcome) => attempts().filter(attempt => attempt.outcome === outcome).length;
  return {
    file, count,
    get attempts() { return attempts(); },
    start: async mayWrite => {
      await mkdir(folder, { recursive: true });
      writers = await startWriters({ place: placeOn(scene), file, ...mayWrite === undefined ? {} : { mayWrite } });
    },
    promised: async more => {
      const wanted = count('acked') + more;
      await inTime(`${more} more orders`, until(async () => count('acked'), seen => seen >= wanted, scene.options.scaled(30_000)));
    },
    stop: async () => { await writers?.stop(); },
  };
}

/** Every answer came in time, and what was told is what is stored. */
export function reckon(scene: Scene, writing: Writing): Rung {
  const slowestMs = scene.options.scaled(lateMs.write);
  return rung('reckoning', {
    [`every writer had its answer within ${slowestMs} ms`]: async say => {
      const slowest = Math.max(0, ...writing.attempts.map(attempt => attempt.ms));
      const silent = writing.attempts.filter(attempt => attempt.said === 'silent');
      say(`${writing.attempts.length} answers, ${slowest} ms at most: ${said(writing.attempts)}`);
      if (silent.length > 0) throw new Broken(`${silent.length} orders were not answered within ${slowestMs} ms`);
    },
    'accepted and missing 0, accepted and changed 0, refused but present 0, doubled 0, unresolved 0': async say => {
      const find = (orderId: string) => ask(scene.target, { path: `/orders/${encodeURIComponent(orderId)}`, deadlineMs: slowestMs });
      const reckoning = await reconcile({ attempts: writing.attempts, place: placeOn(scene), find });
      say(tellReckoning(reckoning));
      const faults = faultsOf(reckoning);
      if (faults.length > 0) throw new Broken(`${faults.join('; ')}; the writers' log is ${writing.file}`);
      await rm(writing.file);
    },
  });
}

/** `acked 900 · refused 30 · …` */
export function tellReckoning({ acked, refused, ambiguous, resolved, ...lists }: Reckoning): string {
  const zeros = Object.entries(lists).map(([name, keys]) => `${name} ${keys.length}`);
  return [`acked ${acked}`, `refused ${refused}`, `ambiguous ${ambiguous}, of these resolved ${resolved}`, ...zeros].join(' · ');
}

function faultsOf({ missing, changed, present, doubled, unresolved }: Reckoning): string[] {
  return Object.entries({ missing, changed, present, doubled, unresolved })
    .flatMap(([name, keys]) => keys.length === 0 ? [] : [`${name} ${keys.length}: ${keys.slice(0, 3).join(', ')}`]);
}

function placeOn(scene: Scene): Place {
  return (order, key) => ask(scene.target, {
    method: 'POST', path: '/order', deadlineMs: scene.options.scaled(lateMs.write),
    headers: { 'content-type': 'application/json', 'idempotency-key': key }, body: JSON.stringify(order),
  });
}

function said(attempts: readonly Attempt[]): string {
  const counts = new Map<string, number>();
  for (const attempt of attempts) counts.set(attempt.said, (counts.get(attempt.said) ?? 0) + 1);
  return [...counts].map(([word, count]) => `${word} (${count})`).join(', ');
}
