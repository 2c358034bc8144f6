// The process platform in trouble: killed supervisors, copies, strangers, odd names and environments, full disks.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import type { TestContext } from 'node:test';
import { everyProcess, readArguments, runs } from '../process/proc.ts';
import { dataOf, folderOf, must, openStack, root } from './stack.ts';
import type { Stack } from './stack.ts';
import { until } from './until.ts';

const program = join(root, 'infra/dist/process/database/cluster-program.js');
const isRoot = process.getuid?.() === 0;

function supervisorOf(stack: Stack): number {
  const found = everyProcess().find(({ pid }) => {
    const [, script = '', folder] = readArguments(pid);
    return script.endsWith('supervisor.js') && folder === folderOf(stack);
  });
  assert.ok(found, 'a supervisor runs');
  return found.pid;
}

/** The service and every server process. */
async function pidsOf(stack: Stack): Promise<number[]> {
  const { api, db } = await stack.facts();
  const servers = everyProcess().filter(({ pid, parent }) => pid === db.pid || parent === db.pid);
  return [Number(api.pid), ...servers.map(({ pid }) => pid)];
}

const gone = (pids: number[]) => until(() => pids.filter(runs), left => left.length === 0);

/** A program that has nothing to do with us, of the user who owns a file: PostgreSQL believes such a pid. */
async function openStranger(t: TestContext, file: string): Promise<number> {
  const { uid, gid } = await stat(file);
  const stranger = spawn('sleep', ['300'], { stdio: 'ignore', uid, gid });
  t.after(() => stranger.kill());
  await once(stranger, 'spawn');
  return Number(stranger.pid);
}

test('a folder of any name, and whatever is exported: every verb works', async t => {
  const stack = await openStack(t, "it's an ö, \"really\"");
  const odd = {
    LC_ALL: 'C', LANG: 'de_DE@euro', TZ: 'Asia/Kathmandu', COLUMNS: '20', CDPATH: '/tmp:/var',
    PGSERVICE: 'nowhere', PGCHANNELBINDING: 'require', PGHOST: '/nowhere', PGPORT: '1', PGUSER: 'nobody',
    PGDATABASE: 'nothing', PGOPTIONS: '-c nonsense=1', PGDATA: '/nowhere', PGSSLMODE: 'verify-full',
    PORT: '1', HOST: '192.0.2.1', DATABASE_HOST: '192.0.2.1', DATABASE_URL: 'postgres://nowhere',
    NODE_OPTIONS: '--no-such-option', BASH_ENV: '/nowhere',
  };
  await must(stack.controlWith(odd, 'up'));
  const { api } = await stack.facts();
  await must(stack.controlWith(odd, 'inject', 'bad-credentials'));
  assert.match((await stack.controlWith(odd, 'journal')).stdout, /bad-credentials/);
  await must(stack.controlWith(odd, 'recover'));
  await must(stack.controlWith(odd, 'up'));
  assert.deepEqual((await stack.facts()).api, api, 'nothing has changed, so nothing was restarted');
  const pids = await pidsOf(stack);
  await must(stack.controlWith(odd, 'halt'));
  await gone(pids);
});

test('a killed supervisor takes its programs with it, which status says and up undoes', async t => {
  const stack = await openStack(t);
  await must(stack.control('up'));
  const pids = await pidsOf(stack);
  assert.ok(pids.length > 3, `${pids}`);
  process.kill(supervisorOf(stack), 'SIGKILL');
  await gone(pids);
  const seen = await stack.control('status');
  assert.match(seen.stdout, /^control: down \(its supervisor is gone\) .* stopped .* stopped/);
  assert.equal(seen.code, 1);
  await must(stack.control('up'));

  await stack.control('inject', 'db-hung');
  const frozen = (await pidsOf(stack)).slice(2);
  process.kill(supervisorOf(stack), 'SIGKILL');
  // frozen children of a server that is gone hear nothing of it
  await until(() => frozen.filter(runs).length, left => left === frozen.length);
  await must(stack.control('up'));
  await gone(frozen);
  assert.equal((await stack.control('status')).code, 0);
});

