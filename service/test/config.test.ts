// The environment: what is refused, how it is said, and that a refused start is over within a second.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { parseConfig } from '../config.ts';
import type { ReadFile } from '../config.ts';
import { required, spawnService } from './running.ts';

type Env = Record<string, string | undefined>;
const secret = required.DATABASE_PASSWORD;

const noFile: ReadFile = () => null;

function complaints(more: Env, readFile: ReadFile = noFile): string[] {
  const parsed = parseConfig({ ...required, ...more }, readFile);
  return 'complaints' in parsed ? parsed.complaints : [];
}

function blames(more: Env, ...names: string[]): void {
  const told = complaints(more);
  assert.deepEqual(told.map(line => /^config: (\w+) /.exec(line)?.[1]), names, told.join('\n'));
  assert.ok(!told.join('\n').includes(secret));
}

test('the required variables are enough, and everything else has its stated default', () => {
  const parsed = parseConfig(required, noFile);
  assert.ok('config' in parsed);
  const { service, server, database, ready, drain, watchdogMs } = parsed.config;
  assert.deepEqual(service, {
    name: 'orders', env: 'development', logLevel: 'info', gitSha: 'unknown', buildTime: 'unknown',
  });
  assert.deepEqual(server, {
    host: '127.0.0.1', port: 8000, headersTimeoutMs: 5000, requestTimeoutMs: 10_000, maxConnections: 5000,
    maxBodyBytes: 16_384,
  });
  assert.deepEqual(database, {
    host: '127.0.0.1', port: 1, database: 'orders', user: 'orders', password: secret, writeConnections: 2,
    readConnections: 1,
    queueSize: 4096, waitTimeoutMs: 1000, connectTimeoutMs: 1000, queryTimeoutMs: 2500,
    statementTimeoutMs: 1200, lockTimeoutMs: 1000,
  });
  assert.deepEqual([ready, drain], [{ timeoutMs: 800, maxAgeMs: 250 }, { graceMs: 2000, deadlineMs: 8000 }]);
  assert.equal(watchdogMs, 10_000);
});

test('each required variable is missed when it is absent, and when it is empty', () => {
  for (const name of Object.keys(required)) {
    blames({ [name]: undefined }, name);
    blames({ [name]: '' }, name);
  }
});

test('all complaints come at once', () => {
  const parsed = parseConfig({ PROT: '1', DATABASE_HSOT: 'a', LOG_LEVEL: 'loud' }, noFile);
  assert.ok('complaints' in parsed);
  assert.equal(parsed.complaints.length, Object.keys(required).length + 2);
});

test('a number is plain, whole and in its range', () => {
  for (const port of [
    '80a', '0', '65536', '-1', '+80', '080', '1e3', '0x50', '8.0', ' 80', '80 ', '٨٠', 'NaN', '99999999999',
  ]) blames({ PORT: port }, 'PORT');
  for (const size of ['0', '17', 'many']) {
    blames({ DATABASE_WRITE_CONNECTIONS: size }, 'DATABASE_WRITE_CONNECTIONS');
    blames({ DATABASE_READ_CONNECTIONS: size }, 'DATABASE_READ_CONNECTIONS');
  }
  blames({ DATABASE_QUEUE_SIZE: '100001' }, 'DATABASE_QUEUE_SIZE');
  blames({ DATABASE_QUEUE_SIZE: '0', DATABASE_WRITE_CONNECTIONS: '16', DATABASE_READ_CONNECTIONS: '16' });
});

test('every variable that is no number has a form too', () => {
  for (const name of [
    'HOST', 'DATABASE_HOST', 'DATABASE_NAME', 'DATABASE_USER', 'SERVICE_NAME', 'ENV', 'LOG_LEVEL', 'GIT_SHA',
    'BUILD_TIME',
  ]) blames({ [name]: '%bad%' }, name);
  blames({ HOST: 'localhost' }, 'HOST');
  blames({ DATABASE_PASSWORD: 'two\nlines' }, 'DATABASE_PASSWORD');
  for (const host of ['db', 'db.internal', '10.0.0.1', '::1', 'orders_db', '_db', 'db.example.com.', 'a'.repeat(253)]) {
    blames({ DATABASE_HOST: host });
  }
  for (const host of ['.', 'db..a', '-db', 'db-', 'db-.a', 'db..', '.db', 'db a', 'db:5432', 'a'.repeat(254), 'db\n']) {
    blames({ DATABASE_HOST: host }, 'DATABASE_HOST');
  }
});

