// Every fault of the container platform is what it is called; injected and recovered twice, it leaves a sound system.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { join } from 'node:path';
import test from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { breakInside, sound } from './inner-faults.ts';
import { missing, openContainers, soon, succeeded } from './docker-stack.ts';
import type { Containers } from './docker-stack.ts';
import { freePort, root, runIn } from './stack.ts';

type State = { api: string; db: string; tcp: string; health: number; ready: number };
const faults: { fault: string; is: Partial<State>; successor: 'same' | 'another' }[] = [
  { fault: 'db-down', is: { api: 'running', db: 'exited', health: 200, ready: 503 }, successor: 'same' },
  { fault: 'db-hung', is: { api: 'running', db: 'paused', health: 200, ready: 503 }, successor: 'same' },
  { fault: 'bad-credentials', is: { api: 'running', db: 'running', health: 200, ready: 503 }, successor: 'same' },
  { fault: 'port-closed', is: { api: 'running', db: 'running', tcp: 'ECONNREFUSED' }, successor: 'same' },
  { fault: 'service-down', is: { api: 'exited', db: 'running', tcp: 'ECONNREFUSED' }, successor: 'another' },
];

test('faults', { skip: missing }, async t => {
  const stack = await openContainers(t);
  succeeded(await stack.platform('up'), 'up');
  for (const { fault, is, successor } of faults) {
    await t.test(`${fault} is what it is called, and recovers to ${successor} process`, async () => {
      const before = await instance(stack);
      const twice = async (verb: string) => {
        for (const time of ['first', 'second']) {
          succeeded(await stack.platform(verb, fault), `${time} ${verb} ${fault}`);
        }
      };
      await twice('inject');
      await soon(async () => pick(await look(stack), is), is);
      await twice('recover');
      await soon(async () => (await look(stack)).ready, 200);
      assert.equal(await instance(stack) === before, successor === 'same');
    });
  }
  await t.test('process-killed and drain end the process by a signal, and the engine starts another', async () => {
    for (const [fault, said] of [['process-killed', ''], ['drain', 'exit 0\n']] as const) {
      const before = await instance(stack);
      assert.equal(succeeded(await stack.platform('inject', fault), fault), said);
      await soon(async () => (await look(stack)).ready, 200);
      assert.notEqual(await instance(stack), before);
    }
  });
  await t.test('a killed database is started again by the engine', async () => {
    succeeded(await stack.platform('inject', 'db-killed'), 'db-killed');
    await soon(async () => (await look(stack)).ready, 200);
  });
  await t.test('config-refused tells exit, time and complaint, and leaves the running service alone', async () => {
    const before = await instance(stack);
    for (const how of ['missing', 'malformed']) {
      const told = JSON.parse(succeeded(await stack.platform('inject', 'config-refused', 'DATABASE_PORT', how), how));
      assert.equal(told.exit, 78);
      assert.match(told.stderr, /^config: DATABASE_PORT /m);
      assert.ok(told.ms > 0);
    }
    const accepted = await stack.platform('inject', 'config-refused', 'LOG_LEVEL', 'missing');
    assert.equal(accepted.code, 1);
    assert.match(accepted.stderr, /the service accepted LOG_LEVEL missing and ran for 10 s/);
    assert.equal(await instance(stack), before);
    assert.equal((await stack.docker('ps', '-aq', '--filter', `name=${stack.project}-refused`)), '');
  });
  await t.test('recover without a name repairs everything, and starts nothing on a node that was halted', async () => {
    for (const fault of ['db-hung', 'port-closed', 'service-down']) {
      succeeded(await stack.platform('inject', fault), fault);
    }
    succeeded(await stack.platform('recover'), 'recover');
    await soon(async () => (await look(stack)).ready, 200);
    succeeded(await stack.platform('halt'), 'halt');
    succeeded(await stack.platform('recover'), 'recover after halt');
    assert.deepEqual([(await look(stack)).api, (await look(stack)).db], ['exited', 'exited']);
  });
});

test('faults inside containers', { skip: missing }, async t => {
  const stack = await openContainers(t);
  const cut = { ready: '503 unreachable', write: '503 unreachable', read: '503 unreachable' };
  const old = `${stack.project}-old-build`;
  await breakInside(t, {
    ...stack, more: [['network-cut', cut], ['loosened', sound]],
    made: async () => [
      await stack.docker('inspect', '--format', '{{.Image}} {{.HostConfig.CapAdd}}', stack.api, stack.db),
      await stack.docker('image', 'ls', '-q', old),
    ],
  });
  assert.equal(await stack.docker('image', 'ls', '-q', old), '');
});

test('a stray port, an engine that does not answer: what runs is taken for what it is', { skip: missing }, async t => {
  const stack = await openContainers(t);
  succeeded(await stack.platform('up'), 'up');
  const control = (env: NodeJS.ProcessEnv, ...args: string[]) =>
    runIn({ ...stack.env, ...env }, join(root, 'infra/control'), args);
  const [before, targets] = [await instance(stack), `control 127.0.0.1:${stack.port}\n`];

  // it is looked at where it was published; a service that has just started would be given time
  await pause(5_500 * Number(stack.env['SCALE'] ?? 1));
  succeeded(await control({ ORDERS_PORT: String(await freePort()) }, 'recover'), 'recover with a stray port');
  assert.equal(await instance(stack), before);

  // else `recover` would take the node for one that was halted, and leave its fault in place
  assert.equal((await control({ DOCKER_HOST: 'unix:///nowhere' }, 'halt')).code, 1);
  assert.equal(succeeded(await stack.platform('targets'), 'targets'), targets);
});

async function look(stack: Containers): Promise<State> {
  const states = await stack.docker('inspect', '--format', '{{.State.Status}}', stack.api, stack.db);
  const [api = '', db = ''] = states.split('\n');
  const [health, ready] = [await stack.status('/health'), await stack.status('/ready')];
  return { api, db, tcp: await dial(stack.port), health, ready };
}

function dial(port: number): Promise<string> {
  return new Promise(resolve => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.on('error', error => resolve('code' in error ? String(error.code) : error.message));
    socket.on('connect', () => {
      socket.destroy();
      resolve('accepted');
    });
  });
}

async function instance(stack: Containers): Promise<unknown> {
  return (await stack.ask('/version'))['instance_id'];
}

function pick(state: State, wanted: Partial<State>): Partial<State> {
  return Object.fromEntries(Object.entries(state).filter(([name]) => name in wanted));
}