test('a stack.json that cannot be read is named, and keeps nobody from halt', async t => {
  const stack = await openStack(t);
  await must(stack.control('up'));
  const pids = await pidsOf(stack);
  for (const text of ['', '{', 'null', JSON.stringify({ folder: folderOf(stack), since: 7 })]) {
    await writeFile(join(folderOf(stack), 'stack.json'), text);
    const up = await stack.control('up');
    assert.equal(up.code, 1);
    assert.match(up.stderr, /stack\.json cannot be read: .*make halt/);
    assert.equal((await stack.control('targets')).code, 1);
  }
  await must(stack.control('halt'));
  await gone(pids);
  await must(stack.control('up'));
});

test('a journal or a platform that cannot be read keeps nobody from halt, and is reported', async t => {
  const stack = await openStack(t);
  await must(stack.control('up'));
  const pids = await pidsOf(stack);
  const entry = join(stack.state, 'journal', 'control.db-down');
  await mkdir(entry, { recursive: true });
  await writeFile(join(stack.state, 'platform'), '');
  const unnamed = await stack.controlWith({ PLATFORM: '' }, 'halt');
  assert.match(unnamed.stderr, /platform names no platform: ""; PLATFORM=/);
  const halted = await stack.control('halt');
  assert.equal(halted.code, 1);
  assert.match(halted.stderr, /journal .* cannot be read/);
  await gone(pids);
  await rm(entry, { recursive: true });
  await must(stack.control('up'));
});

test('a frozen supervisor is named with the way out, and hides no other node', async t => {
  const stack = await openStack(t);
  await must(stack.control('up'));
  const pid = supervisorOf(stack);
  process.kill(pid, 'SIGSTOP');
  try {
    const status = await stack.controlWith({ SCALE: '0.1' }, 'status');
    assert.equal(status.code, 1);
    assert.match(status.stdout, new RegExp(`control: unknown .*kill -9 ${pid}`));
    assert.match(status.stdout, /worker1: never started/);
    const halt = await stack.controlWith({ SCALE: '0.1' }, 'halt');
    assert.equal(halt.code, 1);
    assert.match(halt.stderr, new RegExp(`not answered for 1 s; kill -9 ${pid}`));
  } finally {
    process.kill(pid, 'SIGCONT');
  }
});

test('a halt that is killed half way does not keep the next up from starting', async t => {
  const stack = await openStack(t);
  await must(stack.controlWith({ DRAIN_GRACE_MS: '1000' }, 'up'));
  const halt = spawn(join(root, 'infra/control'), ['halt'], { env: stack.env, detached: true, stdio: 'ignore' });
  await until(() => stack.control('status'), seen => seen.stdout.startsWith('control: halted'));
  process.kill(-Number(halt.pid), 'SIGKILL');
  await must(stack.control('up'));
  await must(stack.control('status'));
});

test('a removed state folder leaves nothing running, and the next up has the ports', async t => {
  const stack = await openStack(t);
  await must(stack.control('up'));
  const pids = [...await pidsOf(stack), supervisorOf(stack)];
  await rm(stack.state, { recursive: true });
  await gone(pids);
  await must(stack.control('up'));
});

test('a copy of a state folder never touches what the original runs', async t => {
  const [stack, copy] = [await openStack(t), await openStack(t)];
  await must(stack.control('up'));
  const pids = await pidsOf(stack);
  await rm(copy.state, { recursive: true });
  execFileSync('cp', ['-a', stack.state, copy.state]);
  assert.equal((await copy.control('targets')).stdout, '', 'it is not up');
  for (const fault of ['db-killed', 'service-down']) assert.equal((await copy.control('inject', fault)).code, 1);
  await must(copy.control('halt'));
  const taken = await copy.controlWith({ ORDERS_DB_PORT: String(stack.dbPort) }, 'up');
  assert.equal(taken.code, 1);
  assert.match(taken.stderr, new RegExp(`port ${stack.dbPort} .* taken by postgres, pid ${pids[1]}`));
  await must(copy.control('destroy'));
  assert.deepEqual(await pidsOf(stack), pids);
  assert.equal((await fetch(`http://127.0.0.1:${stack.port}/ready`)).status, 200);
});

