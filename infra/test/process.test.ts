// The process platform under its own verbs, with a real service and a real PostgreSQL.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { lstat, mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import test from 'node:test';
import { openStack, runIn, root } from './stack.ts';
import type { Stack } from './stack.ts';

const facts = async (stack: Stack) => JSON.parse((await stack.control('facts')).stdout) as { api: { pid: number; restart_count: number; state: string }; db: { pid: number; state: string } };

async function until<T>(look: () => Promise<T>, good: (seen: T) => boolean, deadlineMs = 10_000): Promise<T> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const seen = await look();
    if (good(seen)) return seen;
    if (performance.now() > end) throw new Error(`not within ${deadlineMs} ms; last seen ${JSON.stringify(seen)}`);
  }
}

// One stack for what leaves it as it was: starting and removing takes longest.
test('a stack under its verbs', async t => {
  const stack = await openStack(t);
  assert.equal((await stack.control('inject', 'db-down')).code, 1, 'nothing is up');
  assert.equal((await stack.control('up')).code, 0);

  await t.test('up makes a stack once: the second up changes nothing, a killed service and a killed database come back', async () => {
    const first = await facts(stack);
    assert.equal((await stack.control('up')).code, 0);
    assert.deepEqual(await facts(stack), first);

    process.kill(first.api.pid, 'SIGKILL');
    const again = await until(() => facts(stack), seen => seen.api.restart_count === 1 && seen.api.state === 'running');
    assert.notEqual(again.api.pid, first.api.pid);

    process.kill(first.db.pid, 'SIGKILL');
    await until(() => facts(stack), seen => seen.db.state === 'running' && seen.db.pid !== first.db.pid);
    assert.equal((await stack.control('up')).code, 0, 'verifiable again');
  });

  await t.test('the cluster has checksums and fsync on, a 0600 password, and a role that may do little', async () => {
    const db = join(stack.state, 'process', 'control', 'db');
    const ask = async (sql: string) => (await stack.run(join(root, 'infra/cluster'), 'psql', db, '-Atc', sql)).stdout.trim();
    assert.equal(await ask("select string_agg(setting, ',' order by name) from pg_settings where name in ('data_checksums', 'fsync', 'full_page_writes', 'synchronous_commit')"), 'on,on,on,on');
    assert.equal(await ask("select rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls from pg_roles where rolname = 'orders'"), 'f');
    assert.equal(await ask("select pg_get_userbyid(datdba) from pg_database where datname = 'orders'"), 'postgres');
    const password = join(db, 'password');
    assert.equal((await stat(password)).mode & 0o777, 0o600);
    assert.ok((await readFile(password, 'utf8')).length >= 43, '256 bits');
  });

  await t.test('a fault is in the journal from its injection to its recovery, and halt speaks up about it', async () => {
    assert.equal((await stack.control('inject', 'db-down')).code, 0);
    assert.equal((await stack.control('inject', 'db-down')).code, 0, 'a fault may be injected twice');
    assert.match((await stack.control('journal')).stdout, /^control db-down \d{4}-\d\d-\d\dT[\d:]+Z\n$/);
    assert.match((await stack.control('halt')).stderr, /db-down is still in place on control/);
    assert.equal((await stack.control('recover')).code, 0);
    assert.equal((await stack.control('journal')).stdout, '');
    assert.equal((await stack.control('up')).code, 0);
  });

  await t.test('what cannot be done or understood leaves no journal entry and says what would be right', async () => {
    assert.equal((await stack.control('inject', 'port-dropped')).code, 3);
    const unknown = await stack.control('inject', 'db-gone');
    assert.equal(unknown.code, 2);
    assert.match(unknown.stderr, /db-gone.*known:.*db-down/);
    assert.equal((await stack.control('journal')).stdout, '');
    const verb = await stack.control('explode');
    assert.equal(verb.code, 2);
    assert.match(verb.stderr, /explode/);
    const node = await runIn({ ...stack.env, NODE: 'worker9' }, join(root, 'infra/control'), ['status']);
    assert.equal(node.code, 2);
    assert.match(node.stderr, /worker9.*known: control, worker1, worker2/);
  });

  await t.test('commands that act take turns, and a killed one does not keep the next from working', async () => {
    const both = await Promise.all([stack.control('inject', 'db-down'), stack.control('recover', 'db-down'), stack.control('inject', 'db-hung'), stack.control('recover')]);
    assert.ok(both.every(({ code }) => code === 0), JSON.stringify(both));
    // 1 lives, and is no command of ours
    await symlink('1', join(stack.state, 'lock'));
    const after = await stack.control('recover');
    assert.equal(after.code, 0, after.stderr);
    await assert.rejects(lstat(join(stack.state, 'lock')), { code: 'ENOENT' });
  });

  await t.test('faults may follow each other: killed again and again, and stopped while frozen', async () => {
    for (let kill = 0; kill < 4; kill += 1) {
      assert.equal((await stack.control('inject', 'db-killed')).code, 0);
      const recovered = await stack.control('recover', 'db-killed');
      assert.equal(recovered.code, 0, recovered.stderr);
    }
    for (const args of [['inject', 'db-hung'], ['inject', 'db-down'], ['recover']]) {
      const done = await stack.control(...args);
      assert.deepEqual([done.code, /killed/.test(done.stderr)], [0, false], `${args.join(' ')}: ${done.stderr}`);
    }
  });
});

