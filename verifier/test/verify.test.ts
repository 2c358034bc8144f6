// verify as an operator runs it: whom it asks, what it says of what it found.
import assert from 'node:assert/strict';
import { appendFile, readdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { openHonest } from './honest.ts';
import { assertTap, fate, openHonestWorld, openWorld, plainFacts, promisesOf, runVerify } from './running.ts';
import type { Run } from './running.ts';

const served = 'reachable yes · alive yes · versioned yes · ready yes · usable yes · lasting skipped';
const unseen = 'listening skipped · published skipped';
const allYes = `# verdict: ${unseen} · ${served} · contained`;
const rehearsal = ' · rehearsal on plain processes: the specified runtime was not looked at';
const dbDown = { node: 'control', fault: 'db-down', since: '2026-01-02T03:04:05Z' } as const;

async function openSocket(t: TestContext, serve: (socket: Socket) => void): Promise<string> {
  const sockets: Socket[] = [];
  const server = createServer(socket => { sockets.push(socket); serve(socket); });
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve); });
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('an honest service is green, and what no platform knows about it is a skip with its reason', async t => {
  const { world } = await openHonestWorld(t);
  const run = await runVerify(world.env);
  assert.equal(run.code, 0, run.stdout);
  assertTap(run);
  assert.equal(run.stderr, '');
  assert.equal(run.verdict, `${allYes} skipped${rehearsal}`);
  const skipped = run.points.filter(({ skip }) => skip !== undefined);
  assert.ok(skipped.length > 10);
  const [first, ...others] = skipped.filter(({ skip }) => skip !== 'nothing contains them');
  assert.deepEqual([first?.id.check, others], ['promises-kept', []]);
  assert.equal((await promisesOf(world)).length, 15);
});

test('every claim may be reworded: ids, verdict and exit code stay the same', async t => {
  const { service, world } = await openHonestWorld(t);
  const other = await openHonest(reply => reply, { git_sha: 'decaf'.repeat(8) });
  t.after(() => other.close());
  const { up } = world;
  const worlds: [name: string, change: () => void, more?: Record<string, string>][] = [
    ['all well', () => undefined],
    ['strict', () => undefined, { STRICT: '1' }],
    ['not up', () => { world.up = []; }],
    ['two nodes, two commits', () => { world.up = [service.target, { ...other.target, node: 'worker1' }]; }],
    ['no database, and a fault', () => { world.up = up; service.database = false; world.faults = [dbDown]; }],
    ['trouble was expected', () => undefined, { EXPECT: 'unready' }],
  ];
  for (const [name, change, more = {}] of worlds) {
    change();
    const env = { ...world.env, ...more, SCALE: '0.2' };
    const [plain, reworded] = await Promise.all([runVerify(env), runVerify({ ...env, REWORDED: '1' })]);
    assert.deepEqual([reworded.code, reworded.verdict], [plain.code, plain.verdict], name);
    const bare = ({ points }: Run) => points.map(({ claim: _, said: _said, error: _error, ...point }) => point);
    assert.deepEqual(bare(reworded), bare(plain), name);
    assert.ok(plain.points.every(({ claim }) => !reworded.points.some(point => point.claim === claim)), name);
  }
});

test('an honest service without its database is green under EXPECT=unready, and gets no promise', async t => {
  const { service, world } = await openHonestWorld(t);
  service.database = false;
  const run = await runVerify({ ...world.env, EXPECT: 'unready' });
  assert.equal(run.code, 0, run.stdout);
  const wanted = allYes.replace('lasting skipped', 'lasting yes');
  assert.equal(run.verdict, `${wanted} skipped · EXPECT=unready${rehearsal}`);
  await assert.rejects(promisesOf(world), /ENOENT/);
});

