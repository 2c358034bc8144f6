// The machines of a swarm that are VMs: which kind it is, what is asked of Vagrant, and what is left alone.
import assert from 'node:assert/strict';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { kindOf } from '../swarm/fleet.ts';
import { filter, openGuests } from '../swarm/guests.ts';
import { paced, paceOf } from '../swarm/pace.ts';
import { openHost } from './vagrant-fakes.ts';
import { root } from './stack.ts';

test('what a swarm is made of is said once, and engines of this machine when nobody says it', () => {
  assert.equal(kindOf(undefined, undefined), 'engines');
  assert.equal(kindOf(undefined, 'vagrant'), 'vagrant');
  assert.equal(kindOf('vagrant\n', 'engines'), 'vagrant');
  assert.equal(kindOf('engines\n', undefined), 'engines');
  for (const text of ['', 'podman\n']) assert.throws(() => kindOf(text, 'vagrant'), /no machines of a swarm/, text);
});

test('the times that follow SCALE are wider on a slow machine, up to five times, and all else stays', async () => {
  assert.deepEqual([0.5, 1, 1.9, 3, 15.5].map(paceOf), [1, 1, 1, 3, 5]);
  const lines = [
    '  default-server check port 8008 inter 1s fastinter 500ms fall 2  # follows SCALE',
    '    ttl: 20  # follows SCALE', '  ETCD_ELECTION_TIMEOUT: "2000"  # follows SCALE', '  timeout client 15s',
  ];
  assert.deepEqual(paced(lines.join('\n'), 5).split('\n'), [
    '  default-server check port 8008 inter 5s fastinter 2500ms fall 2  # follows SCALE',
    '    ttl: 100  # follows SCALE', '  ETCD_ELECTION_TIMEOUT: "10000"  # follows SCALE', '  timeout client 15s',
  ]);
  for (const file of ['stack.yml', 'cluster.yml', 'patroni.yml', 'haproxy.cfg']) {
    const text = await readFile(join(root, 'infra/swarm', file), 'utf8');
    assert.equal(paced(text, 1), text, file);
    const [were, are] = [text, paced(text, 3)].map(one => one.split('\n'));
    const same = were?.filter((line, i) => line.endsWith('# follows SCALE') && line === are?.[i]);
    assert.deepEqual(same, [], `${file}: a line that follows SCALE has no time in it`);
  }
});

test('the ports of the swarm are for its machines only', () => {
  const text = filter('10.0.0.2', ['10.0.0.1', '10.0.0.2']);
  assert.deepEqual(text.split('\n').filter(line => line.includes(' -A ')), [
    'iptables -w -A ORDERS-SWARM -i lo -j ACCEPT',
    'iptables -w -A ORDERS-SWARM -s 10.0.0.1 -d 10.0.0.2 -j ACCEPT',
    'iptables -w -A ORDERS-SWARM -s 10.0.0.2 -d 10.0.0.2 -j ACCEPT',
    'iptables -w -A ORDERS-SWARM -j DROP',
  ]);
  for (const port of ['tcp --dport 2377', 'tcp --dport 7946', 'udp --dport 7946', 'udp --dport 4789']) {
    assert.ok(text.includes(`-I INPUT -p ${port} -j ORDERS-SWARM\n`), port);
  }
});

test('they boot in one call, are on while they have power and answer, and one that is cut boots alone', async t => {
  const { kind, calls } = await openKind(t);
  const all = kind();
  const [control, worker1] = all.machines;
  assert.ok(control !== undefined && worker1 !== undefined);
  assert.equal(await control.isOn(), false);
  assert.deepEqual(await calls(), [], 'before the first start nobody is asked');
  await all.start(all.machines);
  const vagrant = (lines: string[]) => lines.filter(call => /^vagrant (up|halt|destroy)/.test(call));
  const started = await calls();
  assert.deepEqual(vagrant(started), ['vagrant up --provision control worker1']);
  assert.equal(started.filter(call => call.endsWith('sudo')).length, 4, 'looked into, and made ready, each');
  assert.equal(await control.isOn() && await worker1.isOn(), true);

  await worker1.cut();
  assert.equal(await worker1.isOn(), false);
  assert.equal(await control.isOn(), true);
  await worker1.cut();
  assert.deepEqual((await calls()).filter(call => call.includes(' destroy')).length, 1, 'what is off is not cut again');
  const again = kind();
  await again.start(again.machines.filter(({ place }) => place.node.name === 'worker1'));
  assert.deepEqual(vagrant(await calls()), ['vagrant up worker1']);

  await all.stop(all.machines);
  await all.stop(all.machines);
  assert.deepEqual(vagrant(await calls()), ['vagrant halt control worker1']);
  await kind().remove();
  assert.deepEqual(vagrant(await calls()), ['vagrant destroy -f control worker1']);
});

test('a machine that was there with a stack of its own is refused, and is not removed either', async t => {
  const { kind, calls, machine, set } = await openKind(t);
  await machine('worker1', 'running');
  await set('sudo-fails', 'worker1');
  const one = kind();
  await assert.rejects(one.start(one.machines), /worker1: has a stack/);
  await calls();
  await kind().remove();
  assert.deepEqual((await calls()).filter(call => call.includes('destroy')), ['vagrant destroy -f control']);
});

test('files are lent for as long as they are needed, and the passwords among them are gone then', async t => {
  const { kind, folder } = await openKind(t);
  const one = kind();
  await one.start(one.machines);
  const [control] = one.machines;
  assert.ok(control !== undefined);
  const file = join(folder, 'secret');
  await writeFile(file, "it's one");
  let seen = '';
  const lent = control.lend([file], async at => {
    seen = at(file);
    assert.equal((await control.host.run(['cat', seen])).stdout, "it's one");
    throw new Error('half way');
  });
  await assert.rejects(lent, /half way/);
  assert.equal(await control.host.read(seen), undefined);
});

/** `sudo` in a machine does nothing but tell that it was called, and fails where `sudo-fails` says. */
async function openKind(t: TestContext) {
  const host = await openHost(t);
  const { folder } = host;
  await writeFile(join(folder, 'bin/sudo'), `#!/bin/sh
echo "$FAKE_HERE: sudo" >> '${folder}/calls'
[ "$(cat '${folder}/sudo-fails' 2>/dev/null)" != "$FAKE_HERE" ] || { echo 'has a stack' >&2; exit 1; }
`);
  await chmod(join(folder, 'bin/sudo'), 0o755);
  return { ...host, kind: () => openGuests(host.context(), [host.control, host.worker1]) };
}