test('a name close to one of ours is misspelt, and the complaint says which may be meant', () => {
  for (const [name, meant] of [
    ['DATABASE_HSOT', 'DATABASE_HOST'], ['DATABASE_HOSTS', 'DATABASE_HOST'], ['READY_TIMEOUT', 'READY_TIMEOUT_MS'],
    ['SERVER_PORT', 'PORT'], ['SERVICE_ENV', 'ENV'], ['DRAIN_GRACE', 'DRAIN_GRACE_MS'], ['LOG_LEVLE', 'LOG_LEVEL'],
    ['SERVICE_NAM', 'SERVICE_NAME'], ['DATABASE_PASS', 'DATABASE_PASSWORD'], ['DATABASE_TIMEOUT_MS', '\\w+_TIMEOUT_MS'],
    ['DATABASE_PASSWORDFILE', 'DATABASE_PASSWORD_FILE'],
    ['SERVER_MAX_BODY_BITES', 'SERVER_MAX_BODY_BYTES'], ['DATABASE_URL', 'DATABASE_HOST'],
    ['DATABASE_POOL_SIZE', 'DATABASE_WRITE_CONNECTIONS'], ['WATCHDOG_SM', 'WATCHDOG_MS'],
  ] as const) {
    blames({ [name]: secret }, name);
    assert.match(complaints({ [name]: secret })[0] ?? '', new RegExp(`${name} .*\\b${meant}\\b`));
  }
  // What systemd tells a service that it watches.
  blames({ WATCHDOG_USEC: '30000000', WATCHDOG_PID: '1' });
  blames({ PATH: '/bin', PGHOST: 'elsewhere', HOSTNAME: 'a', LOG_FORMAT: 'json', SERVICE_ACCOUNT: 'a' });
});

test('what Kubernetes injects beside services called like our prefixes is none of our business', () => {
  for (const name of ['DATABASE', 'READY', 'SERVER', 'DRAIN', 'LOG', 'SERVICE', 'WATCHDOG']) {
    const url = 'tcp://10.0.0.1:5432';
    const links = { SERVICE_HOST: '10.0.0.1', SERVICE_PORT: '5432', SERVICE_PORT_SQL: '5432', PORT: url };
    const link = { '': url, _ADDR: '10.0.0.1', _PORT: '5432', _PROTO: 'tcp' };
    const env = Object.fromEntries([
      ...Object.entries(links).map(([tail, value]) => [`${name}_${tail}`, value]),
      ...Object.entries(link).map(([tail, value]) => [`${name}_PORT_5432_TCP${tail}`, value]),
    ]);
    if (name === 'DATABASE') env['DATABASE_PORT'] = required.DATABASE_PORT;
    blames(env);
  }
});

test('where such a link takes the place of a variable of ours, the complaint says who did it and what helps', () => {
  for (const scheme of ['tcp', 'udp', 'sctp']) {
    const link = { DATABASE_PORT: `${scheme}://10.0.0.1:5432` };
    blames(link, 'DATABASE_PORT');
    assert.match(complaints(link).join(), /Kubernetes.*"database".*enableServiceLinks: false/);
  }
});