test('STRICT=1 takes no skip', async t => {
  const { world } = await openHonestWorld(t);
  const run = await runVerify({ ...world.env, STRICT: '1' });
  assert.equal(run.code, 1);
  assertTap(run);
  const strict = served.replace('lasting skipped', 'lasting no');
  assert.equal(run.verdict, `# verdict: listening no · published no · ${strict} · contained no${rehearsal}`);
  assert.match(run.stdout, /not checked: nothing contains them \(STRICT=1 takes no skip\)/);
});

test('an order that is lost between two runs breaks lasting, and names the order', async t => {
  const { service, world } = await openHonestWorld(t);
  assert.equal((await runVerify(world.env)).code, 0);
  const [lost] = [...service.orders.keys()];
  service.orders.delete(lost ?? '');
  const run = await runVerify(world.env);
  assert.equal(run.code, 1);
  assert.match(run.verdict, /usable yes · lasting no · contained –/);
  const sight = new RegExp(`lasting: wanted ${lost} .* as promised, saw 404 order_not_found, as for 1 of 30 orders`);
  assert.match(run.stdout, sight);
});

test('promises older than this start are counted; a ledger that cannot be read is red', async t => {
  const { service, world } = await openHonestWorld(t);
  assert.equal((await runVerify(world.env)).code, 0);
  service.restart();
  const again = await runVerify({ ...world.env, ALL: '1' });
  assert.equal(again.code, 0, again.stdout);
  assert.match(again.verdict, / lasting yes /);
  assert.match(again.stdout, /lasting: 30 orders .*; 15 before the present start of the service; the database's/);
  await appendFile(join(world.folder, 'state/ledger/process-control.jsonl'), 'x\n'.repeat(500));
  const unreadable = await runVerify(world.env);
  assert.match(unreadable.stdout, /lasting: wanted a ledger that can be read, saw 500 unreadable lines in/);
  assert.match(unreadable.verdict, / lasting no /);
});

test('an order that is changed between two runs breaks lasting, and a torn ledger line is reported', async t => {
  const { service, world } = await openHonestWorld(t);
  assert.equal((await runVerify(world.env)).code, 0);
  for (const order of service.orders.values()) order.side = order.side === 'buy' ? 'sell' : 'buy';
  await appendFile(join(world.folder, 'state/ledger/process-control.jsonl'), '{"order_id":"x');
  const run = await runVerify(world.env);
  assert.equal(run.code, 1);
  assert.match(run.stdout, /lasting: wanted .* saw side \w+ for \w+, as for 15 of 30 orders/);
  assert.match(run.stdout, /# .* lasting: .* 1 line torn by a crash/);
});

test('a port that is not held is red at reachable with its reason, and all else is skipped', async t => {
  const closes = await openSocket(t, socket => { socket.on('error', () => socket.destroy()).end(); });
  const resets = await openSocket(t, socket => socket.resetAndDestroy());
  const world = await openWorld(t, []);
  const run = await runVerify({ ...world.env, TARGETS: `${closes},${resets},127.0.0.1:1` });
  assert.equal(run.code, 1);
  assertTap(run);
  const states = 'reachable no · alive – · versioned – · ready – · usable – · lasting – · contained –';
  assert.equal(run.verdict, `# verdict: ${unseen} · ${states}`);
  const sights = [[closes, 'accepted_then_closed'], [resets, 'reset'], ['127.0.0.1:1', 'refused']];
  for (const [target, sight] of sights) {
    assert.ok(run.stdout.includes(`${target} reachable: wanted held, saw ${sight}`), sight);
    assert.equal(fate(run, `${target}/reachable/tcp-held`), 'broken');
  }
  const above = run.points.filter(({ id, held }) => held && !['listening', 'published'].includes(id.rung ?? ''));
  assert.ok(above.length > 0 && above.every(({ blockedBy }) => blockedBy === 'reachable'));
});

test('a port that is held but never answers is reachable and not alive', async t => {
  const hangs = await openSocket(t, socket => { socket.on('error', () => socket.destroy()); });
  const world = await openWorld(t, []);
  const run = await runVerify({ ...world.env, TARGETS: hangs, SCALE: '0.2' });
  assert.match(run.verdict, /^# verdict: .* · reachable yes · alive no · versioned –/);
  assert.match(run.stdout, /alive: wanted 200 .*saw silent after 4\d\d ms/);
});

test('with nothing up it is red as not up, and nothing is sent', async t => {
  const { service, world } = await openHonestWorld(t);
  world.up = [];
  const run = await runVerify(world.env);
  assert.equal(run.code, 1);
  assertTap(run);
  assert.match(run.verdict, /^# verdict: listening no · published – .* contained –$/);
  assert.match(run.stdout, /control listening: wanted a node that is up, saw not up/);
  assert.deepEqual(service.asked, []);
});

test('every node that was asked for is looked at, and one that is not up is red', async t => {
  const { world } = await openHonestWorld(t);
  world.env['NODE'] = 'control worker1';
  const named = await runVerify(world.env);
  delete world.env['NODE'];
  world.memory = { platform: 'process', nodes: ['control', 'worker1'], targets: [] };
  for (const run of [named, await runVerify(world.env)]) {
    assert.equal(run.code, 1);
    assert.equal(fate(run, 'worker1/listening/node-up'), 'broken');
    assert.equal(fate(run, 'control/usable/order-in-query'), 'held');
  }
});

test('two nodes are held to one commit', async t => {
  const { service, world } = await openHonestWorld(t);
  const other = await openHonest(reply => reply, { git_sha: 'decaf'.repeat(8) });
  t.after(() => other.close());
  world.up = [service.target, { ...other.target, node: 'worker1' }];
  const run = await runVerify({ ...world.env, NODE: 'all' });
  assert.equal(run.code, 1);
  assert.deepEqual([fate(run, 'control/versioned/commit'), fate(run, 'worker1/versioned/commit')], ['held', 'broken']);
});

test('two nodes without images are not compared, as plain processes and as strangers', async t => {
  const { service, world } = await openHonestWorld(t);
  const both = [service.target, { ...service.target, node: 'worker1' }];
  world.up = both;
  const plain = await runVerify({ ...world.env, NODE: 'all' });
  assert.equal(fate(plain, 'nodes/contained/one-build'), 'skipped', plain.stdout);
  const { host, port } = service.target;
  world.up = [];
  const strange = await runVerify({ ...world.env, TARGETS: `${host}:${port},localhost:${port}` });
  assert.equal(fate(strange, 'nodes/contained/one-build'), 'skipped', strange.stdout);
});

test('two nodes whose images cannot be seen are not equal', async t => {
  const { service, world } = await openHonestWorld(t);
  const other = await openHonest();
  t.after(() => other.close());
  world.up = [service.target, { ...other.target, node: 'worker1' }];
  let looks = 0;
  // both can be seen while the climb looks, and not when they are compared
  world.facts = node => (looks += 1) > 2 ? { failed: 'no engine' } : plainFacts(node);
  const run = await runVerify({ ...world.env, NODE: 'all' });
  assert.equal(fate(run, 'nodes/contained/one-build'), 'broken');
  assert.match(run.stdout, /saw control: image not seen c0ffee\w+, worker1: image not seen c0ffee/);
});

test('facts that cannot be read are red', async t => {
  const { world } = await openHonestWorld(t);
  world.facts = () => ({ failed: 'docker inspect: {"State":' });
  const run = await runVerify(world.env);
  assert.equal(run.code, 1);
  assert.match(run.verdict, /^# verdict: listening no · published – .* contained – · rehearsal/);
  assert.match(run.stdout, /listening: wanted facts, saw docker inspect: \{"State":/);
});

test('TARGETS are taken at their word, with a ledger of their own and no facts about a stranger', async t => {
  const { service, world } = await openHonestWorld(t);
  world.up = [];
  const run = await runVerify({ ...world.env, TARGETS: `127.0.0.1:${service.target.port}` });
  assert.equal(run.code, 0, run.stdout);
  assert.ok(run.points.some(({ skip }) => skip?.startsWith('this target is no node of ours that is up')));
  assert.deepEqual(await readdir(join(world.folder, 'state/ledger')), [`127.0.0.1_${service.target.port}.jsonl`]);
});

test('a port at which fetch never asks is as good as any', async t => {
  // an address that is nobody else's, so that the port is free
  const service = await openHonest(undefined, {}, { host: '127.6.0.0', port: 6000 });
  t.after(() => service.close());
  const world = await openWorld(t, []);
  const run = await runVerify({ ...world.env, TARGETS: '127.6.0.0:6000' });
  assert.equal(run.code, 0, run.stdout);
  assert.match(run.stdout, /# .* alive: fetch never asks at port 6000/);
});

test('TARGETS need no control at all', async t => {
  const { service, world } = await openHonestWorld(t);
  world.up = new Error('.state cannot be read');
  world.faults = new Error('the undo journal cannot be read');
  const run = await runVerify({ ...world.env, TARGETS: `127.0.0.1:${service.target.port}` });
  assert.equal(run.code, 0, run.stdout + run.stderr);
  // which is no word that there is no fault
  assert.equal(fate(run, 'nodes/journal/readable'), 'skipped');
  assert.equal((await runVerify({ ...world.env, STRICT: '1', TARGETS: '127.0.0.1:1' })).code, 1);
});

test('a fault that was left in place is red, and told with its recovery, though all else holds', async t => {
  const { world } = await openHonestWorld(t);
  world.faults = [dbDown, { node: 'worker2', fault: 'db-hung', since: '2026-01-02T03:04:06Z' }];
  const run = await runVerify(world.env);
  assert.equal(run.code, 1);
  assertTap(run);
  const told = /^not ok 1 - control journal: fault db-down is still in place since [^;]*Z; make recover NODE=control/m;
  assert.match(run.stdout, told);
  assert.deepEqual([fate(run, 'control/journal/db-down'), fate(run, 'worker2/journal/db-hung')], ['broken', 'held']);
  assert.match(run.stdout, /^# first red: control journal: .*drill\.js recover/m);
  assert.match(run.stdout, /^# worker2 journal: .*drill\.js recover/m);
  assert.ok(world.asked.includes('faultsInPlace all'), 'also of nodes that are not looked at');
  assert.equal(run.verdict, `${allYes.replace('verdict: ', 'verdict: journal no · ')} skipped${rehearsal}`);
});

test('the fault of a drill that runs is red too, but nobody is advised to undo it', async t => {
  const { world } = await openHonestWorld(t);
  world.faults = [dbDown];
  await world.setDrills({ control: { pid: 4711, name: 'drill db-down' } });
  const run = await runVerify(world.env);
  assert.equal(run.code, 1);
  assert.match(run.stdout, /^not ok 1 - control journal: .*drill db-down \(pid 4711\) runs/m);
  assert.doesNotMatch(run.stdout, /make recover|drill\.js recover/);
});

test('a fault in place is what EXPECT=unready looks for, so it is reported and not red', async t => {
  const { service, world } = await openHonestWorld(t);
  service.database = false;
  world.faults = [dbDown];
  const run = await runVerify({ ...world.env, EXPECT: 'unready' });
  assert.equal(run.code, 0, run.stdout);
  assert.match(run.stdout, /^# control journal: fault db-down is still in place/m);
});

test('a journal that cannot be read is red, whatever was expected', async t => {
  const { service, world } = await openHonestWorld(t);
  world.faults = new Error('the undo journal .state/journal cannot be read: EACCES');
  const run = await runVerify(world.env);
  assert.deepEqual([run.code, fate(run, 'nodes/journal/readable')], [1, 'broken']);
  assert.match(run.stdout, /the undo journal .* cannot be read: EACCES/);
  service.database = false;
  assert.equal((await runVerify({ ...world.env, EXPECT: 'unready' })).code, 1);
});
