// verify as an operator runs it: whom it asks, what it says of what it found.
import assert from 'node:assert/strict';
import { appendFile, readdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { openHonest } from './honest.ts';
import type { Honest } from './honest.ts';
import { assertTap, openWorld, promisesOf, runVerify } from './running.ts';
import type { World } from './running.ts';

const allYes = '# verdict: reachable yes · alive yes · versioned yes · ready yes · usable yes · lasting yes · contained';

async function honestWorld(t: TestContext, ...args: Parameters<typeof openHonest>): Promise<{ service: Honest; world: World }> {
  const service = await openHonest(...args);
  t.after(() => service.close());
  return { service, world: await openWorld(t, [service.target]) };
}

async function openSocket(t: TestContext, serve: (socket: Socket) => void): Promise<string> {
  const sockets: Socket[] = [];
  const server = createServer(socket => { sockets.push(socket); serve(socket); });
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve); });
  t.after(() => { for (const socket of sockets) socket.destroy(); server.close(); });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('an honest service is green, and what no platform tells about it is a skip with its reason', async t => {
  const { world } = await honestWorld(t);
  const run = await runVerify(world.env);
  assert.equal(run.code, 0, run.stdout);
  assertTap(run);
  assert.equal(run.stderr, '');
  assert.equal(run.verdict, `${allYes} skipped`);
  assert.ok(run.points.filter(({ skip }) => skip !== undefined).every(({ skip }) => skip === 'nothing contains them'));
  assert.equal((await promisesOf(world)).length, 3);
});

test('an honest service without its database is green under EXPECT=unready, and gets no promise', async t => {
  const { service, world } = await honestWorld(t);
  service.database = false;
  const run = await runVerify({ ...world.env, EXPECT: 'unready' });
  assert.equal(run.code, 0, run.stdout);
  assert.equal(run.verdict, `${allYes} skipped · EXPECT=unready`);
  await assert.rejects(promisesOf(world), /ENOENT/);
});

test('STRICT=1 takes no skip', async t => {
  const { world } = await honestWorld(t);
  const run = await runVerify({ ...world.env, STRICT: '1' });
  assert.equal(run.code, 1);
  assertTap(run);
  assert.equal(run.verdict, `${allYes} no`);
  assert.match(run.stdout, /not checked: nothing contains them \(STRICT=1 takes no skip\)/);
});

test('an order that is lost between two runs breaks lasting, and names the order', async t => {
  const { service, world } = await honestWorld(t);
  assert.equal((await runVerify(world.env)).code, 0);
  const [lost] = [...service.orders.keys()];
  service.orders.delete(lost ?? '');
  const run = await runVerify(world.env);
  assert.equal(run.code, 1);
  assert.match(run.verdict, /usable yes · lasting no · contained –/);
  assert.match(run.stdout, new RegExp(`lasting: wanted ${lost} .* as promised, saw 404 order_not_found, as for 1 of 6 orders`));
});

