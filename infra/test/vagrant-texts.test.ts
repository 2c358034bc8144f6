// What Vagrant and an engine print, read strictly: samples as they were seen, and what must not pass.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Outcome } from '../platform.ts';
import { parseFacts } from '../vagrant/inside.ts';
import { parseSshConfigs, parseStates } from '../vagrant/machines.ts';
import { parseLacking } from '../vagrant/ship.ts';

const seen = (outcome: Outcome<Map<string, string> | string[]>) =>
  'done' in outcome ? [...outcome.done] : 'failed' in outcome ? outcome.failed : assert.fail();

const status = `1764079587,control,metadata,provider,libvirt
1764079587,worker1,metadata,provider,libvirt
1764079589,control,provider-name,libvirt
1764079589,control,state,running
1764079589,control,state-human-short,running
1764079589,control,state-human-long,The Libvirt domain is running. To stop this machine%!(VAGRANT_COMMA) you can run
1764079589,worker1,provider-name,libvirt
1764079589,worker1,state,not_created
1764079589,,ui,info,Current machine states:\\n\\ncontrol                   running (libvirt)
`;

test('states are one word for each node that was asked for', () => {
  const both = [['control', 'running'], ['worker1', 'not_created']];
  assert.deepEqual(seen(parseStates(status, ['control', 'worker1'])), both);
  assert.deepEqual(seen(parseStates(status.replaceAll('\n', '\r\n'), ['control', 'worker1'])), both);
});

test('a state that is missing, twofold or no word is a failure that quotes what was printed', () => {
  for (const text of [
    '', 'garbage', status.replace('control,state,running', 'control,state,'), `${status}1,control,state,poweroff\n`,
    status.replace('control,state,running', 'control,state,on fire'),
    status.replaceAll('1764079589,control', 'now,control'),
  ]) {
    const failure = String(seen(parseStates(text, ['control'])));
    assert.match(failure, /^vagrant status says no one state of control; it said: "/, text);
  }
  assert.match(String(seen(parseStates(status, ['worker2']))), /worker2/);
});

const configs = `Host control
  HostName 127.0.121.44
  User vagrant
  Port 22
  IdentityFile "/a folder/private_key"

Host worker1
  HostName 127.0.121.45

`;

test('each node gets its block of the SSH settings, and a block without an address is none', () => {
  const [control, worker1] = configs.split(/(?=^Host worker1)/m);
  const parsed = (text: string, ...nodes: string[]) => seen(parseSshConfigs(text, nodes));
  assert.deepEqual(parsed(configs, 'worker1', 'control'), [['worker1', worker1], ['control', control]]);
  assert.match(String(parsed('Host control\n  User vagrant\n', 'control')), /no way into control.*User vagrant/);
  assert.match(String(parsed(configs, 'work')), /no way into work;/);
});

test('an image counts as lacking only when the engine says so of it', () => {
  const images = ['orders:sha256-aa', 'postgres:17@sha256:bb'];
  const ran = (code: number, stdout: string, stderr: string) => (
    seen(parseLacking({ code, stdout, stderr, late: false }, images))
  );
  const lacks = (image: string) => `Error response from daemon: No such image: ${image}\n`;
  assert.deepEqual(ran(0, 'arrived\nthere\nthere\n', ''), []);
  assert.deepEqual(ran(1, 'arrived\nthere\n', lacks('orders:sha256-aa')), ['orders:sha256-aa']);
  assert.deepEqual(ran(1, 'arrived\n', images.map(image => lacks(`x: No such image: ${image}`)).join('')), images);
  for (const text of [
    ran(1, 'arrived\n', 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock'),
    ran(0, 'arrived\nthere\n', ''),
    ran(1, 'arrived\nthere\nthere\n', ''),
    ran(1, 'arrived\nthere\n', lacks('another:sha256-cc')),
  ]) assert.match(String(text), /^its engine does not say/);
});

const worker1 = { name: 'worker1', address: '10.9.9.2', local: '127.0.0.2' };
const base64 = (text: string) => Buffer.from(text).toString('base64');
const boot = '5ad2c6a7-7b10-4a6e-93b4-0f7a3f1f2f33';
const inside = `hostname worker1
addresses 10.0.2.15 10.9.9.2 fe80::5054:ff:fe12:3456
boot_id ${boot}
answer 1 1 ${base64('bash: connect: No route to host\nbash: line 1: /dev/tcp/10.9.9.3/8000: No route to host\n')}
answer 0 0 ${base64('HTTP/1.1 200 OK\r\nX-A: b\r\n\r\n{"instance_id":"i-1"}')}
answer 2 124 ${base64('HTTP/1.1 200 OK\r\nX-A')}
end
`;

test('what a machine tells of itself is read whole, the answers in any order, or quoted', () => {
  const at = (node: string) => ({ node, host: '10.9.9.1', port: 8000 });
  const services = ['control', 'worker2', 'slow'].map(at);
  assert.deepEqual(parseFacts(inside, worker1, services), { done: {
    node: 'worker1', address: '10.9.9.2', hostname: 'worker1', boot_id: boot,
    addresses: ['10.0.2.15', '10.9.9.2', 'fe80::5054:ff:fe12:3456'],
    reached: [
      { node: 'control', status: 200, instance_id: 'i-1' },
      { node: 'worker2', trouble: 'connect: No route to host' },
      { node: 'slow', trouble: 'no answer in time' },
    ],
  } });
  for (const text of [
    '', inside.replace('end\n', ''), inside.replace(boot, ''), inside.replace('answer 2', 'answer 3'),
    inside.replace('answer 1', 'answer 0'), inside.replace('hostname worker1', 'hostname worker 1'),
    `${inside}hostname control\nend\n`,
  ]) {
    const told = parseFacts(text, worker1, services);
    assert.ok('failed' in told && told.failed.startsWith('worker1: what its machine tells of itself cannot'), text);
  }
});
