// A stack that is only half there is brought back by one `up`, which does not stop what lives, whatever its trouble.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import test from 'node:test';
import { missing, openContainers, soon, succeeded } from './docker-stack.ts';
import type { Containers } from './docker-stack.ts';
import { root, runIn } from './stack.ts';

test('one up brings back', { skip: missing }, async t => {
  const stack = await openContainers(t);
  const { api, db, docker, project } = stack;
  succeeded(await stack.platform('up'), 'up');
  const networks = [`${project}_front`, `${project}_private`];
  const cutOff = async () => {
    await docker('network', 'disconnect', '-f', `${project}_front`, api);
    for (const box of [api, db]) await docker('network', 'disconnect', '-f', `${project}_private`, box);
  };

  const harms: { lost: string; harm: () => Promise<unknown>; process?: 'same' }[] = [
    { lost: 'the container of the service', harm: () => docker('rm', '-f', api) },
    { lost: 'the container of the database', harm: () => docker('rm', '-f', db), process: 'same' },
    { lost: 'a database that is off its network', process: 'same',
      harm: () => docker('network', 'disconnect', `${project}_private`, db) },
    { lost: 'networks, with both containers running', harm: async () => {
      await cutOff();
      await docker('network', 'rm', ...networks);
    }, process: 'same' },
    { lost: 'networks, with both containers stopped', harm: async () => {
      await docker('stop', api, db);
      await docker('network', 'rm', ...networks);
    } },
    { lost: 'a port whose forwarder was killed', harm: () => killForwarder(stack.port), process: 'same' },
    { lost: 'data that were given to another user', harm: async () => {
      await docker('stop', db);
      await docker('run', '--rm', '--user', '0', '--entrypoint', 'chown', '--volume', `${project}_data:/data`,
        (await docker('inspect', '--format', '{{.Image}}', db)).trim(), '-R', '0:0', '/data');
    } },
    { lost: 'secrets, with one container that took new ones', harm: async () => {
      await rm(join(stack.state, 'docker/control/secrets'), { recursive: true });
      succeeded(await stack.platform('up'), 'up without secrets');
      await docker('restart', api);
    } },
    { lost: 'containers that were killed with their engine', harm: () => docker('kill', api, db) },
  ];
  for (const { lost, harm, process } of harms) {
    await t.test(lost, async () => {
      const order = await stack.ask('/order?symbol=BTC&side=buy&qty=1', 'POST');
      const before = await instance(stack);
      await harm();
      const began = performance.now();
      succeeded(await stack.platform('up'), `up without ${lost}`);
      const ms = performance.now() - began;
      assert.ok(ms < 20_000 * Number(stack.env['SCALE'] ?? 1), `${ms} ms, as if somebody had not heard a signal`);
      assert.equal(await stack.status('/ready'), 200);
      assert.deepEqual(await stack.ask(`/orders/${order['order_id']}`), order);
      if (process === 'same') assert.equal(await instance(stack), before);
    });
  }
  await t.test('a volume that has gone, saying so', async () => {
    await docker('rm', '-f', api, db);
    await docker('volume', 'rm', `${project}_data`);
    const run = await stack.platform('up');
    succeeded(run, 'up without a volume');
    assert.match(run.stderr, /the volume of the database has gone, and every order with it/);
    assert.equal(await stack.status('/ready'), 200);
  });
});

test('recover repairs a database off its network, and does not wait for a killed one', { skip: missing }, async t => {
  const stack = await openContainers(t);
  const { db, docker, project } = stack;
  succeeded(await stack.platform('up'), 'up');
  await docker('network', 'disconnect', `${project}_private`, db);
  await soon(() => stack.status('/ready'), 503);
  succeeded(await stack.platform('recover'), 'recover');
  await soon(() => stack.status('/ready'), 200);

  // 100 ms, 200, 400, …: the engine doubles its pause with every end, up to a minute
  const running = () => docker('inspect', '--format', '{{.State.Status}}', db);
  for (let kill = 1; kill <= 7; kill += 1) {
    await soon(running, 'running\n');
    succeeded(await stack.platform('inject', 'db-killed'), `kill ${kill}`);
  }
  assert.equal(await running(), 'restarting\n');
  succeeded(await stack.platform('recover', 'db-killed'), 'recover');
  const times = await docker('inspect', '--format', '{{.State.FinishedAt}} {{.State.StartedAt}}', db);
  const [from = '', to = ''] = times.trim().split(' ');
  const ms = Date.parse(to) - Date.parse(from);
  assert.ok(ms < 5_000, `it was down for ${ms} ms, the engine alone would have waited for 6400`);
});

