// A setting is missing or bad: `up` fails at once with the service's own complaint, and nothing is left restarting.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { missing, openContainers, soon, succeeded } from './docker-stack.ts';

const required = [
  'PORT', 'HOST', 'DATABASE_HOST', 'DATABASE_PORT', 'DATABASE_NAME', 'DATABASE_USER', 'DATABASE_PASSWORD_FILE',
];

test('up refuses a configuration that the service refuses', { skip: missing }, async t => {
  const stack = await openContainers(t);
  const scale = Number(stack.env['SCALE'] ?? 1);
  const refused = async (override: string, complaint: RegExp): Promise<void> => {
    const began = performance.now();
    const { code, stderr } = await stack.upWith(override);
    const ms = performance.now() - began;
    assert.equal(code, 1, stderr);
    assert.match(stderr, complaint);
    assert.ok(ms < 10_000 * scale, `${ms} ms`);
    const ours = `label=com.docker.compose.project=${stack.project}`;
    assert.equal(await stack.docker('ps', '-q', '--filter', ours), '');
    assert.equal(succeeded(await stack.platform('targets'), 'targets'), '');
  };
  const given = (environment: string): string => `services: { api: { environment: { ${environment} } } }`;
  for (const name of required) {
    const complaint = new RegExp(`^config: .*${name}`, 'm');
    await t.test(`${name} is missing`, () => refused(given(`${name}: !reset null`), complaint));
  }
  const both = /^config: PORT .*\n(?:.*\n)*config: DATABASE_READ_CONNECTIONS /m;
  await t.test('several are bad: every complaint is listed', () =>
    refused(given('PORT: 80a, DATABASE_READ_CONNECTIONS: "0"'), both));
  await t.test('nothing is bad: it was the setting that it refused', async () => {
    succeeded(await stack.upWith('services: {}'), 'up');
    assert.deepEqual(await stack.broken(), []);
  });
});

test('Compose typed by hand never starts a service with a refused setting', { skip: missing }, async t => {
  const stack = await openContainers(t);
  succeeded(await stack.platform('up'), 'up');
  const settings = join(stack.state, 'docker/control/env');
  const right = await readFile(settings, 'utf8');
  await writeFile(settings, `${right}DATABASE_READ_CONNECTIONS=0\n`);
  const refused = await stack.compose('services: {}', 'up', '--detach', '--no-build');
  assert.match(refused.stderr, /preflight.*exit 78/);
  const said = await stack.compose('services: {}', 'logs', 'preflight');
  assert.match(said.stdout, /config: DATABASE_READ_CONNECTIONS must be/);
  // never started, so no restart policy applies; its preflight has none
  const seen = (name: string) => stack.docker('inspect', '-f', '{{.State.Status}} {{.RestartCount}}', name);
  assert.equal(await seen(stack.api), 'created 0\n');
  assert.equal(await seen(`${stack.project}-preflight-1`), 'exited 0\n');
  await writeFile(settings, right);
  succeeded(await stack.compose('services: {}', 'up', '--detach', '--no-build'), 'compose up');
  await soon(() => stack.status('/ready'), 200);
});

test('up says what it does not have', { skip: missing }, async t => {
  const stack = await openContainers(t, { ORDERS_IMAGE: 'orders:never-built' });
  const { code, stderr } = await stack.platform('up');
  assert.equal(code, 1);
  assert.match(stderr, /orders:never-built is not in this engine/);
});

test('what is not understood ends with 2, what is not possible here with 3', { skip: missing }, async t => {
  const stack = await openContainers(t);
  succeeded(await stack.platform('up'), 'up');
  const codes: (number | null)[] = [];
  for (const args of [
    ['sing'], ['inject'], ['inject', 'thunder'], ['inject', 'port-dropped'], ['recover', 'thunder'],
    ['inject', 'config-refused', 'XYZ', 'missing'],
  ]) codes.push((await stack.platform(...args)).code);
  assert.deepEqual(codes, [2, 2, 2, 3, 2, 2]);
});
