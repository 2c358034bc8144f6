// A disk of the database's own, on plain processes: what was promised outlives its power, and a full one heals itself.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rename, rmdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { readBackup } from '../database/backup.ts';
import { openLocal } from '../local.ts';
import { openLoopDisk } from '../loop-disk.ts';
import { openCluster } from '../process/database/cluster.ts';
import { diskless } from './loop-disk.ts';
import { folderOf, must, openStack, root } from './stack.ts';
import type { Stack } from './stack.ts';
import { until } from './until.ts';

const program = join(root, 'infra/dist/process/database/cluster-program.js');
const mounts = (stack: Stack) => readFileSync('/proc/mounts', 'utf8').split('\n').filter(line => (
  line.includes(escaped(join(folderOf(stack), 'db/disk.ext4'))) || line.includes(escaped(stack.state))
));
/** As the kernel writes a path there. */
const escaped = (path: string) => path.replaceAll(' ', '\\040');
const psql = (stack: Stack, sql: string) =>
  stack.run(process.execPath, program, 'psql', join(folderOf(stack), 'db'), '-Atc', sql);

test('a stack with a disk of its own', { skip: diskless }, async t => {
  const stack = await openStack(t, 'a state\'s "folder"');
  const up = (mb: string) => stack.controlWith({ ORDERS_DISK_MB: mb }, 'up');
  const base = `http://127.0.0.1:${stack.port}`;
  const status = async (path: string, method = 'GET') => {
    const answer = await fetch(base + path, { method, headers: { connection: 'close' } }).catch(() => undefined);
    return answer?.status ?? 0;
  };
  const place = async () => {
    const answer = await fetch(`${base}/order?symbol=ZZD&side=buy&qty=1`, { method: 'POST' });
    assert.equal(answer.status, 201);
    return (await answer.json() as { order_id: string }).order_id;
  };
  const write = () => status('/order?symbol=ZZD&side=buy&qty=1', 'POST');
  await must(up('128'));
  assert.equal((await stack.facts()).disk_mb, 128);
  assert.equal(mounts(stack).length, 1);

  await t.test('power-cut, at once after up: injected and recovered twice, what was promised is there', async () => {
    const order = await place();
    for (const _ of ['once', 'twice']) await must(stack.control('inject', 'power-cut'));
    assert.match((await stack.control('journal')).stdout, /^control power-cut \S+\n$/);
    assert.equal(await status('/health'), 0);
    assert.deepEqual(mounts(stack), []);
    for (const _ of ['once', 'twice']) await must(stack.control('recover', 'power-cut'));
    await until(() => status('/ready'), seen => seen === 200);
    assert.equal(await status(`/orders/${order}`), 200);
    await must(stack.control('inject', 'power-cut'));
    await must(stack.control('recover'));
    await must(stack.control('inject', 'power-cut'));
    await must(stack.control('up'));
    assert.equal((await stack.control('journal')).stdout, '');
    assert.equal(await status(`/orders/${order}`), 200);
  });

  await t.test('a full disk turns orders away and gives out those it has; room is all it needs', async () => {
    const order = await place();
    for (const _ of ['once', 'twice']) await must(stack.control('inject', 'disk-full'));
    assert.deepEqual([await write(), await status('/ready'), await status(`/orders/${order}`)], [503, 200, 200]);
    assert.match((await stack.control('journal')).stdout, /^control disk-full /);
    for (const _ of ['once', 'twice']) await must(stack.control('recover', 'disk-full'));
    await until(write, seen => seen === 201);
    // WAL without room ends the server, which cannot start then, again and again
    await must(stack.control('inject', 'disk-full'));
    await until(async () => {
      await psql(stack, "select pg_logical_emit_message(true, 'ZZ', 'a few words'); select pg_switch_wal()");
      return status('/ready');
    }, seen => seen === 503);
    const { db } = await stack.facts();
    await until(async () => (await stack.facts()).db.restart_count, seen => seen > db.restart_count + 1);
    await must(stack.control('recover', 'disk-full'));
    await until(write, seen => seen === 201);
    assert.equal(await status(`/orders/${order}`), 200);
  });

  await t.test('full is full: no page has room left, and what is freed meanwhile is nobody\'s', async () => {
    // a table with much room whose indexes have little: most inserts fail for an index, and some do not
    const insert = 'insert into orders (order_id, symbol, side, qty, idempotency_key)';
    await psql(stack, `${insert} select gen_random_uuid(), 'ZZE', 'buy', 1, gen_random_uuid()
      from generate_series(1, 30000)`);
    for (const sql of ["delete from orders where symbol = 'ZZE' and order_id::text > '2'", 'vacuum orders',
      'reindex table orders', 'create table junk as select * from generate_series(1, 50000)']) await psql(stack, sql);
    await must(stack.control('inject', 'disk-full'));
    const many = async () => new Set(await Promise.all(Array.from({ length: 200 }, write)));
    assert.deepEqual(await many(), new Set([503]));
    await psql(stack, 'drop table junk');
    assert.deepEqual(await many(), new Set([503]));
    await must(stack.control('recover', 'disk-full'));
    await until(write, seen => seen === 201);
  });

  await t.test('halt unmounts it, and no server begins without it; up mounts it again', async () => {
    const order = await place();
    const [, at = ''] = mounts(stack)[0]?.split(' ') ?? [];
    await must(stack.control('halt'));
    assert.deepEqual(mounts(stack), []);
    const file = join(folderOf(stack), 'db/disk.ext4');
    await rename(file, `${file}.away`);
    const empty = await stack.control('up');
    assert.equal(empty.code, 1, 'an empty database has begun because the disk was away');
    assert.match(empty.stderr, /disk\.ext4 is missing, and the orders with it: put it back, or make destroy/);
    await rename(`${file}.away`, file);
    const beside = join(dirname(at.replaceAll('\\040', ' ')), 'data');
    await mkdir(beside);
    const second = await stack.control('up');
    assert.equal(second.code, 1);
    assert.match(second.stderr, /data lies beside the disk .*move one of them away/);
    await rmdir(beside);
    for (const verb of [['init', join(folderOf(stack), 'db'), '1'], ['start', join(folderOf(stack), 'db')]]) {
      const begun = await stack.run(process.execPath, program, ...verb);
      assert.equal(begun.code, 1, 'an empty database has begun where the disk should be');
    }
    await must(stack.control('up'));
    assert.equal(await status(`/orders/${order}`), 200);
  });

  await t.test('halt does not wait for a backup that is read back', async inner => {
    const fifo = join(stack.state, 'backup');
    execFileSync('mkfifo', [fifo]);
    const writer = spawn('sh', ['-c', 'exec sleep 100 > "$1"', 'sh', fifo]);
    inner.after(() => writer.kill());
    const local = openLocal({ PATH: process.env['PATH'] ?? '' });
    const folder = join(folderOf(stack), 'db');
    const cluster = openCluster({ folder, local, pgBin: undefined, scaled: ms => ms, say: () => undefined });
    const reading = readBackup(fifo, { run: cluster.beside, scaled: ms => ms }).catch(() => 'no backup');
    await must(stack.control('halt'));
    writer.kill();
    assert.equal(await reading, 'no backup');
    await must(stack.control('up'));
  });

  await t.test('a cut that was killed half way, before its programs: up, recover and halt cope with it', async () => {
    const order = await place();
    const [, at = ''] = mounts(stack)[0]?.split(' ') ?? [];
    const cut = `open(my $at, '<', $ARGV[0]); my $how = pack('L', 2); ioctl($at, 0x8004587d, $how) or die $!`;
    for (const verbs of [['up'], ['recover'], ['halt', 'up']]) {
      // as a container that begins in this moment, with a copy of all mounts
      const holder = spawn('unshare', ['-m', '--propagation', 'private', 'sleep', '3']);
      await once(holder, 'spawn');
      t.after(() => holder.kill());
      await must(stack.run('perl', '-e', cut, at.replaceAll('\\040', ' ')));
      if (verbs[0] === 'recover') await stack.control('inject', 'power-cut');
      for (const verb of verbs) await must(stack.control(verb));
      assert.equal(await status(`/orders/${order}`), 200, verbs.join(' '));
    }
  });

  await t.test('another size is refused with the one there is', async () => {
    const other = await up('256');
    assert.equal(other.code, 1);
    assert.match(other.stderr, /has 128 MB, not 256: leave ORDERS_DISK_MB away, or make destroy/);
    assert.equal(await status('/ready'), 200);
    await must(up('128'));
  });

  await t.test('destroy leaves neither mount nor file', async () => {
    await must(stack.control('destroy'));
    assert.deepEqual([mounts(stack), existsSync(folderOf(stack))], [[], false]);
  });

  await t.test('a database that has none is not moved, and cannot be cut', async () => {
    await must(stack.control('up'));
    const moved = await up('128');
    assert.equal(moved.code, 1);
    assert.match(moved.stderr, /is not moved: leave ORDERS_DISK_MB away, or make destroy/);
    const cut = await stack.control('inject', 'power-cut');
    assert.equal(cut.code, 3);
    assert.match(cut.stderr, /make destroy, then make up ORDERS_DISK_MB=256/);
    assert.equal((await stack.facts()).disk_mb, null);
    await must(stack.control('destroy'));
  });

  await t.test('an up that was killed at any moment leaves nothing that up and destroy do not heal', async () => {
    // half made, as by one that was killed while it made the file
    await mkdir(join(folderOf(stack), 'db'), { recursive: true });
    await writeFile(join(folderOf(stack), 'db/disk.ext4.new'), 'half');
    for (const ms of [300, 700]) {
      const child = spawn(join(root, 'infra/control'), ['up'], {
        env: { ...stack.env, ORDERS_DISK_MB: '128' }, cwd: root, stdio: 'ignore', detached: true,
      });
      const ended = once(child, 'exit');
      await pause(ms);
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
      await ended;
      if (ms > 500) await must(up('128'));
      await must(stack.control('destroy'));
      assert.deepEqual([mounts(stack), existsSync(folderOf(stack))], [[], false], `after ${ms} ms`);
    }
  });
});

test('a folder that this machine does not have is not made, and what is not mounted is not cut', {
  skip: diskless,
}, async t => {
  const stack = await openStack(t);
  const file = join(stack.state, 'disk.ext4');
  const local = openLocal({ PATH: process.env['PATH'] ?? '' });
  const open = (at: string) => openLoopDisk({ host: local, scaled: ms => ms, file, at: () => at });
  const elsewhere = join(stack.state, 'elsewhere');
  await open(elsewhere).make(8, { uid: 0, gid: 0 });
  await assert.rejects(open(elsewhere).mount(), /elsewhere is no folder of this machine/);
  assert.equal(existsSync(elsewhere), false);
  await assert.rejects(open(stack.state).cut(), /is not mounted/);
  await open(stack.state).free();
});