test('a pid file that names a stranger is not believed: up starts, halt and destroy let it live', async t => {
  const stack = await openStack(t);
  await must(stack.control('up'));
  await must(stack.control('halt'));
  const stranger = await openStranger(t, dataOf(stack));
  const stale = `${stranger}\n${dataOf(stack)}\n1795615886\n${stack.dbPort}\n../run\n127.0.0.1\n 1 1\nready   \n`;
  await writeFile(join(dataOf(stack), 'postmaster.pid'), stale);
  await must(stack.control('halt'));
  await must(stack.control('up'));
  await must(stack.control('halt'));
  await writeFile(join(dataOf(stack), 'postmaster.pid'), stale);
  await must(stack.control('destroy'));
  assert.ok(runs(stranger));
});

test('a server that nobody supervises is stopped before its data is used or removed', async t => {
  const stack = await openStack(t);
  await must(stack.control('up'));
  await must(stack.control('halt'));
  for (const verb of ['up', 'destroy']) {
    await must(stack.run(process.execPath, program, 'start', join(folderOf(stack), 'db')));
    const pid = Number((await stack.run(process.execPath, program, 'pid', join(folderOf(stack), 'db'))).stdout);
    assert.ok(runs(pid));
    await must(stack.control(verb));
    assert.equal(runs(pid), false, verb);
    if (verb === 'up') await must(stack.control('halt'));
  }
});

test('the data under a server of another user is never removed', {
  skip: isRoot ? false : 'only root can be two users',
}, async t => {
  const stack = await openStack(t);
  const folder = join(stack.state, 'db');
  await mkdir(join(folder, 'data'), { recursive: true });
  await copyFile('/bin/sleep', join(stack.state, 'postgres'));
  await chmod(join(stack.state, 'postgres'), 0o755);
  const server = spawn(join(stack.state, 'postgres'), ['300'], { stdio: 'ignore' });
  t.after(() => server.kill());
  await once(server, 'spawn');
  await writeFile(join(folder, 'data/postmaster.pid'), `${server.pid}\n`);
  execFileSync('chown', ['-R', 'nobody', stack.state]);
  const asNobody = ['--reuid=nobody', '--clear-groups', process.execPath, program];
  const refused = await stack.run('setpriv', ...asNobody, 'remove', folder);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, new RegExp(`in use by a server of another user .*pid ${server.pid}`));
  assert.ok((await stat(join(folder, 'data'))).isDirectory());
  server.kill();
  await once(server, 'exit');
  await must(stack.run('setpriv', ...asNobody, 'remove', folder));
});

test('without setpriv up says that it is needed', async t => {
  const stack = await openStack(t);
  const bin = join(stack.state, 'bin');
  await mkdir(bin);
  // what takes turns, and no more
  for (const folder of (process.env['PATH'] ?? '').split(':').reverse()) {
    for (const name of ['flock', 'perl']) {
      if (!existsSync(join(folder, name))) continue;
      await rm(join(bin, name), { force: true });
      await symlink(join(folder, name), join(bin, name));
    }
  }
  await symlink(process.execPath, join(bin, 'node'));
  const up = await stack.controlWith({ PATH: bin }, 'up');
  assert.equal(up.code, 1);
  assert.match(up.stderr, /needs Linux with setpriv.*util-linux/);
  assert.match(up.stderr, /process cannot be used here \(no setpriv\); make doctor tells what is missing/);
});

test('data is elsewhere where the server may not go: a copy does not take it, a moved folder and destroy find it', {
  skip: isRoot ? false : 'only root starts a server as another user',
}, async t => {
  const [stack, copy] = [await openStack(t), await openStack(t)];
  await chmod(stack.state, 0o700);
  const up = await must(stack.control('up'));
  const [, home = ''] = /data goes to (\/var\/tmp\/orders-[0-9a-f]+)/.exec(up.stderr) ?? [];
  assert.ok((await stat(join(home, 'data'))).isDirectory());
  await must(stack.control('up'));

  await rm(copy.state, { recursive: true });
  execFileSync('cp', ['-a', stack.state, copy.state]);
  const refused = await copy.control('up');
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /was copied from/);
  await must(copy.control('destroy'));
  assert.equal((await stack.control('status')).code, 0);

  await must(stack.control('halt'));
  await rename(stack.state, `${stack.state}-moved`);
  await must(stack.controlWith({ ORDERS_STATE: `${stack.state}-moved` }, 'up'));
  await must(stack.controlWith({ ORDERS_STATE: `${stack.state}-moved` }, 'destroy'));
  await assert.rejects(stat(home), { code: 'ENOENT' });
});
