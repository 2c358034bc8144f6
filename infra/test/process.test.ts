// The process platform under its own verbs, with a real service and a real PostgreSQL.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import test from 'node:test';
import { runs } from '../process/proc.ts';
import { openStack, root } from './stack.ts';
import { until } from './until.ts';

const program = join(root, 'infra/dist/process/database/cluster-program.js');

// One stack for what leaves it as it was: starting and removing takes longest.
test('a stack under its verbs', async t => {
  const stack = await openStack(t);
  assert.equal((await stack.control('inject', 'db-down')).code, 1, 'nothing is up');
  assert.equal((await stack.control('up')).code, 0);

  await t.test('up makes a stack once, the second changes nothing, and what is killed comes back', async () => {
    const first = await stack.facts();
    assert.equal((await stack.control('up')).code, 0);
    assert.deepEqual(await stack.facts(), first);
    assert.deepEqual(first.api.listening, [`127.0.0.1:${stack.port}`]);
    assert.deepEqual(first.db.listening, [`127.0.0.1:${stack.dbPort}`]);
    const { stdout } = await stack.control('doctor');
    const held = [...stdout.matchAll(/^ok .* 127\.0\.0\.1:(\d+) is held by what is up here: \S+, pid \d+$/gm)];
    assert.deepEqual(held.map(([, port]) => Number(port)), [stack.port, stack.port, stack.dbPort], stdout);

    process.kill(Number(first.api.pid), 'SIGKILL');
    const again = await until(stack.facts, seen => seen.api.restart_count === 1 && seen.api.state === 'running');
    assert.notEqual(again.api.pid, first.api.pid);

    process.kill(Number(first.db.pid), 'SIGKILL');
    await until(stack.facts, seen => seen.db.state === 'running' && seen.db.pid !== first.db.pid);
    assert.equal((await stack.control('up')).code, 0, 'verifiable again');
  });

  await t.test('the cluster has checksums and fsync on, a 0600 password, and a role that may do little', async () => {
    const db = join(stack.state, 'process', 'control', 'db');
    const ask = async (sql: string) => {
      const { stdout } = await stack.run(process.execPath, program, 'psql', db, '-Atc', sql);
      return stdout.trim();
    };
    const safe = "'data_checksums', 'fsync', 'full_page_writes', 'synchronous_commit'";
    const settings = await ask(`select string_agg(setting, ',') from pg_settings where name in (${safe})`);
    assert.equal(settings, 'on,on,on,on');
    const told = await stack.facts();
    const on = { fsync: 'on', full_page_writes: 'on', synchronous_commit: 'on', data_checksums: 'on' };
    assert.deepEqual(told.durability, on);
    assert.match(told.boot_id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    await ask('alter system set fsync = off');
    await ask('select pg_reload_conf()');
    await until(stack.facts, seen => seen.durability?.fsync === 'off');
    await ask('alter system reset fsync');
    await ask('select pg_reload_conf()');
    await until(stack.facts, seen => seen.durability?.fsync === 'on');
    const rights = 'rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls';
    assert.equal(await ask(`select ${rights} from pg_roles where rolname = 'orders'`), 'f');
    assert.equal(await ask("select pg_get_userbyid(datdba) from pg_database where datname = 'orders'"), 'postgres');
    const password = join(db, 'password');
    assert.equal((await stat(password)).mode & 0o777, 0o600);
    assert.ok((await readFile(password, 'utf8')).length >= 43, '256 bits');
  });

  await t.test('every fault is seen in place, may be injected twice, and is gone after its recovery', async () => {
    for (const fault of ['db-down', 'db-hung', 'bad-credentials', 'port-closed', 'service-down']) {
      assert.equal((await stack.control('inject', fault)).code, 0, fault);
      assert.equal((await stack.control('inject', fault)).code, 0, `${fault} may be injected twice`);
      const entry = new RegExp(`^control ${fault} \\d{4}-\\d\\d-\\d\\dT[\\d:]+Z\n$`);
      assert.match((await stack.control('journal')).stdout, entry);
      if (fault.startsWith('db-')) assert.equal((await stack.facts()).durability, null, fault);
      const recovered = await stack.control('recover', fault);
      assert.equal(recovered.code, 0, recovered.stderr);
      assert.equal((await stack.control('journal')).stdout, '', fault);
    }
  });

  await t.test('what heals by itself is not called in place', async () => {
    for (const fault of ['process-killed', 'db-killed', 'drain']) {
      const injected = await stack.control('inject', fault);
      assert.deepEqual([injected.code, injected.stdout], [0, fault === 'drain' ? 'exit 0\n' : ''], injected.stderr);
      await until(async () => (await stack.control('journal')).stdout, seen => seen === '');
      assert.equal((await stack.control('recover', fault)).code, 0);
    }
  });

  await t.test('status has a line for each node, and its exit code says whether all that should run does', async () => {
    const running = /^control: up · service http:\S+ running \(pid \d+, .*\) · database \S+ running \(pid \d+, /;
    const up = await stack.control('status');
    assert.match(up.stdout, running);
    assert.match(up.stdout, /^worker1: never started$/m);
    assert.equal(up.code, 0);
    const lines = { 'service-down': /^control: degraded .*:\d+ stopped/, 'db-hung': /^control: degraded .* frozen/ };
    for (const [fault, line] of Object.entries(lines)) {
      await stack.control('inject', fault);
      const seen = await stack.control('status');
      assert.match(seen.stdout, line);
      assert.equal(seen.code, 1, fault);
      assert.equal((await stack.control('up')).code, 0, 'up undoes it');
    }
    assert.match((await stack.control('status')).stdout, running);
  });

  await t.test('what cannot be done or understood leaves no journal entry and says what would be right', async () => {
    for (const fault of ['port-dropped', 'network-cut', 'loosened']) {
      const { code, stderr } = await stack.control('inject', fault);
      assert.equal(code, 3);
      assert.ok(stderr.includes(`${fault} needs a `), stderr);
    }
    for (const [args, words] of [
      [['inject', 'db-gone'], /db-gone.*known:.*db-down/], [['explode'], /explode/],
      [['inject', 'config-refused', 'PROT', 'missing'], /PROT.*known: HOST PORT/],
    ] as const) {
      const refused = await stack.control(...args);
      assert.equal(refused.code, 2);
      assert.match(refused.stderr, words);
    }
    assert.equal((await stack.control('journal')).stdout, '');
    const node = await stack.controlWith({ NODE: 'worker9' }, 'status');
    assert.equal(node.code, 2);
    assert.match(node.stderr, /worker9.*known: control, worker1, worker2/);
  });

  await t.test('config-refused ends a throw-away service with 78 and the running one stays', async () => {
    const { api } = await stack.facts();
    for (const how of ['missing', 'malformed']) {
      const { stdout } = await stack.control('inject', 'config-refused', 'PORT', how);
      const ended = JSON.parse(stdout) as Record<string, unknown>;
      assert.equal(ended['exit'], 78);
      assert.match(String(ended['stderr']), /^config: PORT /);
      assert.equal(typeof ended['ms'], 'number');
    }
    assert.deepEqual((await stack.facts()).api, api);
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

  await t.test('a running stack keeps its ports, and a changed setting restarts the service only', async () => {
    const before = await stack.facts();
    const elsewhere = await stack.controlWith({ ORDERS_PORT: String(stack.port + 1) }, 'up');
    assert.equal(elsewhere.code, 1);
    assert.match(elsewhere.stderr, new RegExp(`up on ports ${stack.port} .*make halt first`));
    assert.match((await stack.control('targets')).stdout, new RegExp(`^control 127.0.0.1:${stack.port}\n$`));
    assert.equal((await stack.controlWith({ LOG_LEVEL: 'debug' }, 'up')).code, 0);
    const after = await stack.facts();
    assert.notEqual(after.api.pid, before.api.pid);
    assert.deepEqual(after.db, before.db);
  });

  await t.test('a refused configuration is said at once, with the complaint, and what ran serves on', async () => {
    const began = performance.now();
    const refused = await stack.controlWith({ READY_TIMEOUT_MS: 'soon' }, 'up');
    assert.ok(performance.now() - began < 10_000, 'not after all the time that readiness is given');
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /exit 78[^]*config: READY_TIMEOUT_MS/);
    assert.match((await stack.control('status')).stdout, /^control: up /);
  });
});

test('halt keeps the data and leaves no process, destroy leaves nothing', async t => {
  const stack = await openStack(t);
  await stack.control('up');
  const { api, db } = await stack.facts();
  const placed = await fetch(`http://127.0.0.1:${stack.port}/order?symbol=BTC&side=buy&qty=1`, { method: 'POST' });
  assert.equal(placed.status, 201);
  await stack.control('inject', 'bad-credentials');

  const halted = await stack.control('halt');
  assert.equal(halted.code, 0);
  assert.match(halted.stderr, /bad-credentials is still in place on control/);
  assert.deepEqual([api.pid, db.pid].filter(pid => runs(Number(pid))), []);
  assert.equal((await stack.control('targets')).stdout, '');
  const shutDown = /^control database \| .*database system is shut down$/m;
  assert.match((await stack.control('logs')).stdout, shutDown, 'a fast shutdown');
  assert.match((await stack.control('status')).stdout, /^control: halted /);

  assert.equal((await stack.control('up')).code, 0, 'which undoes what a halted node could not recover');
  assert.equal((await stack.control('journal')).stdout, '');
  const found = await fetch(new URL(placed.headers.get('location') ?? '', `http://127.0.0.1:${stack.port}`));
  assert.equal(found.status, 200);

  assert.equal((await stack.control('destroy')).code, 0);
  await assert.rejects(stat(join(stack.state, 'process')), { code: 'ENOENT' });
  assert.equal((await stack.control('platform')).code, 1);
});

test('the launcher works through a link, and a verb of no meaning is not understood', async t => {
  const stack = await openStack(t);
  const link = join(stack.state, 'link');
  await symlink(join(root, 'infra/control'), link);
  assert.equal((await stack.run(link, 'journal')).code, 0);
  for (const verb of ['constructor', 'toString', '__proto__', '-h']) {
    const { code, stderr } = await stack.control(verb);
    assert.equal(code, 2, stderr);
    assert.ok(stderr.startsWith(`infra/control: unknown verb "${verb}"\n`), stderr);
  }
});

test('a port that somebody else has is named, with its owner and the way out', async t => {
  const stack = await openStack(t);
  const other = createServer().listen(stack.port, '127.0.0.1');
  t.after(() => other.close());
  await once(other, 'listening');
  const refused = await stack.control('up');
  assert.equal(refused.code, 1);
  const owner = `port ${stack.port} on 127\\.0\\.0\\.1 is taken by \\S+, pid ${process.pid};`;
  assert.match(refused.stderr, new RegExp(`${owner}.*ORDERS_PORT`));
  const status = await stack.control('status');
  assert.equal(status.code, 1);
  assert.match(status.stdout, /^control: degraded · service .* stopped · database .* running /);
});

test('a half-made cluster does not keep a stack from starting', async t => {
  const stack = await openStack(t);
  const dir = join(stack.state, 'process', 'control');
  await mkdir(join(dir, 'db', 'data.new'), { recursive: true });
  await writeFile(join(dir, 'db', 'data.new', 'PG_VERSION'), '15\n');
  const up = await stack.control('up');
  assert.equal(up.code, 0, up.stderr);
});

test('without server programs up fails with one error: where it looked and what to install', async t => {
  const stack = await openStack(t);
  const up = await stack.controlWith({ PG_BIN: '/nowhere' }, 'up');
  assert.equal(up.code, 1);
  assert.match(up.stderr, /\/nowhere[^]*apt-get install postgresql[^]*dnf install postgresql-server/);
});
