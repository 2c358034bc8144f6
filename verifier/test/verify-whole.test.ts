// verify looks at all there is, and sees to it: every node, each system once, every planned check.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextSteps } from '../checks/next-steps.ts';
import { fate, openHonestWorld, runVerify } from './running.ts';

test('all nodes are those that were asked for at up: one that is not up is named, and red', async t => {
  const { world } = await openHonestWorld(t);
  world.env['NODE'] = 'all';
  world.memory = { platform: 'process', nodes: ['control', 'worker1'], targets: [] };
  const run = await runVerify(world.env);
  assert.deepEqual([run.code, fate(run, 'worker1/listening/node-up')], [1, 'broken']);
  assert.equal(fate(run, 'worker2/listening/node-up'), 'not there', 'nobody has asked for it');
  world.memory = undefined;
  world.up = [];
  assert.equal(fate(await runVerify(world.env), 'all/listening/node-up'), 'broken');
});

test('one system behind several addresses is not taken for several', async t => {
  const { service, world } = await openHonestWorld(t);
  const { port } = service.target;
  const TARGETS = [`127.0.0.1:${port}`, `127.1:${port}`, `0x7f.1:${port}`].join();
  const once = await runVerify({ ...world.env, TARGETS });
  assert.deepEqual([once.code, new Set(once.points.map(({ id }) => id.node)).size], [0, 1], once.stdout);
  const twice = await runVerify({ ...world.env, TARGETS: `127.0.0.1:${port},localhost:${port}` });
  assert.deepEqual([twice.code, fate(twice, 'nodes/contained/instances-apart')], [1, 'broken']);
});

test('a check or a rung that the code leaves out is red and named', async t => {
  const { service, world } = await openHonestWorld(t);
  const one = await runVerify({ ...world.env, LEAVE_OUT: 'usable/unknown-order' });
  assert.equal(one.code, 1);
  assert.match(one.stdout, /^# 1 planned check did not run: control usable unknown-order$/m);
  assert.match(one.verdict, /^# verdict: red · /);
  const rung = await runVerify({ ...world.env, LEAVE_OUT: 'lasting' });
  assert.equal(rung.code, 1);
  assert.match(rung.stdout, /^# 1 planned check did not run: control lasting promises-kept$/m);
  world.up = [service.target, { ...service.target, node: 'worker1' }];
  const both = await runVerify({ ...world.env, NODE: 'all', LEAVE_OUT: 'contained/one-build' });
  assert.match(both.stdout, /planned check did not run: nodes contained one-build$/m);
});

test('the first red is repeated above the verdict, with what to do next', async t => {
  const { service, world } = await openHonestWorld(t);
  service.database = false;
  const run = await runVerify({ ...world.env, SCALE: '0.1' });
  const [first, next] = run.stdout.trimEnd().split('\n').slice(-3);
  assert.match(first ?? '', /^# first red: control ready: .*wanted 200, saw 503/);
  assert.equal(next, `# next: ${nextSteps.ready}`);
});

