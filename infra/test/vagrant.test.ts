// The VM platform's verbs: what is called, in which order, and how often. Real VMs are the business of vagrant/lab.
import assert from 'node:assert/strict';
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import type { Outcome } from '../platform.ts';
import { openArchives } from '../vagrant/ship.ts';
import { openHost } from './vagrant-fakes.ts';

const done = { done: undefined };
const failureOf = (outcome: Outcome<unknown>) => (
  'failed' in outcome ? outcome.failed : assert.fail(JSON.stringify(outcome))
);
const stackUp = (node: string, image = 'aa') =>
  `${node}: docker up orders:sha256-${image} orders-stand-in/database:sha256-bb at 127.0.0.1`;

test('up starts the machine, ships the files and the images, starts the stack, and marks its target', async t => {
  const { vagrant, calls, sshCalls, said, control, folder, port } = await openHost(t);
  assert.deepEqual(await vagrant().up([control]), done);
  const called = await calls();
  // archived while the machine boots
  const saves = called.filter(call => call.includes(' save ')).toSorted();
  assert.deepEqual(saves, [
    'host: docker save orders-stand-in/database:sha256-bb', 'host: docker save orders:sha256-aa',
  ]);
  assert.deepEqual(called.filter(call => !call.includes(' save ')), [
    'host: docker images',
    'vagrant up --provision control',
    'vagrant ssh-config control',
    'session control',
    'control: docker load orders:sha256-aa',
    'control: docker load orders-stand-in/database:sha256-bb',
    stackUp('control'),
  ]);
  assert.equal(await sshCalls(), 8, 'the session, its name, the files, two images, and the three of the stack');
  assert.deepEqual(await vagrant().targets([control]), [{ node: 'control', host: '127.0.0.1', port }]);
  for (const file of ['docker-compose.yml', 'role.sh']) await stat(join(folder, 'vm/control/infra', file));
  assert.equal((await stat(join(folder, 'vm/control/infra/role.sh'))).mode & 0o777, 0o755);
  const told = said();
  assert.match(told, /^control: up$/m, 'the steps of Vagrant are shown');
  assert.doesNotMatch(told, /Memory|progress/);
});

test('a second up sends no image again and keeps the settings of the VM', async t => {
  const { vagrant, calls, sshCalls, control, folder } = await openHost(t);
  await vagrant().up([control]);
  await writeFile(join(folder, 'vm/control/infra/gone'), 'not shipped any more');
  await calls();
  await sshCalls();
  assert.deepEqual(await vagrant().up([control]), done);
  const called = await calls();
  assert.deepEqual(called.filter(call => /load|save/.test(call)), []);
  assert.equal(called.filter(call => call.startsWith('session')).length, 1, 'one session, begun again');
  assert.equal(await sshCalls(), 6);
  await assert.rejects(stat(join(folder, 'vm/control/infra/gone')), { code: 'ENOENT' });
});

test('the settings that a stack has written survive the files that arrive', async t => {
  const { vagrant, control, folder, set } = await openHost(t);
  await vagrant().up([control]);
  await writeFile(join(folder, 'vm/control/infra/.env'), 'KEPT=1');
  await set('image', 'dd');
  await set('save-fails', 'yes');
  await vagrant().up([control]);
  assert.equal(await readFile(join(folder, 'vm/control/infra/.env'), 'utf8'), 'KEPT=1');
});

test('a machine that is there is provisioned again only when the provisioner changed', async t => {
  const { vagrant, calls, control, folder, set } = await openHost(t);
  const ups = async () => (await calls()).filter(call => call.startsWith('vagrant up'));
  await vagrant().up([control]);
  assert.deepEqual(await ups(), ['vagrant up --provision control']);
  await vagrant().up([control]);
  assert.deepEqual(await ups(), ['vagrant up control']);
  await writeFile(join(folder, 'vagrant/provision.sh'), 'changed');
  await set('fails', 'up');
  await vagrant().up([control]);
  await set('fails', '');
  await vagrant().up([control]);
  assert.deepEqual(await ups(), ['vagrant up --provision control', 'vagrant up --provision control']);
});

