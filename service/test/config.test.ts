// The environment: what is refused, how it is told, and that a refused start is over within a second.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig } from '../config.ts';
import { required, spawnService } from './running.ts';

type Env = Record<string, string | undefined>;
const secret = required.DATABASE_PASSWORD;

function noFile(): string {
  throw new Error('no such file');
}

function complaints(more: Env, readFile: (path: string) => string = noFile): string[] {
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
  const { service, server, database, ready, drain } = parsed.config;
  assert.deepEqual([service.name, service.env, service.logLevel, service.gitSha, service.buildTime], ['orders', 'development', 'info', 'unknown', 'unknown']);
  assert.deepEqual([server.headersTimeoutMs, server.requestTimeoutMs, server.maxConnections, server.maxBodyBytes], [5000, 10_000, 5000, 16_384]);
  assert.deepEqual([database.writeConnections, database.readConnections, database.queueSize], [2, 1, 4096]);
  assert.deepEqual([database.waitTimeoutMs, database.connectTimeoutMs], [1000, 1000]);
  assert.deepEqual([database.queryTimeoutMs, database.statementTimeoutMs, database.lockTimeoutMs], [2500, 1200, 1000]);
  assert.deepEqual([ready, drain], [{ timeoutMs: 800, maxAgeMs: 250 }, { graceMs: 2000, deadlineMs: 8000 }]);
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
  for (const port of ['80a', '0', '65536', '-1', '+80', '080', '1e3', '0x50', '8.0', ' 80', '80 ', '٨٠', 'NaN', '99999999999']) blames({ PORT: port }, 'PORT');
  for (const size of ['0', '101', 'many']) blames({ DATABASE_WRITE_CONNECTIONS: size }, 'DATABASE_WRITE_CONNECTIONS');
});

test('every variable that is no number has a form too', () => {
  const names = ['HOST', 'DATABASE_HOST', 'DATABASE_NAME', 'DATABASE_USER', 'SERVICE_NAME', 'ENV', 'LOG_LEVEL', 'GIT_SHA', 'BUILD_TIME'];
  for (const name of names) blames({ [name]: '%bad%' }, name);
  blames({ HOST: 'localhost' }, 'HOST');
  blames({ DATABASE_PASSWORD: 'two\nlines' }, 'DATABASE_PASSWORD');
  for (const host of ['db', 'db.internal', '10.0.0.1', '::1']) blames({ DATABASE_HOST: host });
});

test('a misspelt name with a prefix of ours is a complaint', () => {
  for (const name of ['DATABASE_HSOT', 'DATABASE_URL', 'READY_TIMEOUT', 'SERVER_PORT', 'DRAIN_GRACE', 'LOG_LEVLE', 'SERVICE_NAM']) blames({ [name]: secret }, name);
  blames({ PATH: '/bin', PGHOST: 'elsewhere', HOSTNAME: 'a' });
});

test('values that contradict each other are a complaint', () => {
  blames({ DATABASE_STATEMENT_TIMEOUT_MS: '2500' }, 'DATABASE_STATEMENT_TIMEOUT_MS');
  blames({ DATABASE_LOCK_TIMEOUT_MS: '2000' }, 'DATABASE_LOCK_TIMEOUT_MS');
  blames({ DATABASE_CONNECT_TIMEOUT_MS: '2500' }, 'DATABASE_CONNECT_TIMEOUT_MS');
  blames({ DRAIN_GRACE_MS: '8000' }, 'DRAIN_GRACE_MS');
  blames({ SERVER_HEADERS_TIMEOUT_MS: '10000' }, 'SERVER_HEADERS_TIMEOUT_MS');
  blames({ NODE_OPTIONS: '--insecure-http-parser' }, 'NODE_OPTIONS');
});

test('the password comes from exactly one place, and a file loses one line end', () => {
  blames({ DATABASE_PASSWORD_FILE: '/run/secret' }, 'DATABASE_PASSWORD');
  const fromFile = { DATABASE_PASSWORD: undefined, DATABASE_PASSWORD_FILE: '/run/secret' };
  blames(fromFile, 'DATABASE_PASSWORD_FILE');
  assert.equal(complaints(fromFile, () => '\n').length, 1);
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
  ['missing', { DATABASE_HOST: undefined }], ['empty', { DATABASE_HOST: '' }], ['malformed', { DATABASE_HOST: '%bad%' }], ['misspelt', { DATABASE_HOSTS: 'db' }],
] as [string, Env][]) {
  test(`a start with a ${what} variable is over within a second: 78, complaints on stderr, nothing on stdout`, async t => {
    const env = Object.entries({ ...required, ...more }).filter((pair): pair is [string, string] => pair[1] !== undefined);
    const service = spawnService(t, Object.fromEntries(env));
    const { code, ms } = await service.exited;
    assert.equal(code, 78);
    assert.ok(ms < 1000, `${ms} ms`);
    assert.match(service.stderr(), /^config: DATABASE_HOSTS? .*\n$/);
    assert.deepEqual(service.lines(), []);
  });
}
