// Backups: the orders of a node as one dump in a file that `destroy` leaves alone, read back whole before it counts.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { readText, syncToDisk } from '../files.ts';
import type { RunOptions } from '../host.ts';
import { messageOf } from '../platform.ts';
import type { Backup, InDatabase } from '../platform.ts';

/**
 * `ledger` is the file of what the node has promised, `commit` the checkout's. `refuseFaults` throws while one is in
 * place with which a dump would not be whole.
 */
export type Backing = {
  node: string; folder: string; ledger: string; commit: string; run: InDatabase; scaled: (ms: number) => number;
  refuseFaults: () => Promise<void>;
};
/** What an archive holds, by reading all of it: how many orders, and the version of their tables. */
export type Contents = { orders: number; version: number };

/** A dump of millions of orders takes minutes. */
export const DUMP_MS = 60 * 60_000;
/** All that belongs to the orders; what somebody else has put into the database is not ours to keep. */
const tables = ['public.orders', 'public.schema_version'];

/** What lies beside a dump. */
export const checksumOf = (file: string): string => `${file}.sha256`;
export const ledgerOf = (file: string): string => `${file}.ledger.jsonl`;

/** Nothing that looks like a backup is left when it fails. Only one at a time in a folder, of a node. */
export async function takeBackup(backing: Backing): Promise<Backup> {
  const { node, folder, ledger, commit, run, scaled, refuseFaults } = backing;
  const part = join(folder, `orders-${node}.part`);
  const parts = [part, checksumOf(part), ledgerOf(part)] as const;
  const remove = async () => {
    for (const file of [...parts, ...await straysIn(folder, node)]) await rm(file, { force: true });
  };
  // of one that was killed
  await remove();
  try {
    await refuseFaults();
    const began = await newMoment(folder, node);
    const from = performance.now();
    // before the dump begins: whatever is promised by then is in it
    await writeFile(ledgerOf(part), wholeLines(await readText(ledger) ?? ''), { mode: 0o600 });
    await dump(part, { node, run, scaled });
    await syncToDisk(part);
    const { orders } = await readBackup(part, { run, scaled });
    // one that came meanwhile
    await refuseFaults();
    const name = `orders-${node}-${began}-${shorten(commit)}-${orders}.dump`;
    const file = join(folder, name);
    await writeFile(checksumOf(part), `${await hash(part)}  ${name}\n`, { mode: 0o600 });
    for (const beside of [checksumOf, ledgerOf]) {
      await syncToDisk(beside(part));
      await rename(beside(part), beside(file));
    }
    await rename(part, file);
    await syncToDisk(folder);
    const { size: bytes } = await stat(file);
    const files = [file, checksumOf(file), ledgerOf(file)];
    return { file, ledger: ledgerOf(file), files, orders, bytes, ms: Math.round(performance.now() - from) };
  } catch (error) {
    await remove();
    throw new Error(`${node}: no backup was made: ${messageOf(error)}`);
  }
}

/** Throws when it is no whole dump of orders, with what PostgreSQL says of it. */
export async function readBackup(file: string, { run, scaled }: Pick<Backing, 'run' | 'scaled'>): Promise<Contents> {
  // in a folder that is on nobody's disk, or that disk could not be unmounted meanwhile
  const read = await run(reading, { input: { file }, deadlineMs: scaled(DUMP_MS), cwd: '/' });
  const seen = new Map(read.stdout.trim().split('\n').map(line => {
    const [, many = '', what = ''] = /^ *(\d+) (.*)$/.exec(line) ?? [];
    return [what, Number(many)];
  }));
  const isWhole = read.code === 0 && seen.get('whole') === 1;
  if (!isWhole) throw new Error(`${basename(file)} is no whole backup: ${saidBy(read)}`);
  const versions = [...seen.keys()].flatMap(what => /^version (\d+)$/.exec(what)?.[1] ?? []).map(Number);
  if (versions.length === 0) throw new Error(`${basename(file)} is no backup of orders: it has no schema_version`);
  return { orders: seen.get('order') ?? 0, version: Math.max(...versions) };
}

/** The last words of PostgreSQL's programs, in one line. */
export function saidBy({ stderr, code }: { stderr: string; code: number | null }): string {
  const lines = stderr.split('\n').map(line => line.trim()).filter(line => line !== '');
  const telling = lines.filter(line => /\b(ERROR|FATAL|error|fatal|given up)\b/.test(line));
  return (telling.length > 0 ? telling : lines.slice(-1)).slice(0, 2).join('; ') || `it ended with ${code}`;
}

/** SHA-256 of a file, in hex. */
export async function hash(file: string): Promise<string> {
  const sum = createHash('sha256');
  for await (const part of createReadStream(file)) sum.update(part as Buffer);
  return sum.digest('hex');
}

async function dump(part: string, { node, run, scaled }: Pick<Backing, 'node' | 'run' | 'scaled'>): Promise<void> {
  const script = `exec pg_dump -Fc --lock-wait-timeout=30s ${tables.map(name => `-t ${name}`).join(' ')}`;
  const options: RunOptions = { into: { file: part }, deadlineMs: scaled(DUMP_MS) };
  const dumped = await run(script, options);
  if (dumped.code !== 0) throw new Error(`pg_dump of ${node} into ${part}: ${saidBy(dumped)}`);
}

// A line for each order and each version, counted as they come: an archive may be larger than memory. It is read to
// its end, and `whole` is only said when nothing was wrong with it.
const reading = `
{ pg_restore -f - && echo whole; } | sed -n \\
  -e '/^COPY public\\.orders /,/^\\\\\\.$/s/^[0-9a-f-]\\{36\\}\t.*/order/p' \\
  -e '/^COPY public\\.schema_version /,/^\\\\\\.$/s/^\\([0-9][0-9]*\\)\t.*/version \\1/p' \\
  -e 's/^whole$/whole/p' | uniq -c`;

/** `20261128T113000Z`, of which there is no backup yet. */
async function newMoment(folder: string, node: string): Promise<string> {
  for (;;) {
    const moment = `${new Date().toISOString().slice(0, 19).replace(/[-:]/g, '')}Z`;
    const names = await readdir(folder);
    if (!names.some(name => name.startsWith(`orders-${node}-${moment}-`))) return moment;
    await pause(50);
  }
}

/**
 * What a backup that was killed before its last step has left beside its part; else whoever has moved or packed a dump
 * keeps what belongs to it.
 */
async function straysIn(folder: string, node: string): Promise<string[]> {
  const names = await readdir(folder);
  if (!names.includes(`orders-${node}.part`)) return [];
  const beside = new RegExp(`^(orders-${node}-\\d{8}T\\d{6}Z-.*\\.dump)\\.(sha256|ledger\\.jsonl)$`);
  const dumpOf = (name: string) => beside.exec(name)?.[1];
  const alone = names.flatMap(name => dumpOf(name) ?? []).filter(dump => !names.includes(dump)).sort();
  return names.filter(name => alone.length > 0 && dumpOf(name) === alone.at(-1)).map(name => join(folder, name));
}

/** Twelve signs of a commit; `-dirty` stays, without the fingerprint. */
function shorten(commit: string): string {
  return `${commit.slice(0, 12)}${commit.includes('-dirty') ? '-dirty' : ''}`;
}

/** Without a line that is being written, which nobody was promised yet. */
function wholeLines(text: string): string {
  return text.slice(0, text.lastIndexOf('\n') + 1);
}
