// What doctor says of this host, and of hosts that lack something, hang, or answer oddly: programs of ours in PATH.
import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { Report } from '../doctor/doctor.ts';
import { firstHere, inCi, neverRun, systemOf } from '../doctor/install.ts';
import { inTheWay, parseRoutes, parseRules } from '../doctor/network.ts';
import { root, runIn } from './stack.ts';
import type { Run } from './stack.ts';

type Doctor = (env?: NodeJS.ProcessEnv, ...args: string[]) => Promise<Run>;
type Programs = Record<string, string>;

/** PATH has these programs, each a line of shell, and node: nothing else. */
async function openDoctor(t: TestContext, programs: Programs): Promise<{ doctor: Doctor; state: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'orders-doctor-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const bin = join(folder, 'bin');
  await mkdir(bin);
  await symlink(process.execPath, join(bin, 'node'));
  for (const [name, line] of Object.entries(programs)) {
    await writeFile(join(bin, name), `#!/bin/sh\n${line}\n`, { mode: 0o755 });
  }
  const state = join(folder, 'state');
  const env = { PATH: bin, HOME: folder, ORDERS_STATE: state, COLUMNS: '40' };
  const program = join(root, 'infra/control');
  const doctor: Doctor = (more, ...args) => runIn({ ...env, ...more }, program, ['doctor', ...args]);
  return { doctor, state };
}

function lookUp({ stdout, stderr }: Run): { report: Report; of: (of: string, name: string) => string } {
  assert.equal(stderr, '');
  const report = JSON.parse(stdout) as Report;
  const of = (platform: string, name: string): string => {
    const seen = report.checks.find(check => check.of === platform && check.name === name);
    return `${seen?.state} ${seen?.says} (${seen?.detail}): ${seen?.fix}`;
  };
  return { report, of };
}

const good: Programs = {
  vagrant: 'echo Vagrant 2.4.1', VBoxManage: 'echo 7.0.18r162988', setpriv: 'echo setpriv',
  docker: `case $1 in
  version) echo 28.1 ;; compose) echo v2.39.2 ;; buildx) echo buildx 0.2 ;; info) echo /nowhere/docker ;; esac`,
};

test('with nothing but node each platform names what it lacks and the command that installs it', async t => {
  const { doctor, state } = await openDoctor(t, {});
  const run = await doctor({ JSON: '1' });
  const { report, of } = lookUp(run);
  assert.equal(run.code, 1);
  assert.match(of('vagrant', 'vagrant'), /^missing no vagrant .*(apt-get install vagrant|dnf|brew)/);
  assert.match(of('vagrant', 'provider'), /^missing vagrant has neither VirtualBox nor a running libvirt .*install/);
  assert.match(of('docker', 'engine'), /^missing no Docker engine answers \(there is no docker command\): .*install/);
  assert.match(of('docker', 'compose'), /^missing docker has no Compose v2/);
  assert.match(of('process', 'setpriv'), /^missing (no setpriv|plain processes need Linux)/);
  assert.deepEqual(report.usable, { vagrant: false, docker: false, process: false, swarm: false });
  assert.equal(report.takes.platform, 'process');
  await assert.rejects(readdir(state), 'it makes no state folder');
});

test('the best that has all it needs would be taken; PLATFORM= is judged by itself', async t => {
  const { doctor } = await openDoctor(t, { ...good, VBoxManage: 'exit 1' });
  const run = await doctor({ JSON: '1' });
  const { report } = lookUp(run);
  assert.deepEqual([report.usable.vagrant, report.usable.docker, run.code], [false, true, 0]);
  assert.equal(report.takes.platform, 'docker');
  assert.match(report.takes.why, /^vagrant has neither VirtualBox nor a running libvirt$/);
  const chosen = await doctor({ PLATFORM: 'vagrant' });
  assert.equal(chosen.code, 1);
  assert.match(chosen.stdout, /^make up takes vagrant \(PLATFORM says so\)$/m);
  assert.match(chosen.stdout, /^vagrant cannot be used$/m);
  // a line a check, however narrow the terminal is
  const lines = chosen.stdout.trimEnd().split('\n').slice(0, -5);
  const shape = /^(ok|missing|warn|unknown) +(host|vagrant|docker|process|swarm) +\S/;
  assert.deepEqual(lines.filter(line => !shape.test(line)), []);
});

