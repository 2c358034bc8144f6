// Every fault of the container platform is what it is called; injected and recovered twice, it leaves a sound system.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import test from 'node:test';
import { missing, openContainers, succeeded } from './docker-stack.ts';
import type { Containers } from './docker-stack.ts';

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
      for (const time of ['first', 'second']) succeeded(await stack.platform('inject', fault), `${time} inject ${fault}`);
      await soon(async () => pick(await look(stack), is), is);
      for (const time of ['first', 'second']) succeeded(await stack.platform('recover', fault), `${time} recover ${fault}`);
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
    assert.equal((await stack.docker('ps', '-aq', '--filter', `name=${stack.project}-control-refused`)), '');
  });
  await t.test('recover without a name mends everything, and starts nothing on a node that was halted', async () => {
    for (const fault of ['db-hung', 'port-closed', 'service-down']) succeeded(await stack.platform('inject', fault), fault);
    succeeded(await stack.platform('recover'), 'recover');
    await soon(async () => (await look(stack)).ready, 200);
    succeeded(await stack.platform('halt'), 'halt');
    succeeded(await stack.platform('recover'), 'recover after halt');
    assert.deepEqual([(await look(stack)).api, (await look(stack)).db], ['exited', 'exited']);
  });
});

async function look(stack: Containers): Promise<State> {
  const [api = '', db = ''] = (await stack.docker('inspect', '--format', '{{.State.Status}}', `${stack.project}-control-api-1`, `${stack.project}-control-db-1`)).split('\n');
  return { api, db, tcp: await dial(stack.port), health: await status(stack, '/health'), ready: await status(stack, '/ready') };
}

function dial(port: number): Promise<string> {
  return new Promise(resolve => {
    const socket = connect({ host: '127.0.0.1', port }).on('error', error => resolve('code' in error ? String(error.code) : error.message));
    socket.on('connect', () => { socket.destroy(); resolve('accepted'); });
  });
}

async function status(stack: Containers, path: string): Promise<number> {
  const gone = new AbortController();
  const late = setTimeout(() => gone.abort(), 3_000);
  try {
    const answer = await fetch(`http://127.0.0.1:${stack.port}${path}`, { signal: gone.signal, headers: { connection: 'close' } });
    await answer.text();
    return answer.status;
  } catch {
    return 0; // no answer is the finding
  } finally {
    clearTimeout(late);
  }
}

async function instance(stack: Containers): Promise<unknown> {
  return (await stack.ask('/version'))['instance_id'];
}

function pick(state: State, wanted: Partial<State>): Partial<State> {
  return Object.fromEntries(Object.entries(state).filter(([name]) => name in wanted));
}

/** Looks again until it is so; late is a failure that shows the last thing seen. */
async function soon(see: () => Promise<unknown>, wanted: unknown): Promise<void> {
  const end = performance.now() + 30_000;
  for (;;) {
    const seen = await see();
    try {
      assert.deepEqual(seen, wanted);
      return;
    } catch (error) {
      if (performance.now() > end) throw error;
      await pause(100);
    }
  }
}