test('what outlives its supervisor is stopped, and up undoes what a halted node could not recover', async t => {
  const stack = await openStack(t);
  await stack.control('up');
  const { api, db } = await facts(stack);
  await stack.control('inject', 'bad-credentials');
  for (const name of ['service', 'database']) {
    process.kill(Number(await readFile(join(stack.state, 'process', 'control', `${name}.supervisor`), 'utf8')), 'SIGKILL');
  }
  assert.equal((await stack.control('halt')).code, 0);
  for (const pid of [api.pid, db.pid]) assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
  await writeFile(join(stack.state, 'journal', 'worker1.db-down'), '2026-01-01T00:00:00Z\n');
  assert.equal((await stack.control('recover')).code, 0);
  assert.equal((await stack.control('journal')).stdout, '', 'recover without a name looks at every node');
  const up = await stack.control('up');
  assert.equal(up.code, 0, up.stderr);

  const elsewhere = await runIn({ ...stack.env, ORDERS_PORT: String(stack.port + 1) }, join(root, 'infra/control'), ['up']);
  assert.equal(elsewhere.code, 1);
  assert.match(elsewhere.stderr, new RegExp(`up on ports ${stack.port} .*make halt first`));
  assert.match((await stack.control('targets')).stdout, new RegExp(`:${stack.port}\n$`));
});

test('halt keeps the data and leaves no process, destroy leaves nothing', async t => {
  const stack = await openStack(t);
  await stack.control('up');
  const { api, db } = await facts(stack);
  const placed = await fetch(`http://127.0.0.1:${stack.port}/order?symbol=BTC&side=buy&qty=1`, { method: 'POST' });
  assert.equal(placed.status, 201);

  assert.equal((await stack.control('halt')).code, 0);
  for (const pid of [api.pid, db.pid]) assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
  assert.equal((await stack.control('targets')).stdout, '');
  assert.match((await stack.control('logs')).stdout, /database system is shut down/, 'a fast shutdown, not an immediate one');

  await stack.control('up');
  const found = await fetch(new URL(placed.headers.get('location') ?? '', `http://127.0.0.1:${stack.port}`));
  assert.equal(found.status, 200);

  assert.equal((await stack.control('destroy')).code, 0);
  await assert.rejects(stat(join(stack.state, 'process')), { code: 'ENOENT' });
  assert.equal((await stack.control('platform')).code, 1);
});


test('a port that somebody else has is named, with its owner and the way out', async t => {
  const stack = await openStack(t);
  const other = createServer().listen(stack.port, '127.0.0.1');
  t.after(() => other.close());
  await once(other, 'listening');
  const refused = await stack.control('up');
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, new RegExp(`port ${stack.port} on 127\\.0\\.0\\.1 is taken.*ORDERS_PORT`));
});


test('a stale pid file and a half-made cluster do not keep a stack from starting', async t => {
  const stack = await openStack(t);
  const dir = join(stack.state, 'process', 'control');
  await mkdir(join(dir, 'db', 'data.new'), { recursive: true });
  await writeFile(join(dir, 'db', 'data.new', 'PG_VERSION'), '15\n');
  await writeFile(join(dir, 'service.pid'), '1\n');
  await writeFile(join(dir, 'service.supervisor'), '1\n');
  const up = await stack.control('up');
  assert.equal(up.code, 0, up.stderr);
  assert.notEqual((await facts(stack)).api.pid, 1);
});


test('without server programs up fails with one error: where it looked and what to install', async t => {
  const stack = await openStack(t);
  const up = await runIn({ ...stack.env, PG_BIN: '/nowhere' }, join(root, 'infra/control'), ['up']);
  assert.equal(up.code, 1);
  assert.match(up.stderr, /\/nowhere[^]*apt-get install postgresql[^]*dnf install postgresql-server[^]*brew install postgresql/);
});

