// Every machine online, with a stack or without one, and what each tells of itself.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import type { TestContext } from 'node:test';
import { openHost } from './vagrant-fakes.ts';

const done = { done: undefined };

test('up brings every machine online, tells it of each, and starts a stack only where it was asked for', async t => {
  const { vagrant, calls, sshCalls, said, control, worker1, folder, port } = await openHost(t);
  assert.deepEqual(await vagrant().up([control], [control, worker1]), done);
  const called = await calls();
  assert.deepEqual(called.filter(call => /^vagrant|docker up/.test(call)), [
    'vagrant up --provision control worker1', 'vagrant ssh-config control worker1',
    'control: docker up orders:sha256-aa orders-stand-in/database:sha256-bb at 127.0.0.1',
  ]);
  const told = said();
  for (const node of ['control', 'worker1']) assert.match(told, new RegExp(`^${node}: online after \\d+ s$`, 'm'));
  await sshCalls();
  assert.deepEqual(await vagrant().status([control, worker1]), [
    { node: 'control', line: `control  machine running  api running  127.0.0.1:${port}`, runs: true },
    { node: 'worker1', line: 'worker1  machine running  no stack  127.0.0.1', runs: true },
  ]);
  assert.deepEqual((await vagrant().targets([control, worker1])).map(({ node }) => node), ['control']);
  await vagrant().halt([control, worker1]);
  const asked = await readFile(join(folder, 'ssh-calls'), 'utf8');
  assert.ok(!asked.includes('worker1'), 'nobody asks a machine to stop what it never had');
  assert.ok((await calls()).includes('vagrant halt control worker1'));
});

test('a machine without a stack that does not come up is a failure by its name, and the stacks come up', async t => {
  const { vagrant, control, worker1, set } = await openHost(t);
  await set('fails', 'up worker1');
  const outcome = await vagrant().up([control], [control, worker1]);
  assert.match('failed' in outcome ? outcome.failed : '', /^worker1: its machine did not come up/);
  assert.deepEqual((await vagrant().targets([control, worker1])).map(({ node }) => node), ['control']);
});

test('the connection to a node that is up stays when another is brought up', async t => {
  const { vagrant, calls, control, worker1 } = await openHost(t);
  await vagrant().up([control, worker1]);
  await calls();
  await vagrant().up([control], [control, worker1]);
  assert.deepEqual((await calls()).filter(call => call.startsWith('session')), ['session control']);
});

test('a machine tells of itself, and what answers from in there', async t => {
  const { vagrant, control, port } = await openHost(t);
  await vagrant().up([control]);
  const service = await openService(t, 'HTTP/1.1 200 OK\r\nX: y\r\n\r\n{"instance_id":"one"}');
  const at = (node: string, to: number) => ({ node, host: '127.0.0.1', port: to });
  const told = await vagrant().machine(control, [at('a', service), at('b', port), at('c', 1)]);
  const facts = 'done' in told ? told.done : assert.fail(JSON.stringify(told));
  assert.deepEqual([facts.hostname, facts.address], [hostname(), '127.0.0.1']);
  assert.match(facts.boot_id, /^[0-9a-f-]{36}$/);
  const [a, b, c] = facts.reached;
  assert.deepEqual(a, { node: 'a', status: 200, instance_id: 'one' });
  assert.ok(b !== undefined && 'trouble' in b, 'what is closed at once is no answer');
  assert.match(c !== undefined && 'trouble' in c ? c.trouble : '', /Connection refused/);
});

/** A port that answers every request with this text, and closes. */
function openService(t: TestContext, text: string): Promise<number> {
  const server = createServer(socket => { socket.once('data', () => socket.end(text)); });
  t.after(() => server.close());
  return new Promise(resolve => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}
