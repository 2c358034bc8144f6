// A backup's way back: into a stack without orders, all of it in one transaction, or nothing.
import { mkdir, open, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { readText } from '../files.ts';
import { Misunderstood, messageOf } from '../platform.ts';
import type { InDatabase, Restored } from '../platform.ts';
import { DUMP_MS, checksumOf, hash, ledgerOf, readBackup, saidBy } from './backup.ts';

/** `ledger` is the file of what the node has promised. */
export type Restoring = {
  node: string; file: string; ledger: string; run: InDatabase; scaled: (ms: number) => number;
  say: (line: string) => void;
};

const LOOK_MS = 30_000;

/** Throws with what is in the way; then nothing was changed. Where all of it is there already, it brings the ledger. */
export async function restoreBackup(restoring: Restoring): Promise<Restored> {
  const { node, file, ledger, run, scaled } = restoring;
  await isSound(file);
  const there = await look(restoring);
  const { orders, version } = await readBackup(file, { run, scaled });
  if (version > there.version) {
    const versions = `its tables have version ${version}, those of ${node} ${there.version}`;
    throw new Error(`${basename(file)} is of a newer build (schema_newer): ${versions}; make up with that build first`);
  }
  const began = performance.now();
  if (there.orders > 0) {
    if (there.orders < orders || !await hasAll(restoring)) throw full(node, there.orders);
    await bringLedger(restoring);
    return { orders, ms: Math.round(performance.now() - began) };
  }
  // else it would be known too late that this cannot be
  await (await openLedger(ledger)).close();
  const done = await run(restoration, { input: { file }, deadlineMs: scaled(DUMP_MS) });
  const restored = /^\d+$/.exec(done.stdout.trim())?.[0];
  if (done.code !== 0 || restored === undefined) {
    // the answer to its commit may be what was lost
    const now = await look(restoring).then(({ orders: many }) => `orders there now: ${many}`, messageOf);
    throw new Error(`${node}: the restore failed, ${now}: ${saidBy(done)}`);
  }
  if (Number(restored) < orders) throw new Error(`${node}: ${restored} of ${orders} orders are there`);
  await bringLedger(restoring);
  return { orders, ms: Math.round(performance.now() - began) };
}

function full(node: string, orders: number): Error {
  const many = orders === 1 ? 'one order' : `${orders} orders`;
  return new Error(`${node} has ${many}, and a backup goes into an empty stack only: nothing was touched. make backup `
    + 'keeps them; make destroy and make up begin without any (RUNBOOK.md, Backup and restore)');
}

/** The file is there, and is what its checksum says. */
async function isSound(file: string): Promise<void> {
  const seen = await stat(file).catch((error: unknown) => {
    throw new Misunderstood(isMissing(error) ? `there is no backup ${file}` : messageOf(error));
  });
  if (!seen.isFile()) throw new Misunderstood(`${file} is no file; FILE= names a backup (….dump)`);
  const [, wanted] = /^\\?([0-9a-f]{64}) [ *]/.exec(await readText(checksumOf(file)) ?? '') ?? [];
  if (wanted === undefined) {
    throw new Error(`${checksumOf(file)} is missing or has no SHA-256: a backup is restored with its checksum only`);
  }
  const is = await hash(file);
  if (is !== wanted) throw new Error(`${file} is not what was written: its SHA-256 is ${is}, not ${wanted}`);
}

function isMissing(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '');
}

/** How many orders there are, and which version their tables have. */
async function look({ node, run, scaled }: Restoring): Promise<{ orders: number; version: number }> {
  const seen = await run(looking, { deadlineMs: scaled(LOOK_MS) });
  const [, orders, version] = /^(\d+)\|(\d+)$/.exec(seen.stdout.trim()) ?? [];
  if (orders !== undefined && version !== undefined) return { orders: Number(orders), version: Number(version) };
  throw new Error(`${node}: whether it has orders cannot be seen: ${saidBy(seen)}`);
}

/** What was promised before is promised again. Appended, since verify may be writing there too. */
async function bringLedger({ node, file, ledger, say }: Restoring): Promise<void> {
  const old = await readText(ledgerOf(file));
  if (old === undefined) {
    say(`${node}: there is no ${ledgerOf(file)}, so that make verify knows no promise of before`);
    return;
  }
  const text = await readText(ledger) ?? '';
  const known = new Set(text.split('\n'));
  const lines = old.split('\n').filter(line => line !== '' && !known.has(line));
  if (lines.length === 0) return;
  const handle = await openLedger(ledger);
  try {
    // a line that a crash tore would swallow the first
    await handle.writeFile(`${text === '' || text.endsWith('\n') ? '' : ' torn\n'}${lines.join('\n')}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function openLedger(ledger: string): Promise<FileHandle> {
  await mkdir(dirname(ledger), { recursive: true });
  return open(ledger, 'a');
}

/** Every order of the backup is there, as it was. */
async function hasAll({ node, file, run, scaled }: Restoring): Promise<boolean> {
  const seen = await run(comparing, { input: { file }, deadlineMs: scaled(DUMP_MS) });
  if (seen.code === 0 && /^[tf]\n$/.test(seen.stdout)) return seen.stdout === 't\n';
  throw new Error(`${node}: whether it has the orders of the backup cannot be seen: ${saidBy(seen)}`);
}

const psql = 'psql -X -q -At -v ON_ERROR_STOP=1';

const looking = `exec ${psql} \
  -c "select (select count(*) from public.orders), max(version) from public.schema_version"`;

const comparing = `
{
  cat <<'SQL'
\\o /dev/null
set default_transaction_read_only = off;
create temp table backed (like public.orders including defaults);
SQL
  pg_restore -f - | sed -n '/^COPY public\\.orders /,/^\\\\\\.$/{s/^COPY public\\.orders /COPY pg_temp.backed /;p}'
  cat <<'SQL'
\\o
select not exists (table backed except table public.orders);
SQL
} | ${psql}`;

// The service makes its tables under the same advisory lock. Its orders wait for the lock of the table, then for
// themselves: they find the new one. Nothing is committed unless the archive was read to its end, so that whoever is
// killed half way, this program too, leaves all as it was. The tables become those of the service's role.
const restoration = `
{
  cat <<'SQL'
\\o /dev/null
set default_transaction_read_only = off;
set synchronous_commit = on;
set lock_timeout = '30s';
begin;
select pg_advisory_xact_lock(7201, 1);
do $$ declare many bigint; begin
  lock table public.orders, public.schema_version in access exclusive mode;
  select count(*) into many from public.orders;
  if many > 0 then raise exception 'orders came meanwhile: %', many; end if;
end $$;
drop table public.orders, public.schema_version;
SQL
  pg_restore --no-owner --no-privileges --role=orders -f - && cat <<'SQL'
reset role;
commit;
\\o
select count(*) from public.orders;
SQL
} | ${psql}`;
