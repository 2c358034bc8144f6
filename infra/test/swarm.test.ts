// The platform of a fleet: its verbs, a machine that is cut off its power, and what is left of it all: nothing.
import assert from 'node:assert/strict';
import { copyFile, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { placesOf } from '../swarm/places.ts';
import { readNodes } from '../nodes.ts';
import { processesIn } from '../process/proc.ts';
import { root, runIn } from './stack.ts';
import { lacking } from './tools.ts';

const missing = process.getuid?.() === 0 ? lacking('dockerd', 'docker.io') : 'engines of their own need root';
const title = 'three machines are one swarm, keep orders through halt and a power cut, and leave nothing after destroy';

test(title, { skip: missing }, async t => {
  // a path that has to be quoted everywhere
  const state = await mkdtemp(join(tmpdir(), "orders swarm's "));
  const { NODE_TEST_CONTEXT: _, NODE: _n, TARGETS: _t, ...outside } = process.env;
  const env = { ...outside, PLATFORM: 'swarm', ORDERS_STATE: state };
  const outer = outside['ORDERS_STATE'] ?? join(root, '.state');
  for (const name of ['images.env', 'cluster.env']) {
    await copyFile(join(outer, name), join(state, name)).catch(() => undefined);
  }
  const control = async (...args: string[]) => {
    const run = await runIn(env, join(root, 'infra/control'), args);
    assert.equal(run.code, 0, `${args.join(' ')}: ${run.stderr}`);
    return run.stdout;
  };
  t.after(async () => {
    await runIn(env, join(root, 'infra/control'), ['destroy']);
    await rm(state, { recursive: true, force: true });
  });
  const { bridge, places } = placesOf(state, readNodes(root));
  const [first, , last] = places;
  assert.ok(first !== undefined && last !== undefined);
  const base = `http://${first.address}:8000`;
  const links = async () => (await readdir('/sys/class/net')).filter(name => (
    name === bridge || places.some(({ link }) => link === name)
  ));
  const isOn = (folder: string) => ['tini-static', 'docker-init'].some(name => processesIn(folder, name).length > 0);

  await control('up');
  assert.equal(await control('targets'), `control ${first.address}:8000\n`);
  const facts = JSON.parse(await control('facts')) as { tasks: { service: string; node: string }[]; leaders: string[] };
  for (const service of ['api', 'router']) {
    const nodes = facts.tasks.filter(task => task.service === service).map(({ node }) => node);
    assert.deepEqual(nodes.sort(), ['control', 'worker1', 'worker2'], service);
  }
  assert.equal(facts.leaders.length, 1);
  const answer = await fetch(`${base}/order?symbol=BTC&side=buy&qty=1`, { method: 'POST' });
  const order = await answer.json() as { order_id: string };
  assert.equal(answer.status, 201);
  const read = async () => (await fetch(`${base}/orders/${order.order_id}`)).json();

  for (const { pid } of ['tini-static', 'docker-init'].flatMap(name => processesIn(last.folder, name))) {
    process.kill(pid, 'SIGKILL');
  }
  assert.deepEqual(await read(), order);
  await control('up');
  assert.ok(isOn(last.folder));
  assert.deepEqual(await read(), order);

  await control('halt');
  await control('halt');
  assert.equal(await control('targets'), '');
  assert.ok(places.every(({ folder }) => !isOn(folder)));
  await control('up');
  assert.deepEqual(await read(), order);

  assert.equal((await runIn({ ...env, NODE: 'worker1' }, join(root, 'infra/control'), ['destroy'])).code, 1);
  await control('destroy');
  await control('destroy');
  assert.deepEqual(await links(), []);
  const groups = await runIn(env, 'find', ['/sys/fs/cgroup', '-type', 'd', '-path', `*/${bridge}-*`]);
  assert.equal(groups.stdout, '');
  const rules = await runIn(env, 'sh', ['-c', '! command -v iptables >/dev/null || iptables -w -S FORWARD']);
  assert.equal(rules.code, 0, rules.stderr);
  assert.ok(!rules.stdout.includes(bridge), rules.stdout);
  assert.ok(places.every(({ folder }) => !isOn(folder)));
  await assert.rejects(stat(join(state, 'swarm')), { code: 'ENOENT' });
});