test('values that contradict each other are a complaint', () => {
  blames({ DATABASE_STATEMENT_TIMEOUT_MS: '1500' }, 'DATABASE_CONNECT_TIMEOUT_MS');
  blames({ DATABASE_CONNECT_TIMEOUT_MS: '1300' }, 'DATABASE_CONNECT_TIMEOUT_MS');
  blames({ DATABASE_QUERY_TIMEOUT_MS: '2201' });
  const [told = ''] = complaints({ DATABASE_QUERY_TIMEOUT_MS: '2200' });
  for (const part of ['CONNECT_TIMEOUT_MS (1000)', 'STATEMENT_TIMEOUT_MS (1200)', 'QUERY_TIMEOUT_MS (2200)']) {
    assert.ok(told.includes(`DATABASE_${part}`), told);
  }
  blames({ DATABASE_LOCK_TIMEOUT_MS: '1200' }, 'DATABASE_LOCK_TIMEOUT_MS');
  blames({ DATABASE_LOCK_TIMEOUT_MS: '1200', DATABASE_STATEMENT_TIMEOUT_MS: 'x' }, 'DATABASE_STATEMENT_TIMEOUT_MS');
  blames({ DRAIN_GRACE_MS: '8000' }, 'DRAIN_GRACE_MS');
  blames({ SERVER_HEADERS_TIMEOUT_MS: '10000' }, 'SERVER_HEADERS_TIMEOUT_MS');
  blames({ NODE_OPTIONS: '--insecure-http-parser' }, 'NODE_OPTIONS');
});

test('the password comes from exactly one place, and a file loses one line end', () => {
  blames({ DATABASE_PASSWORD_FILE: '/run/secret' }, 'DATABASE_PASSWORD');
  const fromFile = { DATABASE_PASSWORD: undefined, DATABASE_PASSWORD_FILE: '/run/secret' };
  blames(fromFile, 'DATABASE_PASSWORD_FILE');
  assert.equal(complaints(fromFile, () => '\n').length, 1);
  const marked = complaints(fromFile, () => `\ufeff${secret}\n`);
  assert.match(marked.join(), /^config: DATABASE_PASSWORD_FILE .*byte order mark/);
  const parsed = parseConfig({ ...required, ...fromFile }, path => `${path} \r\n`);
  assert.ok('config' in parsed);
  assert.equal(parsed.config.database.password, '/run/secret ');
});

test('no complaint repeats what may be a secret in the wrong place', () => {
  blames({ DATABASE_HOST: `postgres://orders:${secret}@db/orders` }, 'DATABASE_HOST');
  blames({ DATABASE_PASSWORD: undefined, DATABASE_PASSWORD_FILE: secret }, 'DATABASE_PASSWORD_FILE');
  blames({ DATABASE_PASSWORD: `${secret}\n` }, 'DATABASE_PASSWORD');
});

for (const [what, more] of [
  ['missing', { DATABASE_HOST: undefined }], ['empty', { DATABASE_HOST: '' }],
  ['malformed', { DATABASE_HOST: '%bad%' }], ['misspelt', { DATABASE_HOSTS: 'db' }],
] as [string, Env][]) {
  test(`a start with a variable ${what} is over within a second: 78, complaints on stderr, no stdout`, async t => {
    const { told, ms } = await refuse(t, more);
    assert.match(told, /^config: DATABASE_HOSTS? .*\n$/);
    assert.ok(ms < 1000, `${ms} ms`);
  });
}

test('a password file without end, or none at all, ends the start as well', async t => {
  const dir = await mkdtemp(join(tmpdir(), 'orders-secret-'));
  t.after(() => rm(dir, { recursive: true }));
  await promisify(execFile)('mkfifo', [join(dir, 'fifo')]);
  await writeFile(join(dir, 'long'), 'x'.repeat(5000));
  await symlink('/dev/zero', join(dir, 'link'));
  for (const name of ['/dev/zero', '/dev/stdin', '', 'fifo', 'long', 'link', 'absent']) {
    const path = name.startsWith('/') ? name : join(dir, name);
    const { told } = await refuse(t, { DATABASE_PASSWORD: undefined, DATABASE_PASSWORD_FILE: path });
    assert.match(told, /^config: DATABASE_PASSWORD_FILE must name a readable, regular file .*\n$/, path);
  }
});

async function refuse(t: TestContext, more: Env): Promise<{ told: string; ms: number }> {
  const given = Object.entries({ ...required, ...more });
  const env = Object.fromEntries(given.filter((pair): pair is [string, string] => pair[1] !== undefined));
  const service = spawnService(t, env);
  const { code, ms } = await service.exited;
  assert.equal(code, 78);
  assert.deepEqual(service.lines(), []);
  return { told: service.stderr(), ms };
}