test('a changed service is all that is sent, and of its archives the last one is kept', async t => {
  const { vagrant, calls, control, folder, set } = await openHost(t);
  await vagrant().up([control]);
  await calls();
  await set('image', 'cc');
  assert.deepEqual(await vagrant().up([control]), done);
  const sent = (await calls()).filter(call => /load|save/.test(call));
  assert.deepEqual(sent, ['host: docker save orders:sha256-cc', 'control: docker load orders:sha256-cc']);
  const archives = await readdir(join(folder, 'state/vagrant/images'));
  assert.deepEqual(archives.sort(), ['orders-sha256-cc.tar.gz', 'orders-stand-in-database-sha256-bb.tar.gz']);
});

test('a save that failed leaves no archive behind, and the next up makes one', async t => {
  const { vagrant, calls, control, folder, set } = await openHost(t);
  await set('save-fails', 'yes');
  assert.match(failureOf(await vagrant().up([control])), /control: .*archived.*no space left/);
  assert.deepEqual(await readdir(join(folder, 'state/vagrant/images')), []);
  assert.deepEqual(await vagrant().targets([control]), []);
  await set('save-fails', '');
  await calls();
  assert.deepEqual(await vagrant().up([control]), done);
  assert.equal((await calls()).filter(call => call.includes(' save ')).length, 2);
});

test('an archive that cannot be loaded is made again by the next up', async t => {
  const { vagrant, control, folder } = await openHost(t);
  await vagrant().up([control]);
  await rm(join(folder, 'images.control'));
  await writeFile(join(folder, 'state/vagrant/images/orders-sha256-aa.tar.gz'), 'half of it');
  assert.match(failureOf(await vagrant().up([control])), /control: .*could not be loaded/);
  assert.deepEqual(await vagrant().up([control]), done);
});

test('an archive that several nodes ask for at once is made once', async t => {
  const { context, calls, folder } = await openHost(t);
  const archives = openArchives(context(), context().local, join(folder, 'state/images'));
  const [one, other] = await Promise.all([archives('orders:sha256-aa'), archives('orders:sha256-aa')]);
  assert.deepEqual(one, other);
  assert.equal((await calls()).length, 1);
  assert.deepEqual(await archives('postgres:17@sha256:bb'), done, 'what a registry has is fetched from there');
});

test('two nodes get the same archive, which is made once', async t => {
  const { vagrant, calls, control, worker1, port } = await openHost(t);
  assert.deepEqual(await vagrant().up([control, worker1]), done);
  const called = await calls();
  assert.equal(called.filter(call => call.includes('save orders:')).length, 1);
  for (const node of ['control', 'worker1']) assert.ok(called.includes(`${node}: docker load orders:sha256-aa`));
  assert.deepEqual(called.filter(call => call.startsWith('vagrant')), [
    'vagrant up --provision control worker1', 'vagrant ssh-config control worker1',
  ]);
  assert.deepEqual(await vagrant().targets([control, worker1]), [
    { node: 'control', host: '127.0.0.1', port }, { node: 'worker1', host: '127.0.0.1', port },
  ]);
});

test('without an engine here the image is built in the first VM, and only the others are sent it', async t => {
  const { vagrant, calls, control, worker1, set } = await openHost(t);
  await set('no-engine', 'yes');
  assert.deepEqual(await vagrant().up([control]), done);
  assert.deepEqual((await calls()).filter(call => /load|save/.test(call)), [], 'nobody else needs an archive');
  assert.deepEqual(await vagrant().up([control, worker1]), done);
  const called = await calls();
  assert.ok(called.includes('control: docker images'));
  assert.deepEqual(called.filter(call => call.includes('orders:') && /load|save/.test(call)), [
    'control: docker save orders:sha256-aa', 'worker1: docker load orders:sha256-aa',
  ]);
});

