// The verbs backup and restore: whose turn it is, where the node is up, and what may not be in place meanwhile.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { revisionOf } from '../build.ts';
import type { Context } from '../context.ts';
import { answered } from '../platform.ts';
import type { Backup, FaultName, Node, Outcome, Platform, Restored } from '../platform.ts';
import type { Turns } from '../turns.ts';
import { takeBackup } from './backup.ts';
import { restoreBackup } from './restore.ts';

export type Backups = {
  /**
   * One file with every order of the node, however many come meanwhile. Waits for other backups only; a drill may be
   * at work, but not with a fault that takes orders or their tables away. `into`: a folder that is not the operator's.
   */
  backup: (node: string, into?: string) => Promise<Outcome<Backup>>;
  /** Into a node that is up and has no order. Throws Misunderstood for a path that is no file. */
  restore: (node: string, file: string) => Promise<Outcome<Restored>>;
};
export type BackupsOptions = {
  context: Context; turns: Turns; nodeOf: (name: string) => Node;
  /** The platform in force. */
  started: () => Promise<Platform | { failed: string }>;
  /** Those faults of the journal that are in place. */
  inPlace: (platform: Platform, node: Node) => Promise<FaultName[]>;
};

/** Those with which orders, or what makes their tables whole, are not where a backup or a restore looks for them. */
const tableFaults: readonly FaultName[] = ['disk-full', 'right-revoked', 'orders-lost'];

export function openBackups({ context, turns, nodeOf, started, inPlace }: BackupsOptions): Backups {
  const { settings: { backups: folder, state, scaled }, say } = context;
  const open = async (node: Node) => {
    const platform = await started();
    if ('failed' in platform) return platform;
    if ((await platform.targets([node])).length === 0) return { failed: `${node.name} is not up: run make up first` };
    const ledger = join(state, 'ledger', `${platform.name}-${node.name}.jsonl`);
    const refuse = async (faults: readonly FaultName[]): Promise<void> => {
      const fault = (await inPlace(platform, node)).find(one => faults.includes(one));
      if (fault !== undefined) throw new Error(`${fault} is in place on ${node.name}: make recover first`);
    };
    return { refuse, node: node.name, ledger, run: platform.inDatabase(node), scaled };
  };
  return {
    // Its own lock, where the file goes: no verb waits for a dump of minutes, and two state folders may share a folder.
    backup: async (name, into = folder) => {
      const node = nodeOf(name);
      await mkdir(into, { recursive: true, mode: 0o700 });
      return turns.alongside(join(into, `.${name}.lock`), `backup ${name}`, () => answered(async () => {
        const opened = await open(node);
        if ('failed' in opened) return opened;
        const refuseFaults = () => opened.refuse([...tableFaults, 'tables-lost']);
        const commit = await revisionOf(context);
        return { done: await takeBackup({ ...opened, refuseFaults, folder: into, commit }) };
      }));
    },
    restore: async (name, file) => {
      const node = nodeOf(name);
      return turns.inTurn(`restore ${name}`, [node], () => answered(async () => {
        const opened = await open(node);
        if ('failed' in opened) return opened;
        // with tables that lie aside it is allowed: what is restored joins them when they come back
        await opened.refuse(tableFaults);
        return { done: await restoreBackup({ ...opened, file, say }) };
      }));
    },
  };
}