test('programs that hang are given up, all at once, and named', async t => {
  const hang = 'exec /bin/sleep 1000';
  const names = ['vagrant', 'VBoxManage', 'virsh', 'docker', 'docker-compose', 'setpriv', 'pg_config', 'mkfs.ext4'];
  const { doctor } = await openDoctor(t, Object.fromEntries(names.map(name => [name, hang])));
  const began = performance.now();
  const { report, of } = lookUp(await doctor({ JSON: '1', SCALE: '0.1' }));
  const ms = performance.now() - began;
  assert.ok(ms < 15_000, `${ms} ms, where a tenth of a minute was promised and a busy host is forgiven`);
  assert.match(of('vagrant', 'vagrant'), /^missing no vagrant \(vagrant gives no answer within 1.5 s\)/);
  assert.match(of('docker', 'engine'), /^missing no Docker engine answers \(docker gives no answer within 1.5 s\)/);
  assert.match(of('process', 'setpriv'), /setpriv gives no answer within 1.5 s|need Linux/);
  assert.equal(report.usable.docker, false);
});

test('odd answers are quoted or passed over, and an old Compose is none', async t => {
  const { doctor } = await openDoctor(t, {
    ...good,
    VBoxManage: 'echo "WARNING: The vboxdrv kernel module is not loaded."; echo 6.1.50_Debianr161033',
    docker: 'case $1 in version) echo ;; compose) echo 1.29.2 ;; *) echo "permission denied" >&2; exit 1 ;; esac',
  });
  const { of } = lookUp(await doctor({ JSON: '1' }));
  assert.match(of('vagrant', 'provider'), /^ok VirtualBox 6\.1\.50_Debianr161033 /);
  assert.match(of('docker', 'engine'), /^missing .*docker names no version of it/);
  assert.match(of('docker', 'compose'), /^missing .*\(1\.29\.2 is not v2\)/);
  assert.match(of('docker', 'buildx'), /^warn .*\(permission denied\)/);
  assert.match(of('docker', 'disk'), /^unknown /);
  const denied = { ...good, docker: 'echo "permission denied while trying to connect" >&2; exit 1' };
  const stranger = lookUp(await (await openDoctor(t, denied)).doctor({ JSON: '1' }));
  assert.match(stranger.of('docker', 'engine'), /usermod -aG docker/);
});

test('a port that a stranger has is named with its holder', {
  skip: process.platform === 'linux' ? false : 'who listens is looked up in /proc',
}, async t => {
  const server = createServer().listen(0, '127.0.0.1');
  t.after(() => server.close());
  await new Promise(resolve => { server.once('listening', resolve); });
  const address = server.address();
  const port = String(typeof address === 'object' ? address?.port : '');
  const { doctor } = await openDoctor(t, good);
  const { of } = lookUp(await doctor({ JSON: '1', ORDERS_PORT: port }));
  assert.match(of('docker', 'port'), new RegExp(`^warn 127.0.0.1:${port} is held by \\S+, pid ${process.pid} `));
  assert.match(of('docker', 'port'), /ORDERS_PORT= takes another$/);
  assert.match(of('process', 'database port'), /^ok 127\.0\.0\.1:15432 free|held by/);
});