test('a node that fails is reported by its name, and the others go on', async t => {
  const { vagrant, calls, said, control, worker1, port, set } = await openHost(t);
  await set('fails', 'up control');
  const failed = failureOf(await vagrant().up([control, worker1]));
  assert.match(failed, /^control: its machine did not come up/);
  assert.doesNotMatch(failed, /worker1/);
  assert.match(said(), /control is broken/);
  assert.deepEqual((await calls()).filter(call => call.startsWith('vagrant up')), [
    'vagrant up --provision control worker1', 'vagrant up --provision control', 'vagrant up --provision worker1',
  ]);
  assert.deepEqual(await vagrant().targets([control, worker1]), [{ node: 'worker1', host: '127.0.0.1', port }]);
  await set('fails', '');
  await set('stack.worker1', 'refused');
  assert.equal(failureOf(await vagrant().up([control, worker1])), 'worker1: not ready in time');
  const names = (await vagrant().targets([control, worker1])).map(({ node }) => node);
  assert.deepEqual(names, ['control'], 'a node on which nothing is left running is no target any more');
});

for (const verb of ['halt', 'destroy'] as const) {
  test(`${verb} stops the services before the machines, says so, and may run twice`, async t => {
    const { vagrant, calls, sshCalls, said, control, worker1, folder } = await openHost(t);
    const both = [control, worker1];
    await vagrant().up(both);
    await calls();
    await sshCalls();
    said();
    assert.deepEqual(await vagrant()[verb](both), done);
    const called = await calls();
    assert.deepEqual([called[0], ...called.slice(1, 3).toSorted(), ...called.slice(3)], [
      'vagrant status --machine-readable', 'control: docker halt at 127.0.0.1', 'worker1: docker halt at 127.0.0.1',
      verb === 'halt' ? 'vagrant halt control worker1' : 'vagrant destroy -f control worker1',
    ]);
    assert.equal(await sshCalls(), 2, 'one for each node');
    assert.match(said(), /control: stopping the services\n[^]*(stopping|removing) the machines/);
    assert.deepEqual(await vagrant().targets(both), []);
    await assert.rejects(stat(join(folder, 'state/vagrant/control.session')), { code: 'ENOENT' });
    assert.deepEqual(await vagrant()[verb](both), done);
    assert.match(said(), verb === 'halt' ? /control: its machine is down already/ : /control: has no machine/);
    if (verb === 'destroy') await assert.rejects(stat(join(folder, 'state/vagrant')), { code: 'ENOENT' });
  });
}

test('a machine that went down behind our back is no error for halt, and up brings it back', async t => {
  const { vagrant, control, worker1, machine, port } = await openHost(t);
  await vagrant().up([control]);
  await machine('control', 'poweroff');
  const unseen = failureOf(await vagrant().facts(control));
  assert.match(unseen, /control does not answer over SSH.*make up.*no route to host/);
  assert.match(failureOf(await vagrant().faults['db-down'].inject(control)), /does not answer/);
  await assert.rejects(vagrant().faults['db-down'].inPlace(control), /does not answer/, 'not to be seen is no absence');
  assert.deepEqual(await vagrant().halt([control]), done);
  assert.equal(await vagrant().faults['db-down'].inPlace(control), false, 'a halted machine is not asked');
  assert.deepEqual(await vagrant().up([control]), done);
  assert.deepEqual(await vagrant().status([control, worker1]), [
    { node: 'control', line: `control  machine running  api running  127.0.0.1:${port}`, runs: true },
    { node: 'worker1', line: 'worker1  machine not created', runs: false },
  ]);
});

test('a machine that runs but does not answer is shown so by status, and halted all the same', async t => {
  const { vagrant, control, folder, said } = await openHost(t);
  await vagrant().up([control]);
  await vagrant().halt([control]);
  // booted by hand, and its way in is not known
  await writeFile(join(folder, 'machine.control'), 'running');
  await writeFile(join(folder, 'state/vagrant/control.ssh'), '');
  const [{ line, runs } = { line: '', runs: true }] = await vagrant().status([control]);
  assert.match(line, /^control {2}machine running {2}but no stack answers/);
  assert.equal(runs, false);
  said();
  assert.deepEqual(await vagrant().halt([control]), done);
  assert.match(said(), /does not answer over SSH.*shutdown will/);
});

