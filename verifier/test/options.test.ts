// The environment, strictly: every complaint at once.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressOf, parseTargets, readOptions } from '../options.ts';

test('an empty environment is control\'s choice on the default paths', () => {
  const read = readOptions({ TARGETS: '', NODE: ' ' }, '/house');
  assert.ok('options' in read);
  const { scaled, ...options } = read.options;
  assert.deepEqual(options, {
    targets: [], expect: 'ready', strict: false, scale: 1, nodes: undefined, platform: undefined, stateFolder: '/house/.state', control: '/house/infra/control',
  });
  assert.equal(scaled(1234), 1234);
});

test('every variable is read', () => {
  const read = readOptions({
    TARGETS: 'a.example:1,[::1]:65535', EXPECT: 'unready', STRICT: '1', SCALE: '2.5', NODE: 'control  worker1', PLATFORM: 'docker', ORDERS_STATE: '/s', CONTROL: '/c',
  }, '/house');
  assert.ok('options' in read);
  const { scaled, ...options } = read.options;
  assert.deepEqual(options, {
    targets: [{ node: 'a.example:1', host: 'a.example', port: 1 }, { node: '[::1]:65535', host: '::1', port: 65535 }],
    expect: 'unready', strict: true, scale: 2.5, nodes: 'control worker1', platform: 'docker', stateFolder: '/s', control: '/c',
  });
  assert.equal(scaled(1001), 2503);
});

test('all complaints come at once, each with what would be right', () => {
  const read = readOptions({ TARGETS: 'host', EXPECT: 'Ready', STRICT: 'true', SCALE: '1e1', NODE: 'a;b', PLATFORM: 'kvm' }, '/house');
  assert.ok('complaints' in read);
  assert.deepEqual(read.complaints.map(line => line.split(' ')[0]), ['TARGETS', 'EXPECT', 'STRICT', 'SCALE', 'NODE', 'PLATFORM']);
  assert.ok(read.complaints.includes('EXPECT must be ready or unready, not "Ready"'));
});

test('a target is a host and a port from 1 to 65535, named once', () => {
  for (const text of [',', 'host', 'host:', ':80', 'host:0', 'host:65536', 'host:80a', 'http://host:80', '::1:80', 'a:1,,b:2,']) {
    assert.equal(typeof parseTargets(text), 'string', text);
  }
  assert.deepEqual(parseTargets('a:1, a:1 b:2'), { is: [{ node: 'a:1', host: 'a', port: 1 }, { node: 'b:2', host: 'b', port: 2 }] });
});

test('an IPv6 address is written in brackets', () => {
  assert.equal(addressOf({ host: '::1', port: 8000 }), '[::1]:8000');
  assert.equal(addressOf({ host: '127.0.0.1', port: 8000 }), '127.0.0.1:8000');
});
