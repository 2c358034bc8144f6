// verify as an operator runs it: what it asks, what it prints, how it ends.
import assert from 'node:assert/strict';
import { appendFile, readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { until } from '../until.ts';
import { openHonest } from './honest.ts';
import type { Honest } from './honest.ts';
import { assertTap, collect, openWorld, program, runVerify, startVerify } from './running.ts';
import type { World } from './running.ts';
import { spawn } from 'node:child_process';

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

async function ledgerOf(world: World): Promise<string[]> {
  return (await readFile(join(world.folder, 'state/ledger/process-control.jsonl'), 'utf8')).trim().split('\n');
}

test('an honest service is green, and what no platform tells about it is a skip with its reason', async t => {
  const { world } = await honestWorld(t);
  const run = await runVerify(world.env);
  assert.equal(run.code, 0, run.stdout);
  assertTap(run);
  assert.equal(run.stderr, '');
  assert.equal(run.verdict, `${allYes} skipped`);
  assert.ok(run.points.filter(({ skip }) => skip !== undefined).every(({ skip }) => skip === 'nothing contains them'));
  assert.equal((await ledgerOf(world)).length, 3);
});

test('an honest service without its database is green under EXPECT=unready, and gets no promise', async t => {
  const { service, world } = await honestWorld(t);
  service.database = false;
  const run = await runVerify({ ...world.env, EXPECT: 'unready' });
  assert.equal(run.code, 0, run.stdout);
  assert.equal(run.verdict, `${allYes} skipped · EXPECT=unready`);
  await assert.rejects(ledgerOf(world), /ENOENT/);
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
  const run = await runVerify({ ...world.env, TARGETS: hangs });
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

test('what it cannot understand ends it with 2 and one line that says what would be right', async t => {
  const { world } = await honestWorld(t);
  const bad = { EXPECT: 'red', STRICT: 'yes', SCALE: '0', TARGETS: ',', NODE: 'Control!', PLATFORM: 'podman' };
  for (const [name, value] of Object.entries(bad)) {
    const run = await runVerify({ ...world.env, [name]: value });
    assert.deepEqual([run.code, run.stdout], [2, ''], name);
    assert.match(run.stderr, new RegExp(`^verify: ${name} must be .*, not "${value}"\\n$`));
  }
  assert.match((await runVerify(world.env, ['now'])).stderr, /^verify: no arguments are taken.*\n$/);
});

test('a control that cannot be run or does not answer ends it with 2', async t => {
  const { world } = await honestWorld(t);
  const missing = await runVerify({ ...world.env, CONTROL: '/nowhere/control' });
  assert.deepEqual([missing.code, missing.stdout], [2, '']);
  assert.match(missing.stderr, /^verify: \/nowhere\/control targets .*ENOENT\n$/);
});

test('a reader that hangs up early causes neither crash nor hang', async t => {
  const { world } = await honestWorld(t);
  const child = spawn('/bin/sh', ['-c', '"$0" "$1" | head -n 3', process.execPath, program], { env: { PATH: process.env['PATH'], ...world.env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const run = await collect(child);
  assert.deepEqual([run.code, run.stderr], [0, '']);
  assert.equal(run.stdout.trim().split('\n').length, 3);
  assert.equal((await ledgerOf(world)).length, 3);
});

for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143]] as const) {
  test(`${signal} ends it and all that it started, with ${code}`, async t => {
    const { service, world } = await honestWorld(t, (reply, { path }) => (path === '/ready' ? 'silence' : reply));
    const child = startVerify({ ...world.env, SCALE: '10' });
    const ended = collect(child);
    await until(async () => service.asked.at(-1), last => last === 'GET /ready', 10_000, 20);
    child.kill(signal);
    const run = await ended;
    assert.equal(run.code, code);
    assert.match(run.stdout, new RegExp(`# ended by ${signal} before its plan`));
    await until(async () => service.open(), open => open === 0, 5_000);
  });
}
