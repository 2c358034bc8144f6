// The environment, strictly: every complaint at once.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressOf, parseTargets } from '../client/address.ts';
import { readOptions } from '../options.ts';

test('an empty environment is control\'s choice', () => {
  const read = readOptions({ TARGETS: '', NODE: ' ' }, '/house');
  assert.ok('options' in read);
  const { targets, expect, strict, kills, scale, scaled, nodes, platform, state } = read.options;
  assert.deepEqual({ targets, expect, strict, kills, scale, nodes, platform, state }, {
    targets: [], expect: 'ready', strict: false, kills: undefined, scale: 1, nodes: undefined, platform: undefined,
    state: '/house/.state',
  });
  assert.equal(scaled(1234), 1234);
});

test('every variable is read', () => {
  const read = readOptions({
    TARGETS: 'a.example:1,[::1]:65535', EXPECT: 'unready', STRICT: '1', KILLS: '10', SCALE: '2.5',
    NODE: 'control  worker1', PLATFORM: 'docker', ORDERS_STATE: '/s',
  }, '/house');
  assert.ok('options' in read);
  const { targets, expect, strict, kills, scale, scaled, nodes, platform, state } = read.options;
  assert.deepEqual({ targets, expect, strict, kills, scale, nodes, platform, state }, {
    targets: [{ node: 'a.example:1', host: 'a.example', port: 1 }, { node: '[::1]:65535', host: '::1', port: 65535 }],
    expect: 'unready', strict: true, kills: 10, scale: 2.5, nodes: ['control', 'worker1'], platform: 'docker',
    state: '/s',
  });
  assert.equal(scaled(1001), 2503);
});

test('a commit is one word of 7 to 64 characters; all or a sample is 0 or 1', () => {
  const read = (env: Record<string, string>) => {
    const { options } = { options: undefined, ...readOptions(env, '/house') };
    return options && [options.commit, options.all];
  };
  assert.deepEqual(read({}), [undefined, false]);
  assert.deepEqual(read({ COMMIT: 'c0ffee1', ALL: '1' }), ['c0ffee1', true]);
  for (const COMMIT of ['c0ffee', 'a'.repeat(65), 'c0ffee 1', '$(id)xx']) {
    assert.equal(read({ COMMIT }), undefined, COMMIT);
  }
  assert.equal(read({ ALL: 'yes' }), undefined);
});

test('all complaints come at once, each with what would be right', () => {
  const read = readOptions({
    TARGETS: 'host', EXPECT: 'Ready', STRICT: 'true', KILLS: '0', SCALE: '1e1', NODE: 'a;b', PLATFORM: 'kvm',
  }, '/house');
  assert.ok('complaints' in read);
  const names = read.complaints.map(line => line.split(' ')[0]);
  assert.deepEqual(new Set(names), new Set(['TARGETS', 'EXPECT', 'STRICT', 'KILLS', 'SCALE', 'NODE', 'PLATFORM']));
  assert.equal(names.length, 7);
  assert.ok(read.complaints.includes('EXPECT must be ready or unready, not "Ready"'));
});

test('a target is a host and a port from 1 to 65535, named once', () => {
  const noPort = ['host', 'host:', 'host:0', 'host:65536', 'host:80a'];
  const bad = [...noPort, ',', ':80', 'http://host:80', '::1:80', 'a:1,,b:2,'];
  for (const text of bad) assert.equal(typeof parseTargets(text), 'string', text);
  const targets = [{ node: 'a:1', host: 'a', port: 1 }, { node: 'b:2', host: 'b', port: 2 }];
  assert.deepEqual(parseTargets('a:1, a:1 b:2'), { is: targets });
});

test('an IPv6 address is written in brackets', () => {
  assert.equal(addressOf({ host: '::1', port: 8000 }), '[::1]:8000');
  assert.equal(addressOf({ host: '127.0.0.1', port: 8000 }), '127.0.0.1:8000');
});
