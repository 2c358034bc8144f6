// The rules about containers: good facts hold, and each single spoilt fact is seen by its own rule and no other.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { containment } from '../containment.ts';
import { neverRestarted, parseFacts, rules, sameEverywhere, standIns } from '../contained.ts';
import type { Box, Facts } from '../contained.ts';

const target = { node: 'control', host: '127.0.0.1', port: 8000 };
const box: Box = {
  image_id: 'sha256:1', base: { name: 'postgres:17.11-trixie', digest: `sha256:${'a'.repeat(64)}`, stand_in: false }, user: '999:999', uid: 999,
  listening: ['0.0.0.0:5432'], published: [], read_only: true,
  cap_eff: '0000000000000000', cap_bnd: '0000000000000000', cap_add: [], privileged: false, no_new_privileges: true,
  restart_count: 0, started_at: '2026-01-02T03:04:05Z', state: 'running', port: 1,
};
const api: Box = { ...box, user: '65532:65532', uid: 65532, listening: ['0.0.0.0:8000', '127.0.0.11:40001'], published: ['127.0.0.1:8000'] };
const good: Facts = { node: 'control', api, db: box };
const brokenBy = (facts: Facts) => rules.filter(({ judge }) => judge(facts, target) !== null).map(({ claim }) => claim);

test('good facts hold every rule', () => {
  assert.deepEqual(brokenBy(good), []);
});

const spoilt: [claim: string, which: 'api' | 'db' | 'both', change: Box][] = [
  ['the api listens on 0.0.0.0 inside', 'api', { listening: ['127.0.0.1:8000'] }],
  ['the api listens on 0.0.0.0 inside', 'api', { listening: ['0.0.0.0:8000', '127.0.0.1:9229'] }],
  ['the api listens on 0.0.0.0 inside', 'api', { listening: [] }],
  ['the api listens on 0.0.0.0 inside', 'api', { listening: undefined }],
  ['the api is published where it was reached, and nowhere else', 'api', { published: ['0.0.0.0:8000'] }],
  ['the api is published where it was reached, and nowhere else', 'api', { published: ['127.0.0.1:8000', '127.0.0.1:9229'] }],
  ['the api is published where it was reached, and nowhere else', 'api', { published: [] }],
  ['the database is published nowhere', 'db', { published: ['0.0.0.0:5432'] }],
  ['the database is published nowhere', 'db', { published: undefined }],
  ['runs as an ordinary user', 'both', { user: 'root', uid: 0 }],
  ['runs as an ordinary user', 'both', { user: '' }],
  ['runs as an ordinary user', 'both', { user: '0:0' }],
  ['runs as an ordinary user', 'both', { uid: 0 }],
  ['runs as an ordinary user', 'both', { uid: undefined }],
  ['has a read-only root', 'both', { read_only: false }],
  ['has a read-only root', 'both', { read_only: undefined }],
  ['has no capability', 'both', { cap_eff: '0000000000000400' }],
  ['has no capability', 'both', { cap_add: ['NET_ADMIN'] }],
  ['has no capability', 'both', { cap_eff: undefined }],
  ['has no capability', 'both', { cap_bnd: '00000000a80425fb' }],
  ['has no capability', 'both', { privileged: true }],
  ['can gain no new privileges', 'both', { no_new_privileges: false }],
  ['is built on a base pinned by digest', 'both', { base: { name: 'node:24', digest: '' } }],
  ['is built on a base pinned by digest', 'both', { base: { name: 'node:latest' } }],
  ['is built on a base pinned by digest', 'both', { base: undefined }],
];

for (const [claim, which, change] of spoilt) {
  for (const one of which === 'both' ? ['api', 'db'] as const : [which]) {
    test(`${one} with ${JSON.stringify(change, (_, value: unknown) => value ?? null)} is seen, and nothing else`, () => {
      const wanted = which === 'both' ? `${one === 'api' ? 'the api' : 'the database'} ${claim}` : claim;
      assert.deepEqual(brokenBy({ ...good, [one]: { ...good[one], ...change } }), [wanted]);
    });
  }
}

test('facts without a field hold no rule that reads it', () => {
  assert.deepEqual(brokenBy({ node: 'control', api: {}, db: {} }).length, rules.length);
});

test('a restart between two looks is seen, whatever the count was before', () => {
  assert.equal(neverRestarted({ ...box, restart_count: 3 }, { ...box, restart_count: 3 }), null);
  for (const change of [{ restart_count: 1 }, { started_at: '2026-01-02T03:04:06Z' }, { state: 'restarting' }]) {
    assert.notEqual(neverRestarted(box, { ...box, ...change }), null);
  }
  assert.notEqual(neverRestarted({ ...box, restart_count: undefined }, { ...box, restart_count: undefined }), null);
});

test('another image or another commit on one node is seen', () => {
  const node = { node: 'control', image: 'sha256:1', commit: 'c0ffee' };
  assert.equal(sameEverywhere([node, { ...node, node: 'worker1' }]), null);
  assert.match(sameEverywhere([node, { ...node, node: 'worker1', image: 'sha256:2' }])?.saw ?? '', /worker1: sha256:2/);
  assert.notEqual(sameEverywhere([node, { ...node, node: 'worker1', commit: 'decaf' }]), null);
});

test('a stand-in for a base is told', () => {
  assert.deepEqual(standIns(good), []);
  assert.deepEqual(standIns({ ...good, api: { ...api, base: { name: 'node', stand_in: true, made_of: 'Debian' } } }), ['base node is a stand-in, made of Debian']);
});

test('facts are read from the line of their node', () => {
  const line = JSON.stringify({ containers: true, ...good });
  assert.deepEqual(parseFacts(`${line}\n`), { facts: good });
  assert.deepEqual(parseFacts(`${line.replace('"control"', '"worker1"')}\n${line}`, 'control'), { facts: good });
  assert.deepEqual(parseFacts('{"containers":false,"reason":"plain"}'), { skip: 'plain' });
  for (const text of ['', 'no json', '[]', '{"containers":true}', line.replace('"control"', '"other"')]) assert.ok('trouble' in parseFacts(text, 'control'), text);
});

test('facts that cannot be had are red, not skipped', async () => {
  const facts = async () => { throw new Error('control facts: exit 1'); };
  const checks = containment({ at: 'here contained', target, expect: 'ready', scaled: ms => ms, facts });
  for (const { skip, run } of checks) {
    assert.equal(typeof skip === 'function' ? await skip() : skip, undefined);
    await assert.rejects(run(() => {}), /here contained: wanted facts, saw control facts: exit 1/);
  }
});

test('a database that is away on purpose is not looked at, and nothing else is spared', async () => {
  const facts = async () => ({ facts: { ...good, db: { state: 'exited' } } });
  const skips = async (expect: 'ready' | 'unready') => Promise.all(containment({ at: 'here', target, expect, scaled: ms => ms, facts })
    .map(async ({ skip }) => (typeof skip === 'function' ? await skip() : skip)));
  assert.ok((await skips('ready')).every(skip => skip === undefined));
  assert.equal((await skips('unready')).filter(skip => skip === 'the database is exited').length, (await skips('ready')).length - rules.filter(({ needs }) => needs === 'api').length);
});
