// The Compose stack without an engine: how few commands it takes, what it does not touch, and its file of settings.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { openEngine } from '../docker/engine.ts';
import { diskOf } from '../docker/stack/disk.ts';
import { isMadeWith, isOwn, readEnv, withImage, writeEnv } from '../docker/stack/env-file.ts';
import { servedSettings } from '../docker/stack/files.ts';
import { openStack } from '../docker/stack/stack.ts';
import type { StackOptions } from '../docker/options.ts';
import type { Host, Run } from '../host.ts';
import { faultNames, isOfFleet } from '../platform.ts';
import { readSettings } from '../settings.ts';
import { root } from './stack.ts';

const sample = (name: string) => readFileSync(join(root, 'infra/test/samples', name), 'utf8');
const [api, db] = JSON.parse(sample('containers.json')) as { State: { Pid: number } }[];
const wanted = { service: 'orders:1', database: 'db:1' };
const owner = '/home/operator/orders/.state';
const bootId = '0f1b8e0c-0d0c-4d2f-9d4e-2b6a1f6f0a01';
const around = `== boot\n${bootId}\n== engine\n2 runc\n== networks\n[]\n== volumes\n[]\n== settings\nORDERS_PORT=1\n`;
const proc = (service: string) => ['status', 'net/tcp', 'net/tcp6']
  .map(file => `== ${service} ${file}\n${sample(`${file.replace('net/', '')}.txt`)}`).join('');

test('facts take two commands, and a third where the processes are not to be seen', async () => {
  const both = proc('api') + proc('db');
  const settings = { fsync: 'on', full_page_writes: 'on', synchronous_commit: 'on', data_checksums: 'off' };
  const access = { superusers: ['postgres'], with_password: [], network_rules: ['host all all all scram-sha-256'] };
  const answer = JSON.stringify({ durability: settings, access });
  const told = `${sample('images.json')}${around}== database\n${answer}\n== way\nconnected\n`;
  const seen = fakeHost([sample('containers.json'), told + both]);
  const facts = await openStack(options(seen)).facts(wanted);
  assert.ok('done' in facts, JSON.stringify(facts));
  assert.deepEqual(facts.done.durability, settings);
  const { stack } = facts.done;
  assert.deepEqual([stack.access, stack.way_to_database], [access, 'connected']);
  assert.deepEqual(stack.engine, { cgroup: '2', runtime: 'runc' });
  assert.deepEqual([stack.settings, stack.wanted], [{ ORDERS_PORT: '1' }, wanted]);
  assert.equal(facts.done.boot_id, bootId);
  assert.equal(seen.commands.length, 2);

  const unseen = fakeHost([sample('containers.json'), told, both]);
  assert.deepEqual(await openStack(options(unseen)).facts(wanted), facts);
  assert.equal(unseen.commands.length, 3);
});

test('facts of containers that do not run take two commands; half of what /proc says is a failure', async () => {
  const stopped = JSON.stringify([api, db].map(box => ({ ...box, State: { ...box?.State, Pid: 0 } })));
  const host = fakeHost([stopped, sample('images.json') + around]);
  const facts = await openStack(options(host)).facts(wanted);
  assert.ok('done' in facts);
  const { api: service, db: database, durability } = facts.done;
  assert.deepEqual([service.uid, durability, database.listening], [null, null, null]);
  assert.equal(host.commands.length, 2);

  const halfOfApi = proc('api').replace(/^== api net\/tcp\n[^=]*/m, '== api net/tcp\n');
  const half = sample('images.json') + around + halfOfApi + proc('db');
  // it is looked at once more, since a process may have ended between two of the looks
  const broken = fakeHost([sample('containers.json'), half, sample('containers.json'), half]);
  const failed = await openStack(options(broken)).facts(wanted);
  assert.deepEqual(failed, { failed: '/proc/net/tcp: no heading in ""' });
});

