// Whose a stack is: two checkouts on one engine never meet, and nothing of a foreign stack is ever touched.
import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import type { TestContext } from 'node:test';
import { missing, openContainers, soon, succeeded } from './docker-stack.ts';
import type { Containers } from './docker-stack.ts';
import { root, runIn } from './stack.ts';

test('two state folders without a given name have stacks of their own on one engine', { skip: missing }, async t => {
  const one = await openContainers(t, { ORDERS_PROJECT: '' });
  const other = await openContainers(t, { ORDERS_PROJECT: '' });
  assert.notEqual(one.project, other.project);
  for (const stack of [one, other]) succeeded(await stack.platform('up'), 'up');
  const before = await instance(one);
  succeeded(await other.platform('destroy'), 'destroy of the other');
  assert.equal(await instance(one), before);
  assert.equal(await one.status('/ready'), 200);
  assert.equal(await one.docker('ps', '-aq', '--filter', `label=com.docker.compose.project=${other.project}`), '');

  await t.test('a name that was given once is remembered', async () => {
    const named = { ...other.env, ORDERS_PROJECT: `${other.project}-given` };
    succeeded(await runIn(named, join(root, 'infra/control'), ['up']), 'up');
    // under another one it would be left behind, with its orders
    const renamed = { ...other.env, ORDERS_PROJECT: `${other.project}-again` };
    for (const verb of ['up', 'halt', 'destroy']) {
      const { code, stderr } = await runIn(renamed, join(root, 'infra/control'), [verb]);
      assert.equal(code, 1, verb);
      assert.match(stderr, /its stack is called \S+-given, not \S+-again; make destroy first/);
    }
    succeeded(await other.platform('destroy'), 'destroy without the name');
    const ours = `label=com.docker.compose.project=${other.project}-given-control`;
    assert.equal(await other.docker('ps', '-aq', '--filter', ours), '');
  });
});

test('a foreign stack is refused with its owner, whatever the verb, and is not touched', { skip: missing }, async t => {
  const stack = await openContainers(t);
  succeeded(await stack.platform('up'), 'up');
  const before = await sightOf(stack);
  const theirs = await folder(t);
  const theirEnv = { ...stack.env, ORDERS_STATE: theirs };
  const foreign = (...args: string[]) => runIn(theirEnv, join(root, 'infra/control'), args);
  for (const args of [['up'], ['halt', 'control'], ['destroy', 'control'], ['recover'], ['facts'], ['logs']]) {
    const { code, stderr } = await foreign(...args);
    assert.equal(code, 1, args.join(' '));
    assert.ok(stderr.includes(`belongs to ${stack.state},`), `${args.join(' ')}: ${stderr}`);
  }
  assert.deepEqual(await sightOf(stack), before);
  assert.equal(await stack.status('/ready'), 200);

  await t.test('so is its volume alone', async () => {
    await stack.docker('rm', '-f', stack.api, stack.db, `${stack.project}-preflight-1`);
    for (const verb of ['up', 'destroy']) {
      const { code, stderr } = await foreign(verb, 'control');
      assert.equal(code, 1, verb);
      assert.ok(stderr.includes(`_data belongs to ${stack.state},`), stderr);
    }
    assert.match(await stack.docker('volume', 'ls', '-q'), new RegExp(`^${stack.project}_data$`, 'm'));
  });
});

test('containers whose owner cannot be known are refused', { skip: missing }, async t => {
  const stack = await openContainers(t);
  const label = `com.docker.compose.project=${stack.project}`;
  const stranger = (await stack.docker('create', '--label', label, stack.env['ORDERS_IMAGE'] ?? '')).trim();
  try {
    for (const verb of ['up', 'destroy']) {
      const { code, stderr } = await stack.platform(verb, 'control');
      assert.equal(code, 1, verb);
      assert.match(stderr, /belongs to nobody who can be known/);
    }
    assert.equal((await stack.docker('ps', '-aq', '--no-trunc', '--filter', `label=${label}`)).trim(), stranger);
  } finally {
    await stack.docker('rm', stranger);
  }
});

test('a state folder that was copied never touches the stack of the original', { skip: missing }, async t => {
  const stack = await openContainers(t, { ORDERS_PROJECT: '' });
  succeeded(await stack.platform('up'), 'up');
  const before = await sightOf(stack);
  const copy = join(await folder(t), 'copy');
  await cp(stack.state, copy, { recursive: true, preserveTimestamps: true });
  const inCopy = (...args: string[]) => runIn({ ...stack.env, ORDERS_STATE: copy }, join(root, 'infra/control'), args);
  assert.equal(succeeded(await inCopy('targets'), 'targets'), '');
  succeeded(await inCopy('halt', 'control'), 'halt');
  succeeded(await inCopy('recover'), 'recover');
  const taken = await inCopy('up');
  assert.equal(taken.code, 1);
  const reason = `is published by the container ${stack.api}, which belongs to ${stack.state};`;
  assert.ok(taken.stderr.includes(reason), taken.stderr);
  succeeded(await inCopy('destroy'), 'destroy');
  assert.deepEqual(await sightOf(stack), before);
  assert.equal(await stack.status('/ready'), 200);
});

test('a state folder has any name, a scale any part, and stray variables are nothing', { skip: missing }, async t => {
  const state = join(await folder(t), `it's "a" $HOME ö`);
  const stack = await openContainers(t, {
    ORDERS_STATE: state, ORDERS_PROJECT: '', SCALE: '1.5', COMPOSE_PROJECT_NAME: 'stray', COMPOSE_FILE: '/nowhere.yml',
    COMPOSE_PROFILES: 'stray', ORDERS_SECRETS: '/nowhere', ORDERS_NODE: 'stray', ORDERS_OWNER: 'stray',
    HOST: '127.0.0.1', DATABASE_HOST: 'stray', COLUMNS: '40', CDPATH: '/', TZ: 'Asia/Tokyo', LC_ALL: 'C',
  });
  succeeded(await stack.platform('up'), 'up');
  const owner = await stack.docker('inspect', '--format', '{{index .Config.Labels "orders.owner"}}', stack.api);
  assert.equal(owner, `${state}\n`);
  const interval = await stack.docker('inspect', '--format', '{{.Config.Healthcheck.Interval}}', stack.api);
  assert.equal(interval, '15s\n');
  for (const fault of ['db-down', 'db-hung']) {
    succeeded(await stack.platform('inject', fault), fault);
    succeeded(await stack.platform('recover', fault), `recover ${fault}`);
  }
  succeeded(await stack.platform('inject', 'config-refused', 'PORT', 'missing'), 'config-refused');
  await soon(() => stack.status('/ready'), 200);
  assert.match(await readFile(join(state, 'docker/control/env'), 'utf8'), /^ORDERS_NODE=control$/m);
});

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'orders-owner-'));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

async function instance(stack: Containers): Promise<unknown> {
  return (await stack.ask('/version'))['instance_id'];
}

/** What would tell that somebody touched it. */
async function sightOf({ docker, api, db }: Containers): Promise<string> {
  return docker('inspect', '--format', '{{.Id}} {{.State.Status}} {{.State.StartedAt}} {{.RestartCount}}', api, db);
}