test('a state folder that nobody may read is one unknown line, and nothing is changed in it', {
  skip: process.getuid?.() === 0 ? false : 'only root can become another user',
}, async t => {
  const { doctor, state } = await openDoctor(t, good);
  await mkdir(state);
  await writeFile(join(state, 'platform'), 'docker\n');
  await chmod(state, 0o700);
  await chmod(join(state, '..'), 0o755);
  const asNobody = ['--reuid=65534', '--regid=65534', '--clear-groups', 'env'];
  const env = { PATH: join(state, '../bin'), HOME: '/', ORDERS_STATE: state, JSON: '1' };
  const given = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const run = await runIn(process.env, 'setpriv', [...asNobody, '-i', ...given, join(root, 'infra/control'), 'doctor']);
  const { of } = lookUp(run);
  assert.match(of('host', 'memory of up'), /^unknown .*EACCES/);
  assert.match(of('host', 'ORDERS_DISK_MB'), /^warn cannot be had: it needs root/);
  assert.deepEqual(await readdir(state), ['platform']);
  assert.match((await doctor()).stdout, /^make up takes docker \(remembered since make up\)$/m);
});

test('doctor takes no arguments, and understands its variables strictly', async t => {
  const { doctor } = await openDoctor(t, {});
  assert.equal((await doctor({}, 'please')).code, 2);
  const odd = await doctor({ JSON: 'yes', PLATFORM: 'kubernetes' });
  assert.equal(odd.code, 2);
  assert.match(odd.stderr, /PLATFORM must be .*JSON must be 0 or 1/);
  assert.equal((await doctor({ NODE: 'nobody' })).code, 2);
});

test('the rules of VirtualBox and the routes of the kernel are read strictly', () => {
  const tens = { base: 10 * 2 ** 24, bits: 8 };
  assert.deepEqual(parseRules('# ours\n* 10.0.0.0/8 fe80::/64 # and more\n\n* 10.1/16'), [
    tens, { base: 10 * 2 ** 24 + 2 ** 16, bits: 16 },
  ]);
  for (const bad of ['10.0.0.0/8', '*', '* 10.0.0.0', '* 10.0.0.300/8', '* 10.0.0.0/33']) {
    assert.throws(() => parseRules(bad), /networks\.conf: "/, bad);
  }
  const row = (device: string, to: string, mask: string) =>
    [device, to, '00000000', 1, 0, 0, 0, mask, 0, 0, 0].join('\t');
  const text = ['Iface', row('eth0', '00000000', '00000000'), row('tun0', '0000000A', '000000FF'),
    row('vboxnet0', '0001020A', '00FFFFFF'), row('eth1', '0002020A', '00FFFFFF')].join('\n');
  const routes = parseRoutes(`${text}\n`);
  const seen = routes.map(({ device, range }) => `${device} ${range.bits}`);
  assert.deepEqual(seen, ['tun0 8', 'vboxnet0 24', 'eth1 24']);
  assert.deepEqual(routes[0]?.range, tens);
  assert.throws(() => parseRoutes('Iface\neth0 what'), /proc\/net\/route/);
  // a hypervisor's own and a VPN's whole are in nobody's way
  for (const address of ['10.2.1.10', '10.0.0.10']) assert.equal(inTheWay([{ address }], routes), undefined);
  assert.equal(inTheWay([{ address: '10.2.1.10' }, { address: '10.2.2.10' }], routes), 'eth1');
});

test('a system is known by its own name or by the one that it is like', async () => {
  const local = (text: string | undefined) => ({ read: async () => text });
  const skip = process.platform === 'darwin';
  if (skip) return;
  assert.equal(await systemOf(local('NAME="Linux Mint"\nID=linuxmint\nID_LIKE="ubuntu debian"\n')), 'debian');
  assert.equal(await systemOf(local('ID="rocky"\nID_LIKE="rhel centos fedora"\n')), 'fedora');
  assert.equal(await systemOf(local('ID=alpine\n')), 'other');
  assert.equal(await systemOf(local(undefined)), 'other');
  assert.equal((await firstHere(local('ID=fedora\n')))[0], 'Fedora');
  assert.ok(!(await firstHere(local('ID=debian\n'))).includes('debian'));
});

test('README says the same of where it was run as doctor does', async () => {
  const readme = await readFile(join(root, 'README.md'), 'utf8');
  assert.ok(readme.includes(`Run in CI: ${inCi}. Never run: ${neverRun.join(', ')}.`));
});
