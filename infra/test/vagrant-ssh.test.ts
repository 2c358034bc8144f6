// Commands in a guest over SSH: words arrive as they were given, files whole, and silence is not taken for failure.
import assert from 'node:assert/strict';
import { mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import type { TestContext } from 'node:test';
import { Unreachable } from '../host.ts';
import { openSsh } from '../vagrant/ssh.ts';
import { openHost } from './vagrant-fakes.ts';

/** A guest that is up, with the host's stand-ins for ssh. */
async function openGuest(t: TestContext) {
  const host = await openHost(t);
  const { local, settings } = host.context();
  const folder = join(host.folder, 'state/vagrant');
  const configure = () => writeFile(join(folder, 'control.ssh'), 'Host control\n');
  await mkdir(folder);
  await mkdir(join(host.folder, 'vm/control'), { recursive: true });
  await host.machine('control', 'running');
  const open = () => openSsh({ local, node: 'control', folder, scaled: settings.scaled, configure });
  return { ...host, state: folder, home: join(host.folder, 'vm/control'), open, ssh: open() };
}

test('every word arrives letter by letter', async t => {
  const { ssh } = await openGuest(t);
  const words = [
    "it's", '"quoted"', 'a b\tc', 'two\nlines\n', '$HOME `id` $(id)', '\\', "'", '', '*', '~', '-n', '; exit 7',
    'ö', '!!', '#',
  ];
  const { stdout, code } = await ssh.run(['printf', '%s\\0', ...words]);
  assert.equal(code, 0);
  assert.deepEqual(stdout.split('\0').slice(0, -1), words);
});

test('environment, folder, input and output are those of the guest', async t => {
  const { ssh, home, folder } = await openGuest(t);
  await mkdir(join(home, "it's here"));
  const script = 'printf %s "$MARK"; pwd; cat; echo talk >&2; exit 5';
  const ran = await ssh.run(['sh', '-c', script], { env: { MARK: "$x 'y'\n" }, cwd: "it's here", input: 'from stdin' });
  const stdout = `$x 'y'\n${join(home, "it's here")}\nfrom stdin`;
  assert.deepEqual(ran, { code: 5, stdout, stderr: 'talk\n', late: false });
  const bytes = Buffer.from([0, 255, 10, 13, 128]);
  await writeFile(join(folder, 'bytes'), bytes);
  await ssh.run(['cat'], { input: { file: join(folder, 'bytes') }, into: { file: join(folder, 'back') } });
  assert.deepEqual(await readFile(join(folder, 'back')), bytes);
  assert.equal(await ssh.home(), home);
});

test('files are written whole, in one call, with their modes; a missing one is not taken for an empty one', async t => {
  const { ssh, home, sshCalls } = await openGuest(t);
  await ssh.run(['true']);
  await sshCalls();
  const text = "PASSWORD='$(id)'\n\\n \"ö\"\n\n";
  await ssh.write([{ path: 'deep/er/secret', text, mode: 0o444 }, { path: `${home}/it's empty`, text: '' }]);
  assert.equal(await sshCalls(), 1);
  assert.equal(await readFile(join(home, 'deep/er/secret'), 'utf8'), text);
  assert.equal((await stat(join(home, 'deep/er/secret'))).mode & 0o777, 0o444);
  assert.equal((await stat(join(home, 'deep/er'))).mode & 0o777, 0o700);
  assert.equal((await stat(join(home, "it's empty"))).mode & 0o777, 0o600);
  const back = [await ssh.read('deep/er/secret'), await ssh.read("it's empty"), await ssh.read('nowhere')];
  assert.deepEqual(back, [text, '', undefined]);
  assert.deepEqual(await readdir(join(home, 'deep/er')), ['secret'], 'nothing is left beside it');
  await assert.rejects(ssh.write([{ path: 'deep/er/secret/below', text: '' }]), /control: writing failed/);
  await assert.rejects(ssh.read('deep'), /control: deep cannot be read/);
});

test('one session serves every call and later command, and what a crash left of one is dropped', async t => {
  const { ssh, open, calls, state } = await openGuest(t);
  await Promise.all([ssh.run(['true']), ssh.run(['true']), ssh.home()]);
  await open().run(['true']);
  assert.deepEqual(await calls(), ['session control']);
  await ssh.hangUp();
  await ssh.hangUp();
  await open().run(['true']);
  assert.deepEqual(await calls(), ['session control']);
  await writeFile(join(state, 'control.stale'), 'yes');
  await open().run(['true']);
  assert.deepEqual(await calls(), ['session control'], 'nobody listened to the one that was there');
});

test('a host that does not answer is Unreachable, at first or later, until it answers again', async t => {
  const { ssh, machine, calls } = await openGuest(t);
  await machine('control', 'poweroff');
  const sentence = /control does not answer over SSH; make status.*make up/;
  const gone = (error: unknown) => error instanceof Unreachable && sentence.test(error.message);
  await assert.rejects(ssh.run(['true']), gone);
  await machine('control', 'running');
  assert.equal((await ssh.run(['true'])).code, 0);
  await machine('control', 'poweroff');
  await assert.rejects(ssh.run(['true']), gone);
  await assert.rejects(ssh.read('file'), gone);
  await machine('control', 'running');
  await calls();
  assert.equal((await ssh.run(['true'])).code, 0);
  assert.deepEqual(await calls(), ['session control'], 'begun again');
});

test('a command that is late is ended in the guest, with all that it started', async t => {
  const { ssh, home } = await openGuest(t);
  const late = await ssh.run(['sh', '-c', 'sleep 60 & echo $! > child; wait'], { deadlineMs: 300 });
  assert.deepEqual([late.code, late.late], [null, true]);
  const pid = Number(await readFile(join(home, 'child'), 'utf8'));
  const end = performance.now() + 10_000;
  const runs = async () => /^State:\s+[^Z]/m.test(await readFile(`/proc/${pid}/status`, 'utf8').catch(() => ''));
  while (await runs()) assert.ok(performance.now() < end, `${pid} still runs`);
  const quick = await ssh.run(['sh', '-c', 'exit 124'], { deadlineMs: 60_000 });
  assert.deepEqual([quick.code, quick.late], [124, false]);
});