test('a machine that does not start is a failure with its reason, and no target', async t => {
  const { vagrant, said, control, set } = await openHost(t);
  await set('fails', 'up');
  assert.match(failureOf(await vagrant().up([control])), /^control: its machine did not come up.*RUNBOOK/);
  assert.match(said(), /nothing works today/);
  assert.deepEqual(await vagrant().targets([control]), []);
});

test('what cannot be read of the machines is a failure that quotes it', async t => {
  const { vagrant, control, set } = await openHost(t);
  await vagrant().up([control]);
  await set('prints', 'Segmentation fault at 0xdeadbeef');
  assert.match(failureOf(await vagrant().halt([control])), /0xdeadbeef/);
  assert.match(failureOf(await vagrant().destroy([control])), /0xdeadbeef/);
  await assert.rejects(vagrant().status([control]), /0xdeadbeef/);
  assert.equal((await vagrant().targets([control])).length, 1, 'nothing was stopped, nothing was forgotten');
});

test('a stack that is not ready is a failure, and a target only if it was one before and still runs', async t => {
  const { vagrant, control, set } = await openHost(t);
  await set('stack.control', 'silent');
  assert.equal(failureOf(await vagrant().up([control])), 'control: not ready in time');
  assert.deepEqual(await vagrant().targets([control]), []);
  await set('stack.control', '');
  await vagrant().up([control]);
  await set('stack.control', 'silent');
  assert.equal(failureOf(await vagrant().up([control])), 'control: not ready in time');
  assert.equal((await vagrant().targets([control])).length, 1);
});

test('another port is remembered until destroy, and is where the node is looked for', async t => {
  const { vagrant, control, port } = await openHost(t);
  await vagrant().up([control]);
  const target = [{ node: 'control', host: '127.0.0.1', port }];
  const otherwise = vagrant({ ORDERS_PORT: '9', ORDERS_PROJECT: 'another', ORDERS_OVERRIDE: '/on/this/host' });
  assert.deepEqual(await otherwise.targets([control]), target);
  assert.match(failureOf(await otherwise.facts(control)), new RegExp(`/vm/control, of port ${port}, given nothing$`));
  await vagrant().halt([control]);
  await vagrant({ ORDERS_PORT: '' }).up([control]);
  assert.deepEqual(await vagrant({ ORDERS_PORT: '' }).targets([control]), target);
});

test('outcomes of the VM come through, and settings and arguments reach it letter by letter', async t => {
  const { vagrant, calls, sshCalls, control } = await openHost(t);
  await vagrant({ LOG_LEVEL: "a 'b' $c" }).up([control]);
  assert.match((await calls()).at(-1) ?? '', /bb a 'b' \$c at 127/);
  await sshCalls();
  const { faults, mend, logs } = vagrant();
  assert.deepEqual(await faults['port-dropped'].inject(control), { impossible: 'no packet filter' });
  assert.deepEqual(await faults['drain'].inject(control), { done: [{ exit: 0, ms: 1, stderr: '' }] });
  assert.equal(await sshCalls(), 1, 'the session is the one of up');
  await faults['config-refused'].inject(control, [{ variable: "it's; $HOME `ls`", how: 'missing' }]);
  await faults['db-down'].recover(control);
  await mend(control);
  const lines: string[] = [];
  assert.deepEqual(await logs([control], line => lines.push(line)), done);
  assert.deepEqual(lines, ['control api | a line']);
  assert.deepEqual(await calls(), [
    'inject drain', "inject config-refused it's; $HOME `ls` missing", 'recover db-down up', 'mend up', 'logs',
  ].map(call => `control: docker ${call} at 127.0.0.1`));
});