test('a failing up for another reason stops nothing that ran', { skip: missing }, async t => {
  const stack = await openContainers(t);
  succeeded(await stack.platform('up'), 'up');
  const before = await instance(stack);
  const { code, stderr } = await stack.upWith('services: { other: { image: "orders-test:was-never-built" } }');
  assert.equal(code, 1);
  assert.match(stderr, /Compose could not start the stack: [^;]*other[^;]*; what ran of control is left running/);
  assert.equal(await instance(stack), before);
  assert.equal(await stack.status('/ready'), 200);
  assert.equal(succeeded(await stack.platform('targets'), 'targets'), `control 127.0.0.1:${stack.port}\n`);
});

test('up to a port that another program has costs neither the service nor its port', { skip: missing }, async t => {
  const stack = await openContainers(t);
  succeeded(await stack.platform('up'), 'up');
  const taken = createServer().listen(0, '127.0.0.1');
  t.after(() => taken.close());
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  const there = { ...stack.env, ORDERS_PORT: String(port) };
  const { code, stderr } = await runIn(there, join(root, 'infra/control'), ['up']);
  assert.equal(code, 1);
  assert.match(stderr, /address already in use; what ran of control runs again with the settings that it had/);
  await soon(() => stack.status('/ready'), 200);
  const plain = await runIn({ ...stack.env, ORDERS_PORT: '' }, join(root, 'infra/control'), ['up']);
  succeeded(plain, 'up without a port');
  assert.equal(succeeded(await stack.platform('targets'), 'targets'), `control 127.0.0.1:${stack.port}\n`);
});

test('a database that ends again and again is blamed, and nothing of it is left', { skip: missing }, async t => {
  const stack = await openContainers(t);
  const { code, stderr } = await stack.upWith('services: { db: { command: [postgres, -c, "no_such_setting=1"] } }');
  assert.equal(code, 1);
  assert.match(stderr, /database ends again and again; nothing of control was left running; the last lines of db:\n/);
  assert.match(stderr, /no_such_setting/);
  assert.equal(await stack.docker('ps', '-q', '--filter', `label=com.docker.compose.project=${stack.project}`), '');
});

test('a container without a health check breaks neither facts nor status', { skip: missing }, async t => {
  const stack = await openContainers(t);
  succeeded(await stack.upWith('services: { api: { healthcheck: { disable: true } } }'), 'up');
  assert.equal(JSON.parse(succeeded(await stack.platform('facts'), 'facts')).api.health, null);
  const line = succeeded(await stack.platform('status', 'control'), 'status');
  const db = 'db running \\((starting|healthy)\\)';
  assert.match(line, new RegExp(`^control  api running  ${db}  127\\.0\\.0\\.1:${stack.port}\n$`));
});

test('a service whose event loop hangs ends by its own watchdog, and is started again', { skip: missing }, async t => {
  const stack = await openContainers(t, { WATCHDOG_MS: '1000' });
  const hang = 'data:text/javascript,process.on("SIGUSR2", () => { for (;;); })';
  const command = JSON.stringify(['--import', hang, '/app/service/main.js']);
  succeeded(await stack.upWith(`services: { api: { command: ${command} } }`), 'up');
  const before = await instance(stack);
  // from inside: what `docker kill` has sent a signal to is not started again by engine 20.10
  await stack.docker('exec', stack.api, '/nodejs/bin/node', '-e', 'process.kill(1, "SIGUSR2")');
  await soon(async () => await stack.status('/ready') === 200 && await instance(stack) !== before, true);
  assert.match(await stack.docker('logs', stack.api), /"event":"event_loop_hung","ms":1000\}/);
  assert.equal(await stack.docker('inspect', '--format', '{{.RestartCount}}', stack.api), '1\n');
});

async function instance(stack: Containers): Promise<unknown> {
  return (await stack.ask('/version'))['instance_id'];
}

/** Only the program that forwards this very port. */
async function killForwarder(port: number): Promise<void> {
  const pids = (await readdir('/proc')).filter(name => /^\d+$/.test(name));
  let killed = 0;
  for (const pid of pids) {
    const [program = '', ...args] = (await readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '')).split('\0');
    if (!program.endsWith('docker-proxy') || args[args.indexOf('-host-port') + 1] !== String(port)) continue;
    process.kill(Number(pid), 'SIGKILL');
    killed += 1;
  }
  assert.ok(killed > 0, `nothing forwards ${port}`);
}
