// What was promised during a drill is there, once, and nothing else: for the writers, and for the probe `write`.
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Broken } from '../checks/climb.ts';
import type { Check, Rung } from '../checks/climb.ts';
import type { Experiment } from './experiment.ts';
import type { Attempt } from './load.ts';
import { promised, servedAgain } from './fault.ts';
import { lateMs } from './probes.ts';
import { findLosses, reconcile, tellReckoning } from './reconcile.ts';
import { countWords } from './timeline.ts';
import { counted } from '../results/point.ts';

type Say = (line: string) => void;

/** After the last of several faults under load: clients are served again, and the writers go on until they stop. */
export function servedUnderLoad(experiment: Experiment): Rung {
  const claim = 'clients are served again, writers too';
  return { name: 'recovery', checks: [{ id: 'recovered', claim, run: async say => {
    await servedAgain(experiment, say);
    await promised(experiment, 100);
    await experiment.load.stop();
  } }] };
}

/** A commit is on disk when it is acknowledged, by what the database says of itself: no restart can show that. */
export function isDurable(experiment: Experiment): Check {
  return { id: 'durable', claim: 'the database waits until a commit is on disk', run: async say => {
    const { durability } = await experiment.facts();
    if (durability === null) throw new Broken('durability: the database does not say');
    const { fsync, full_page_writes, synchronous_commit } = durability;
    say(`fsync ${fsync}, full_page_writes ${full_page_writes}, synchronous_commit ${synchronous_commit}`);
    const off = Object.entries({ fsync, full_page_writes, synchronous_commit }).filter(([, value]) => value === 'off');
    if (off.length > 0) throw new Broken(`durability: wanted all on, saw ${off.map(([name]) => name).join(', ')} off`);
  } };
}

/** Every writer had its answer in time, and what was answered is what is stored. */
export function reckon(experiment: Experiment): Rung {
  const { load, scaled } = experiment;
  const slowestMs = scaled(lateMs.write);
  return {
    name: 'reckoning',
    checks: [
      { id: 'answered', claim: `every writer had its answer within ${slowestMs} ms`, run: async say => {
        const longest = Math.max(0, ...load.attempts.map(attempt => attempt.ms));
        const silent = load.attempts.filter(attempt => attempt.said === 'silent');
        const words = countWords(load.attempts.map(({ said }) => said));
        say(`${load.attempts.length} answers, ${longest} ms at most: ${words}`);
        const late = counted(silent.length, 'order');
        if (silent.length > 0) throw new Broken(`${late} not answered within ${slowestMs} ms`);
      } },
      nothingLost(experiment),
    ],
  };
}

/** What was answered to the writers is what is stored. */
export function nothingLost(experiment: Experiment): Check {
  const { load } = experiment;
  return {
    id: 'nothing-lost',
    claim: 'no accepted order is lost or changed, none is stored twice, no refused one is stored',
    run: async say => {
      const why = await findLost(experiment, load.attempts, say);
      if (why !== undefined) throw new Broken(`${why}; the writers' log is ${load.file}`);
      await rm(load.file);
    },
  };
}

/** Files that a drill which held leaves nobody to look at. */
export async function discard(files: readonly string[]): Promise<void> {
  for (const file of files) await rm(file, { force: true });
}

/**
 * Begins to watch a folder of drills' backups. At the end those that came since are removed, or said where they are for
 * somebody to look at.
 */
export async function watchBackups(folder: string): Promise<(isNeeded: boolean) => Promise<string[]>> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const files = async () => (await readdir(folder)).filter(name => name.startsWith('orders-'));
  const before = await files();
  return async isNeeded => {
    const since = (await files()).filter(name => !before.includes(name)).map(name => join(folder, name));
    if (!isNeeded) await discard(since);
    return isNeeded ? since.filter(file => file.endsWith('.dump')).map(tellKept) : [];
  };
}

export function tellKept(file: string): string {
  return `kept: ${file}, the backup that the drill took; make destroy removes it`;
}

/** What is lost, changed, doubled or there against what was answered, in words; undefined when nothing is. */
export async function findLost(
  { place, find }: Experiment, attempts: readonly Attempt[], say: Say,
): Promise<string | undefined> {
  const reckoning = await reconcile({ attempts, place, find });
  say(tellReckoning(reckoning));
  const losses = findLosses(reckoning);
  return losses.length === 0 ? undefined : losses.join('; ');
}
