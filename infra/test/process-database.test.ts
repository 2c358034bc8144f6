// The database of plain processes where it cannot start, or is not what it was: what up says, and what it does then.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { dataOf, folderOf, must, openStack, root } from './stack.ts';

const program = join(root, 'infra/dist/process/database/cluster-program.js');
const isRoot = process.getuid?.() === 0;

test('a database that cannot start says why within seconds, and is up again once that is corrected', async t => {
  const stack = await openStack(t);
  await must(stack.control('up'));
  await must(stack.control('halt'));
  const file = join(dataOf(stack), 'postgresql.auto.conf');
  const text = await readFile(file, 'utf8');
  await writeFile(file, "shared_buffers = 'much'\n");
  const began = performance.now();
  const up = await stack.control('up');
  assert.ok(performance.now() - began < 15_000);
  assert.equal(up.code, 1);
  assert.match(up.stderr, /the database cannot start:\n[^]*FATAL:[^]*postgresql\.auto\.conf/);
  await writeFile(file, text);
  await must(stack.control('up'));
});

test('a cluster of another major version is named with both versions, and destroy needs no programs', async t => {
  const stack = await openStack(t);
  await must(stack.control('up'));
  await must(stack.control('halt'));
  await writeFile(join(dataOf(stack), 'PG_VERSION'), '9\n');
  const up = await stack.control('up');
  assert.equal(up.code, 1);
  assert.match(up.stderr, /made by PostgreSQL 9; found: PostgreSQL \d\d in \//);
  await must(stack.controlWith({ PG_BIN: '/nowhere' }, 'destroy'));
  await assert.rejects(stat(folderOf(stack)), { code: 'ENOENT' });
});

test('when the first PostgreSQL is not the one that made the cluster, up says which is used and why', async t => {
  const stack = await openStack(t);
  await must(stack.control('up'));
  await must(stack.control('halt'));
  const bin = join(stack.state, 'bin');
  await mkdir(bin);
  const programs = { pg_config: bin, initdb: '', psql: '', postgres: 'postgres (PostgreSQL) 99.1' };
  for (const [name, says] of Object.entries(programs)) {
    await writeFile(join(bin, name), `#!/bin/sh\necho '${says}'\n`, { mode: 0o755 });
  }
  const up = await must(stack.controlWith({ PATH: `${bin}:${process.env['PATH']}` }, 'up'));
  const used = `PostgreSQL \\d\\d in \\S+ is used, not PostgreSQL 99 in ${bin}: .* was made by \\d\\d`;
  assert.match(up.stderr, new RegExp(used));
});

test('a frozen database holds up neither up nor psql', async t => {
  const stack = await openStack(t);
  await must(stack.control('up'));
  await must(stack.control('inject', 'db-hung'));
  const psql = await stack.run(process.execPath, program, 'psql', join(folderOf(stack), 'db'), '-c', 'select 1');
  assert.match(psql.stderr, /timeout expired/);
  await must(stack.control('up'));
  assert.equal((await stack.control('journal')).stdout, '');
  assert.equal((await stack.control('status')).code, 0);
});
test('a service that is frozen, or whose data was removed under it, is up again after one up', async t => {
  const stack = await openStack(t);
  await must(stack.control('up'));
  process.kill(Number((await stack.facts()).api.pid), 'SIGSTOP');
  await must(stack.control('up'));
  await rm(join(folderOf(stack), 'db'), { recursive: true });
  const up = await must(stack.control('up'));
  assert.match(up.stderr, /data .* is gone: beginning with an empty database/);
  assert.equal((await stack.control('status')).code, 0);
});

test('a full disk names itself', { skip: isRoot ? false : 'only root can make a small disk' }, async t => {
  const stack = await openStack(t);
  const db = join(folderOf(stack), 'db');
  await mkdir(db, { recursive: true });
  const disk = (megabytes: number) => {
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=755`, 'none', db], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  };
  if (!disk(20)) return t.skip('no file system can be mounted here');
  let mounted = true;
  const unmount = () => {
    if (mounted) execFileSync('umount', [db]);
    mounted = false;
  };
  try {
    const made = await stack.control('up');
    assert.equal(made.code, 1);
    assert.match(made.stderr, /No space left on device|disk of .* is full/);
    unmount();
    mounted = disk(120);
    await must(stack.control('up'));
    await must(stack.control('halt'));
    await assert.rejects(writeFile(join(db, 'full'), Buffer.alloc(120 * 1024 * 1024)), { code: 'ENOSPC' });
    const began = performance.now();
    const up = await stack.control('up');
    assert.ok(performance.now() - began < 15_000);
    assert.equal(up.code, 1);
    assert.match(up.stderr, /ENOSPC|disk of .* is full/);
    await rm(join(db, 'full'));
    await must(stack.control('up'));
    await must(stack.control('halt'));
  } finally {
    await stack.control('halt');
    unmount();
  }
});
