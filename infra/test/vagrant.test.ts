// The VM platform's verbs: what is called, in which order, and how often. Real VMs are the business of vagrant/lab.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';
import { root } from './stack.ts';
import { openHost } from './vagrant-fakes.ts';

const run = promisify(execFile);
const both = { NODE: 'control worker1' };

test('up starts the machine, ships the files and the images, starts the stack, and marks its target', async t => {
  const host = await openHost(t);
  const up = await host.vagrant(['up']);
  assert.equal(up.code, 0, up.stderr);
  assert.equal(up.stdout, '');
  const calls = await host.calls();
  // archived while the machine boots
  assert.deepEqual(calls.filter(call => call.includes(' save ')), ['host: docker save orders:sha256-aa', 'host: docker save orders-stand-in/database:sha256-bb']);
  assert.deepEqual(calls.filter(call => !call.includes(' save ')), [
    `host: docker images`,
    'vagrant up --provision control',
    'vagrant ssh-config control',
    'session control',
    'control: docker load orders:sha256-aa',
    'control: docker load orders-stand-in/database:sha256-bb',
    'control: docker up at 127.0.0.1',
  ]);
  assert.equal((await host.vagrant(['targets'])).stdout, `control 127.0.0.1:${host.port}\n`);
  for (const file of ['infra/docker-compose.yml', 'infra/nodes', 'vagrant/nodes.txt']) await stat(join(host.folder, 'vm/control', file));
});

test('a second up sends no image again and keeps the settings of the VM', async t => {
  const host = await openHost(t);
  await host.vagrant(['up']);
  await writeFile(join(host.folder, 'vm/control/infra/.env'), 'KEPT=1');
  await writeFile(join(host.folder, 'vm/control/infra/gone'), 'not shipped any more');
  await host.calls();
  assert.equal((await host.vagrant(['up'])).code, 0);
  const calls = await host.calls();
  assert.deepEqual(calls.filter(call => /load|save/.test(call)), []);
  assert.equal(calls.filter(call => call.startsWith('session')).length, 1, 'one session, begun anew');
  assert.equal(await readFile(join(host.folder, 'vm/control/infra/.env'), 'utf8'), 'KEPT=1');
  await assert.rejects(stat(join(host.folder, 'vm/control/infra/gone')), { code: 'ENOENT' });
});

test('a machine that is there is provisioned again only when the provisioner changed', async t => {
  const host = await openHost(t);
  const ups = async () => (await host.calls()).filter(call => call.startsWith('vagrant up'));
  await host.vagrant(['up']);
  assert.deepEqual(await ups(), ['vagrant up --provision control']);
  await host.vagrant(['up']);
  assert.deepEqual(await ups(), ['vagrant up control']);
  await writeFile(join(host.folder, 'vagrant/provision.sh'), 'changed');
  await host.vagrant(['up'], { FAKE_FAILS: 'up' });
  await host.vagrant(['up']);
  assert.deepEqual(await ups(), ['vagrant up --provision control', 'vagrant up --provision control']);
});

test('a changed service is all that is sent, and of its archives the last one is kept', async t => {
  const host = await openHost(t);
  await host.vagrant(['up']);
  await host.calls();
  assert.equal((await host.vagrant(['up'], { FAKE_IMAGE: 'cc' })).code, 0);
  assert.deepEqual((await host.calls()).filter(call => /load|save/.test(call)), ['host: docker save orders:sha256-cc', 'control: docker load orders:sha256-cc']);
  const archives = await readdir(join(host.folder, 'state/vagrant/images'));
  assert.deepEqual(archives.sort(), ['orders-sha256-cc.tar.gz', 'orders-stand-in-database-sha256-bb.tar.gz']);
});

test('two nodes get the same archive, which is made once', async t => {
  const host = await openHost(t);
  assert.equal((await host.vagrant(['up'], both)).code, 0);
  const calls = await host.calls();
  assert.deepEqual(calls.filter(call => call.includes('save orders:')), ['host: docker save orders:sha256-aa']);
  for (const node of ['control', 'worker1']) assert.ok(calls.includes(`${node}: docker load orders:sha256-aa`));
  assert.deepEqual(calls.filter(call => call.startsWith('vagrant up')), ['vagrant up --provision control worker1']);
  assert.equal((await host.vagrant(['targets'], both)).stdout, `control 127.0.0.1:${host.port}\nworker1 127.0.0.1:${host.port}\n`);
});

test('without an engine here the image is built in the first VM, and only the others are sent it', async t => {
  const host = await openHost(t);
  const up = await host.vagrant(['up'], { ...both, FAKE_NO_ENGINE: '1' });
  assert.equal(up.code, 0, up.stderr);
  const calls = await host.calls();
  assert.ok(calls.includes('control: docker images'));
  assert.ok(calls.includes('control: docker save orders:sha256-aa'));
  assert.deepEqual(calls.filter(call => call.includes('load orders:')), ['worker1: docker load orders:sha256-aa']);
});

