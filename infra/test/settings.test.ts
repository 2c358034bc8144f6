// The documented variables, strictly, and an environment for programs in which nothing else of the caller's stands.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readSettings, serviceSettings } from '../settings.ts';
import { root } from './stack.ts';

test('an empty environment gives the defaults, and empty variables count as not given', () => {
  const read = readSettings({ NODE: ' ', SCALE: '' }, '/house');
  assert.ok('settings' in read);
  const { scaled, ...settings } = read.settings;
  assert.deepEqual(settings, {
    root: '/house', infra: '/house/infra', state: '/house/.state', backups: '/house/.state/backups', scale: 1,
    platform: undefined, machines: undefined, nodes: undefined, port: undefined, dbPort: undefined,
    address: undefined, diskMb: undefined, lines: 50, relaxed: [], follow: false, json: false, service: {},
    given: {},
    env: { LC_ALL: 'C.UTF-8', TZ: 'UTC' },
  });
  assert.equal(scaled(1234), 1234);
});

test('every complaint comes at once, with what would be right', () => {
  const bad = {
    PLATFORM: 'podman', MACHINES: 'three', NODE: 'Control!', SCALE: '1e1', ORDERS_PORT: '80a', ORDERS_DB_PORT: '0',
    LINES: '-1', ORDERS_DISK_MB: '64',
  };
  const read = readSettings(bad, '/house');
  assert.ok('complaints' in read);
  assert.deepEqual(read.complaints.map(line => line.split(' ')[0]).sort(), Object.keys(bad).sort());
  assert.ok(read.complaints.includes('PLATFORM must be vagrant or docker or process or swarm, not "podman"'));
});

test('a broken number is a scale, and nodes are named once each', () => {
  const env = { SCALE: '1.5', NODE: 'worker1 control  worker1', ORDERS_ENV: 'staging', LOG_LEVEL: 'debug' };
  const read = readSettings(env, '/house');
  assert.ok('settings' in read);
  assert.equal(read.settings.scaled(1001), 1502);
  assert.deepEqual(read.settings.nodes, ['worker1', 'control']);
  assert.deepEqual(read.settings.service, { ENV: 'staging', LOG_LEVEL: 'debug' });
});

test('what is not documented does not reach the programs that are started', () => {
  const stray = {
    COLUMNS: '40', CDPATH: '/', LC_ALL: 'tr_TR.UTF-8', LANG: 'x', TZ: 'Asia/Kathmandu', IFS: 'x', BASH_ENV: 'x',
    PGSERVICE: 'x', PGCHANNELBINDING: 'require', NODE_OPTIONS: '--x', POSIXLY_CORRECT: '1',
    COMPOSE_FILE: 'x', COMPOSE_PROJECT_NAME: 'x', ORDERS_NODE: 'x', ORDERS_SECRETS: 'x',
  };
  const documented = {
    PATH: '/bin', HOME: '/root', DOCKER_HOST: 'unix:///x', VAGRANT_HOME: '/v', ORDERS_BOX: 'box', ORDERS_EMULATE: '1',
  };
  const read = readSettings({ ...stray, ...documented }, '/house');
  assert.ok('settings' in read);
  assert.deepEqual(read.settings.env, { ...documented, LC_ALL: 'C.UTF-8', TZ: 'UTC' });
});

test('the optional settings that are handed on are those of the Compose file', () => {
  const compose = readFileSync(new URL('../../docker-compose.yml', import.meta.url), 'utf8');
  assert.deepEqual([...compose.matchAll(/^ +([A-Z_]+):$/gm)].map(([, name]) => name), [...serviceSettings]);
});

test('a state folder that cannot be one, and two ports that are one, are complaints at once', () => {
  const read = readSettings({ ORDERS_STATE: '/proc/nope', ORDERS_PORT: '8000', ORDERS_DB_PORT: '8000' }, '/house');
  assert.deepEqual('complaints' in read && read.complaints, [
    'ORDERS_STATE must be a folder, or one that can be made, not "/proc/nope"',
    'ORDERS_PORT and ORDERS_DB_PORT must differ, both are 8000',
  ]);
  for (const ORDERS_STATE of ['/etc/passwd', '/etc/passwd/below', '/sys/x']) {
    assert.ok('complaints' in readSettings({ ORDERS_STATE }, '/house'), ORDERS_STATE);
  }
  assert.ok('settings' in readSettings({ ORDERS_STATE: '/tmp/none/of/these' }, '/house'));
});

test('what makes a run easier than the product is told, with its reason or as what it is: given', t => {
  const folder = mkdtempSync(join(tmpdir(), 'orders-relaxed-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'settings');
  writeFileSync(file, '# a caption\n\nSCALE=10  # emulated\nKILLS=1 # slow\nREADY_TIMEOUT_MS=900  # late\n');
  const told = (env: Record<string, string>) => {
    const read = readSettings({ ORDERS_RELAXED: file, ...env }, '/house');
    return 'settings' in read ? read.settings.relaxed : read.complaints;
  };
  assert.deepEqual(told({ SCALE: '13', KILLS: '1', WATCHDOG_MS: '1', ORDERS_STAND_INS: '1' }), [
    'relaxed: SCALE=13 (10 in the file): emulated', 'relaxed: KILLS=1: slow',
    'relaxed: ORDERS_STAND_INS=1, given for this run', 'relaxed: WATCHDOG_MS=1, given for this run',
  ]);
  assert.deepEqual(told({ SCALE: '0.5', KILLS: '5', ORDERS_STAND_INS: '0' }), [], 'harder, or the product as it is');
  assert.deepEqual(told({ ORDERS_RELAXED: '', READY_TIMEOUT_MS: '900' }), [
    'relaxed: READY_TIMEOUT_MS=900, given for this run',
  ]);
  writeFileSync(file, 'SCALE=10\n');
  assert.match(told({}).join(), /ORDERS_RELAXED must be a file of lines .*"SCALE=10" is none/);
  assert.match(told({ ORDERS_RELAXED: join(folder, 'gone') }).join(), /must be a file that can be read/);
});

test('the settings of the lab are each a line with its reason', () => {
  const read = readSettings({ ORDERS_RELAXED: join(root, 'vagrant/lab/settings'), SCALE: '10' }, '/house');
  assert.match('settings' in read ? read.settings.relaxed.join() : read.complaints.join(), /^relaxed: SCALE=10: ./);
});
