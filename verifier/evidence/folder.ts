// Where evidence lies on disk: a folder a run, whole or not at all, the oldest removed when there are too many.
import { chmod, mkdir, open, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseResult } from './result.ts';
import type { Result } from './result.ts';

/** How many runs are kept. */
export const MOST_RUNS = 50;
/** A folder of a run that was killed before its end is removed after a day. */
const ABANDONED_MS = 24 * 60 * 60 * 1_000;
/** `2026-11-25T17-18-10-123Z-verify`, and `.2` behind it for the second of one millisecond. */
const named = /^\d{4}-\d\d-\d\dT[\d-]+Z-[a-z]+(\.\d+)?$/;

export type Place = {
  readonly id: string;
  /** Writes every file (by its path in the run's folder) and gives the folder; after it nothing more may be kept. */
  keep: (files: Record<string, string>) => Promise<string>;
};
/** A run that was kept. */
export type Run = { folder: string; result: Result };

/** Takes a name for a run that begins now. While it is under way its folder has a dot in front, and is left alone. */
export async function takePlace(evidence: string, program: string, now: Date): Promise<Place> {
  await mkdir(evidence, { recursive: true, mode: 0o700 });
  const name = `${now.toISOString().replace(/[:.]/g, '-')}-${program}`;
  for (let turn = 1; ; turn += 1) {
    const id = turn === 1 ? name : `${name}.${turn}`;
    const working = join(evidence, `.${id}`);
    if (await isThere(join(evidence, id)) || !await made(working)) continue;
    return { id, keep: files => keep(files, working, join(evidence, id)) };
  }
}

/** Every run that was kept whole, oldest first. What cannot be read is left out. */
export async function readRuns(evidence: string): Promise<Run[]> {
  const runs = await Promise.all((await namesIn(evidence)).filter(name => named.test(name)).sort().map(async name => {
    const folder = join(evidence, name);
    const result = parseResult(await readFile(join(folder, 'result.json'), 'utf8').catch(() => ''));
    return result === undefined ? [] : [{ folder, result }];
  }));
  return runs.flat();
}

/** One file beside the runs, such as the index over them, written whole; gives its path. */
export async function writeBeside(evidence: string, name: string, text: string): Promise<string> {
  const path = join(evidence, name);
  const beside = join(evidence, `.${name}.${process.pid}`);
  await writeFile(beside, text, { mode: 0o600 });
  await rename(beside, path);
  return path;
}

async function keep(files: Record<string, string>, working: string, folder: string): Promise<string> {
  try {
    for (const [path, text] of Object.entries(files)) {
      const file = join(working, path);
      await mkdir(dirname(file), { recursive: true, mode: 0o700 });
      await writeFile(file, text, { mode: 0o600, flush: true } as object);
    }
    await rename(working, folder);
    await syncFolder(dirname(folder));
  } catch (error) {
    await rm(working, { recursive: true, force: true }).catch(() => undefined);
    throw error;
  }
  await prune(dirname(folder));
  return folder;
}

async function prune(evidence: string): Promise<void> {
  const names = await namesIn(evidence);
  const kept = names.filter(name => named.test(name)).sort();
  const under = names.filter(name => name.startsWith('.') && named.test(name.slice(1)));
  const ages = await Promise.all(under.map(async name => {
    const { mtimeMs } = await stat(join(evidence, name)).catch(() => ({ mtimeMs: Infinity }));
    return { name, old: Date.now() - mtimeMs > ABANDONED_MS };
  }));
  const gone = [...kept.slice(0, -MOST_RUNS), ...ages.filter(({ old }) => old).map(({ name }) => name)];
  // another run may remove the same one at the same time
  for (const name of gone) await rm(join(evidence, name), { recursive: true, force: true }).catch(() => undefined);
}

async function made(folder: string): Promise<boolean> {
  try {
    await mkdir(folder, { mode: 0o700 });
    // mkdir heeds the umask, which may take more than it should
    await chmod(folder, 0o700);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(() => true, () => false);
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

// A name is on disk only when its folder is.
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