test('of a foreign stack nothing is looked at but whose it is', async () => {
  const host = fakeHost([sample('containers.json')]);
  const another = '/home/another/.state';
  const stack = openStack({ ...options(host), owner: another, folder: `${another}/docker/control` });
  const images = { service: 'orders:1', database: 'postgres:1' };
  const acts = [
    stack.halt, stack.destroy, () => stack.facts(wanted), () => stack.up(images), () => stack.mend(true),
    () => stack.logs(() => undefined),
    ...faultNames.filter(name => name !== 'port-dropped' && !isOfFleet(name)).flatMap(name => [
      () => stack.faults[name].inject([{ variable: 'PORT', how: 'missing' }]),
      () => stack.faults[name].recover(true),
    ]),
  ];
  for (const act of acts) {
    const outcome = await act();
    assert.ok('failed' in outcome && outcome.failed.includes(`belongs to ${owner},`), JSON.stringify(outcome));
  }
  for (const command of host.commands) assert.match(command, /^sh -c\s+ids=\$\(docker ps -aq /);
  assert.match((await stack.status()).line, /belongs to/);
});

test('what is not possible or not up takes no command at all', async () => {
  const host = fakeHost([]);
  const stack = openStack(options(host));
  assert.ok('impossible' in await stack.faults['port-dropped'].inject());
  assert.ok('impossible' in await stack.faults['replica-killed'].inject());
  for (const name of faultNames) assert.equal(await stack.faults[name].inPlace(false), false);
  assert.deepEqual(host.commands, []);
});

test('a host that does not answer is reported as such, not as a failure of the stack', async () => {
  const gone = new Error('control does not answer');
  const reject = () => Promise.reject(gone);
  const host: Host = { name: 'control', run: reject, write: reject, read: reject };
  await assert.rejects(openStack(options(host)).halt(), gone);
  await assert.rejects(openStack(options(host)).facts(wanted), gone);
});

test('an engine that does not say where the volume is has a disk, and only no volume is none', async () => {
  let stderr = 'Cannot connect to the Docker daemon';
  const deadlines: unknown[] = [];
  const host: Host = {
    ...fakeHost([]),
    run: async (argv, more) => {
      deadlines.push(more?.deadlineMs);
      const fails = argv.includes('inspect');
      return { code: fails ? 1 : 0, stdout: '1048576', stderr: fails ? stderr : '', late: false };
    },
  };
  const disk = diskOf(openEngine(options(host)));
  for (const act of [disk.cut, disk.unmount, disk.remove, disk.isOn, disk.isFull]) {
    await assert.rejects(act(), /^Error: control: .*Cannot connect to the Docker daemon/);
  }
  stderr = 'Error response from daemon: get orders_data: no such volume';
  await disk.remove();
  assert.ok(deadlines.every(ms => typeof ms === 'number'), String(deadlines));
});

test('settings are read back as they were written, whatever is in a path', () => {
  const folder = `/it's "here" $HOME \\ ö/docker/control`;
  const images = { service: 'orders:1', database: 'db@sha256:2' };
  const env = readEnv(writeEnv({ ...options(fakeHost([])), folder, owner: `/a b/'` }, images));
  assert.equal(env['ORDERS_SECRETS'], `${folder}/secrets`);
  assert.equal(env['ORDERS_OWNER'], `/a b/'`);
  assert.equal(env['ORDERS_PROJECT'], 'orders-480c08f1');
  assert.equal(env['ORDERS_DB_IMAGE'], 'db@sha256:2');
  assert.equal(env['DRAIN_GRACE_MS'], '7');
  assert.equal(env['ORDERS_HEALTH_INTERVAL'], '15000ms');
});

test('settings of another folder, as in a copy of it, are no way back; those of the same are', async () => {
  const own = options(fakeHost([]));
  const text = writeEnv(own, { service: 'orders:1', database: 'db:1' });
  const theirs = writeEnv({ ...own, folder: '/a/copy' }, { service: 'orders:1', database: 'db:1' });
  const kept = (files: Record<string, string>) => servedSettings(openEngine({
    ...own, host: { ...own.host, read: async path => files[path.replace(`${own.folder}/`, '')] },
  }));
  assert.equal(await kept({ served: text, env: theirs }), text);
  assert.equal(await kept({ served: theirs, env: text }), text);
  assert.equal(await kept({ served: theirs, env: theirs }), undefined);
  assert.equal(await kept({}), undefined);
  assert.ok(isOwn('/a/copy', theirs));
});

test('a container was made with settings when its image, its port and all that they hand on are theirs', () => {
  const text = writeEnv(options(fakeHost([])), { service: 'orders:1', database: 'db:1' });
  const env = ['ENV=production', 'LOG_LEVEL=info', 'DRAIN_GRACE_MS=7', 'PORT=8000'];
  const made = { image: 'orders:1', published: ['127.0.0.1:18431'], env: [...env, 'WATCHDOG_MS'] };
  const db = { image: 'db:1' };
  assert.ok(isMadeWith({ api: made, db }, text), 'a name alone is a setting that was not given');
  for (const other of [undefined, { image: 'db:2' }]) assert.equal(isMadeWith({ api: made, db: other }, text), false);
  for (const other of [
    { image: 'orders:2' }, { published: [] }, { published: ['127.0.0.1:18432'] }, { env: env.slice(0, 2) },
    { env: env.with(1, 'LOG_LEVEL=warn') }, { env: [...env, 'WATCHDOG_MS=1'] },
  ]) assert.equal(isMadeWith({ api: { ...made, ...other }, db }, text), false, JSON.stringify(other));
});

test('another image leaves every other setting as it was', () => {
  const text = writeEnv(options(fakeHost([])), { service: 'orders:1', database: 'db:1' });
  assert.deepEqual(readEnv(withImage(text, "it's")), { ...readEnv(text), ORDERS_IMAGE: "it's" });
});

function options(host: Host): StackOptions {
  const read = readSettings({ DRAIN_GRACE_MS: '7', SCALE: '1.5', COMPOSE_FILE: '/nowhere' }, '/home/operator/orders');
  if ('complaints' in read) throw new Error(read.complaints.join('; '));
  return {
    platform: 'docker', host, node: { name: 'control', local: '127.0.0.1', address: '127.0.1.1' },
    project: 'orders-480c08f1-control', owner, address: '127.0.0.1', port: 18431, folder: `${owner}/docker/control`,
    infra: '/home/operator/orders/infra', firewall: false, settings: read.settings, say: () => undefined,
  };
}

/** Answers one command after the other, the last answer again and again, and remembers what was run. */
function fakeHost(answers: string[]): Host & { commands: string[] } {
  const commands: string[] = [];
  return {
    name: 'a host', commands,
    run: async (argv): Promise<Run> => {
      const stdout = answers[Math.min(commands.length, answers.length - 1)] ?? '';
      commands.push(argv.join(' '));
      return { code: 0, stdout, stderr: '', late: false };
    },
    write: async () => { commands.push('write'); },
    read: async () => undefined,
  };
}