test('an order that is changed between two runs breaks lasting, and a torn ledger line is told', async t => {
  const { service, world } = await honestWorld(t);
  assert.equal((await runVerify(world.env)).code, 0);
  for (const order of service.orders.values()) order.side = order.side === 'buy' ? 'sell' : 'buy';
  await appendFile(join(world.folder, 'state/ledger/process-control.jsonl'), '{"order_id":"x');
  const run = await runVerify(world.env);
  assert.equal(run.code, 1);
  assert.match(run.stdout, /lasting: wanted .* saw side \w+ for \w+, as for 3 of 6 orders/);
  assert.match(run.stdout, /# .* lasting: 1 torn or unreadable lines/);
});

test('a port that is not held is red at reachable with its reason, and all else is skipped', async t => {
  const closes = await openSocket(t, socket => { socket.on('error', () => socket.destroy()).end(); });
  const resets = await openSocket(t, socket => socket.resetAndDestroy());
  const world = await openWorld(t, []);
  const run = await runVerify({ ...world.env, TARGETS: `${closes},${resets},127.0.0.1:1` });
  assert.equal(run.code, 1);
  assertTap(run);
  assert.equal(run.verdict, '# verdict: reachable no · alive – · versioned – · ready – · usable – · lasting – · contained –');
  for (const sight of [`${closes} reachable: wanted held, saw accepted_then_closed`, `${resets} reachable: wanted held, saw reset`, '127.0.0.1:1 reachable: wanted held, saw refused']) {
    assert.ok(run.stdout.includes(sight), sight);
  }
  assert.ok(run.points.filter(({ held }) => held).every(({ skip }) => skip === 'blocked by reachable'));
});

test('a port that is held but never answers is reachable and not alive', async t => {
  const hangs = await openSocket(t, socket => { socket.on('error', () => socket.destroy()); });
  const world = await openWorld(t, []);
  const run = await runVerify({ ...world.env, TARGETS: hangs, SCALE: '0.2' });
  assert.match(run.verdict, /^# verdict: reachable yes · alive no · versioned –/);
  assert.match(run.stdout, /alive: wanted 200 .*saw silent after 4\d\d ms/);
});

test('with nothing up it is red as not up, and nothing is sent', async t => {
  const { service, world } = await honestWorld(t);
  await world.tell('targets', '');
  const run = await runVerify(world.env);
  assert.equal(run.code, 1);
  assertTap(run);
  assert.match(run.verdict, /^# verdict: reachable no · alive – .* contained –$/);
  assert.match(run.stdout, /control reachable: wanted a node that is up, saw not up/);
  assert.deepEqual(service.asked, []);
});

test('every node that NODE names is looked at, and one that is not up is red', async t => {
  const { world } = await honestWorld(t);
  const run = await runVerify({ ...world.env, NODE: 'control worker1' });
  assert.equal(run.code, 1);
  assert.match(run.stdout, /not ok \d+ - worker1 reachable: the node is up/);
  assert.match(run.stdout, /^ok \d+ - control lasting: /m);
  assert.deepEqual(new Set((await world.calls()).map(call => call.split(' NODE=')[1])), new Set(['control worker1', 'control']));
});

test('two nodes are held to one commit', async t => {
  const { service, world } = await honestWorld(t);
  const other = await openHonest(reply => reply, { git_sha: 'decaf' });
  t.after(() => other.close());
  await world.tell('targets', `control 127.0.0.1:${service.target.port}\nworker1 127.0.0.1:${other.target.port}\n`);
  const run = await runVerify({ ...world.env, NODE: 'all' });
  assert.equal(run.code, 1);
  assert.match(run.stdout, /not ok \d+ - nodes contained: one image and one commit on control, worker1/);
  assert.match(run.stdout, /saw control: no image c0ffee, worker1: no image decaf/);
});

test('TARGETS are taken at their word, with a ledger of their own and no facts about a stranger', async t => {
  const { service, world } = await honestWorld(t);
  await world.tell('targets', '');
  const run = await runVerify({ ...world.env, TARGETS: `127.0.0.1:${service.target.port}` });
  assert.equal(run.code, 0, run.stdout);
  assert.ok(run.points.some(({ skip }) => skip === 'this target is no node of ours that is up, so nothing tells facts about it'));
  assert.deepEqual(await readdir(join(world.folder, 'state/ledger')), [`127.0.0.1_${service.target.port}.jsonl`]);
});

test('TARGETS need no control executable', async t => {
  const { service, world } = await honestWorld(t);
  const run = await runVerify({ ...world.env, CONTROL: '/nowhere/control', TARGETS: `127.0.0.1:${service.target.port}` });
  assert.equal(run.code, 0, run.stdout + run.stderr);
});

test('a fault that was left in place is red, and told with its recovery, though all else holds', async t => {
  const { world } = await honestWorld(t);
  await world.tell('journal', 'control db-down 2026-01-02T03:04:05Z\nworker2 db-hung 2026-01-02T03:04:06Z\n');
  const run = await runVerify(world.env);
  assert.equal(run.code, 1);
  assertTap(run);
  assert.match(run.stdout, /^not ok 1 - control journal: fault db-down is still in place since 2026-01-02T03:04:05Z; make recover NODE=control/m);
  assert.match(run.stdout, /^ok 2 - worker2 journal: fault db-hung is still in place/m);
  assert.match(run.stdout, /^# control journal: .*drill\.js recover/m);
  assert.equal(run.verdict, `${allYes} skipped`);
});

test('a fault in place is what EXPECT=unready looks for, so it is told and not red', async t => {
  const { service, world } = await honestWorld(t);
  service.database = false;
  await world.tell('journal', 'control db-down 2026-01-02T03:04:05Z\n');
  const run = await runVerify({ ...world.env, EXPECT: 'unready' });
  assert.equal(run.code, 0, run.stdout);
  assert.match(run.stdout, /^# control journal: fault db-down is still in place/m);
});