for (const verb of ['halt', 'destroy']) {
  test(`${verb} stops the services before the machines, says so, and may run twice`, async t => {
    const host = await openHost(t);
    await host.vagrant(['up'], both);
    await host.calls();
    const first = await host.vagrant([verb], both);
    assert.equal(first.code, 0);
    const calls = (await host.calls()).filter(call => !call.startsWith('session'));
    assert.deepEqual(calls, ['vagrant status --machine-readable', 'control: docker halt at 127.0.0.1', 'worker1: docker halt at 127.0.0.1',
      verb === 'halt' ? 'vagrant halt control worker1' : 'vagrant destroy -f control worker1']);
    assert.match(first.stderr, /control: stopping the services\n[^]*stopping the machines|removing the machines/);
    assert.equal((await host.vagrant(['targets'], both)).stdout, '');
    const second = await host.vagrant([verb], both);
    assert.equal(second.code, 0, second.stderr);
    assert.match(second.stderr, verb === 'halt' ? /control: its machine is down already/ : /control: has no machine/);
    if (verb === 'destroy') await assert.rejects(stat(join(host.folder, 'state/vagrant')), { code: 'ENOENT' });
  });
}

test('a machine that went down behind our back is no error for halt, and up brings it back', async t => {
  const host = await openHost(t);
  await host.vagrant(['up']);
  await host.machine('control', 'poweroff');
  const facts = await host.vagrant(['facts']);
  assert.equal(facts.code, 1);
  assert.match(facts.stderr, /make up/);
  assert.equal((await host.vagrant(['halt'])).code, 0);
  assert.equal((await host.vagrant(['up'])).code, 0);
  assert.equal((await host.vagrant(['status'], { NODE: 'control worker1' })).stdout, 'control  machine running  api running\nworker1  machine not created\n');
});

test('a machine that does not start is a failure with its reason, and no target', async t => {
  const host = await openHost(t);
  const up = await host.vagrant(['up'], { FAKE_FAILS: 'up' });
  assert.equal(up.code, 1);
  assert.match(up.stderr, /nothing works today/);
  assert.equal((await host.vagrant(['targets'])).stdout, '');
});

test('a service that answers in its VM but not from here is a failure', async t => {
  const host = await openHost(t);
  const up = await host.vagrant(['up'], { ORDERS_PORT: '1', SCALE: '0' });
  assert.equal(up.code, 1);
  assert.match(up.stderr, /not from here/);
  assert.equal((await host.vagrant(['targets'])).stdout, '');
});

test('exit codes and output of the VM come through, unknown nodes and verbs are not understood', async t => {
  const host = await openHost(t);
  await host.vagrant(['up']);
  assert.equal((await host.vagrant(['inject', 'port-dropped'])).code, 3);
  assert.deepEqual((({ code, stdout }) => ({ code, stdout }))(await host.vagrant(['inject', 'drain'])), { code: 0, stdout: 'exit 0\n' });
  assert.equal((await host.vagrant(['facts'], { NODE: 'nowhere' })).code, 2);
  assert.equal((await host.vagrant(['explode'])).code, 2);
  assert.equal((await host.vagrant(['inject'])).code, 2);
});

test('arguments and settings reach the VM letter by letter', async t => {
  const host = await openHost(t);
  await host.vagrant(['up']);
  await host.calls();
  await host.vagrant(['inject', 'config-refused', "it's; $HOME `ls`"], { LOG_LEVEL: "a 'b' $c" });
  assert.deepEqual(await host.calls(), [`control: docker inject config-refused it's; $HOME \`ls\` at 127.0.0.1 log level a 'b' $c`], 'and the session is the one of up');
});

test('the Vagrantfile is valid for both providers, each without the plugin of the other', async t => {
  if (!await run('vagrant', ['--version']).then(() => true, () => false)) return t.skip('no vagrant here');
  const home = await mkdtemp(join(tmpdir(), 'orders-vagrant-'));
  t.after(() => rm(home, { recursive: true, force: true }));
  // Vagrant asks a provider's program for its version before it looks at that provider's settings.
  await writeFile(join(home, 'VBoxManage'), '#!/bin/sh\ncase $1 in -v | --version) echo 7.0.20r163906 ;; esac\n', { mode: 0o755 });
  const env = { ...process.env, PATH: `${home}:${process.env['PATH'] ?? ''}`, VAGRANT_HOME: home, VAGRANT_DOTFILE_PATH: join(home, 'dot'), VAGRANT_CHECKPOINT_DISABLE: '1' };
  const validate = (more: NodeJS.ProcessEnv) => run('vagrant', ['validate', '--no-tty'], { cwd: join(root, 'vagrant'), env: { ...env, ...more } });
  await validate({ VAGRANT_NO_PLUGINS: '1', VAGRANT_DEFAULT_PROVIDER: 'virtualbox' });
  const plugins = await run('vagrant', ['plugin', 'list'], { env });
  if (plugins.stdout.includes('vagrant-libvirt')) await validate({ VAGRANT_DEFAULT_PROVIDER: 'libvirt', ORDERS_EMULATE: '1' });
});
