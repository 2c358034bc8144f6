// The undo journal: a file per fault that may be in place, on disk before the fault is, gone after its recovery.
import { mkdir, open, readFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { syncToDisk } from './files.ts';
import { faultNames } from './platform.ts';
import type { FaultName } from './platform.ts';

/** A fault that may still be in place, and since when (ISO 8601). */
export type Entry = { node: string; fault: FaultName; since: string };
export type Journal = {
  /** Every entry, oldest first. Throws when there is one that cannot be read: what is unknown is not nothing. */
  read: () => Promise<Entry[]>;
  /** On disk when this returns. False when the entry was there already, whose time then stays. */
  add: (node: string, fault: FaultName) => Promise<boolean>;
  remove: (node: string, fault: FaultName) => Promise<void>;
  /** Everything about a node. */
  forget: (node: string) => Promise<void>;
};

/** The journal in this folder, which need not exist yet, of these nodes. */
export function openJournal(folder: string, nodes: readonly string[]): Journal {
  const path = (node: string, fault: string) => join(folder, `${node}.${fault}`);
  const names = async () => {
    try {
      return await readdir(folder);
    } catch (error) {
      if (isMissing(error)) return [];
      throw unreadable(folder, error);
    }
  };
  const remove = async (file: string) => {
    await rm(file, { force: true });
    await syncToDisk(folder).catch(onlyMissing);
  };
  return {
    read: async () => {
      const entries = await Promise.all((await names()).map(name => readEntry(folder, name, nodes)));
      return entries.sort((one, other) => one.since.localeCompare(other.since));
    },
    add: async (node, fault) => {
      await mkdir(folder, { recursive: true });
      if ((await names()).includes(`${node}.${fault}`)) return false;
      const file = await open(path(node, fault), 'w', 0o644);
      try {
        await file.writeFile(`${new Date().toISOString().slice(0, 19)}Z\n`);
        await file.sync();
      } finally {
        await file.close();
      }
      await syncToDisk(folder);
      return true;
    },
    remove: (node, fault) => remove(path(node, fault)),
    forget: async node => {
      for (const name of await names()) if (name.startsWith(`${node}.`)) await remove(join(folder, name));
    },
  };
}

async function readEntry(folder: string, name: string, nodes: readonly string[]): Promise<Entry> {
  const [, node = '', text = ''] = /^([a-z][a-z0-9-]*)\.([a-z-]+)$/.exec(name) ?? [];
  const fault = faultNames.find(one => one === text);
  if (fault === undefined) throw unreadable(join(folder, name), 'it is named after no fault');
  if (!nodes.includes(node)) throw unreadable(join(folder, name), 'it is of no node; remove it if that node is gone');
  const file = join(folder, name);
  const since = (await readFile(file, 'utf8').catch((error: unknown) => { throw unreadable(file, error); })).trim();
  // an entry that was cut short by a full disk or a crash is an entry all the same
  return { node, fault, since: Number.isNaN(Date.parse(since)) ? 'an unknown time' : since };
}

function unreadable(path: string, why: unknown): Error {
  return new Error(`the undo journal ${path} cannot be read: ${why instanceof Error ? why.message : String(why)}`);
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT';
}

function onlyMissing(error: unknown): void {
  if (!isMissing(error)) throw error;
}
