// The first start of a database whose `up` was killed: what served is kept, what was cut off is made again.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { missing, openContainers, soon } from './docker-stack.ts';
import type { Containers } from './docker-stack.ts';
import { root } from './stack.ts';

test('a first up was killed and the stack served without it: no order is lost', { skip: missing }, async t => {
  const stack = await openContainers(t);
  await killedUp(stack, stack.api);
  await soon(() => stack.status('/ready'), 200);
  const order = await stack.ask('/order?symbol=BTC&side=buy&qty=1', 'POST');
  await access(join(stack.state, 'docker/control/first-start'));
  const { code, stderr } = await stack.platform('up');
  assert.equal(code, 0, stderr);
  assert.deepEqual(await stack.ask(`/orders/${String(order['order_id'])}`), order);
});

test('a first up was killed with its database: that is made again', { skip: missing }, async t => {
  const stack = await openContainers(t);
  await killedUp(stack, stack.db);
  await stack.docker('kill', stack.db);
  const { code, stderr } = await stack.platform('up');
  assert.equal(code, 0, stderr);
  assert.match(stderr, /the first start of the database was cut off, it is made again/);
  assert.equal(await stack.status('/ready'), 200);
  await assert.rejects(access(join(stack.state, 'docker/control/first-start')));
});

/** Killed as soon as this container runs; the database needs seconds to be ready. */
async function killedUp({ env, docker }: Containers, container: string): Promise<void> {
  const up = spawn(join(root, 'infra/control'), ['up'], { env, stdio: 'ignore' });
  await soon(() => docker('ps', '-q', '--filter', `name=^${container}$`).then(ids => ids !== ''), true);
  up.kill('SIGKILL');
}
