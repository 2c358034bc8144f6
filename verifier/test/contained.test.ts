// The rules about containers: good facts hold, and each single spoilt fact is seen by its own rule and no other.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Box, ContainerFacts, Facts, Outcome } from '#infra/platform';
import { Broken } from '../checks/climb.ts';
import { boxesAreContained, neverRestarted, rules, sameEverywhere, standIns } from '../checks/contained.ts';
import { plainFacts } from './running.ts';

const target = { node: 'control', host: '127.0.0.1', port: 8000 };
const base = { name: 'postgres:17.11-trixie', digest: `sha256:${'a'.repeat(64)}`, stand_in: false, made_of: '' };
const db: Box = {
  image_id: 'sha256:1', image: 'postgres', base, user: '999:999', published: [], networks: ['n'], read_only: true,
  privileged: false, cap_add: [], cap_drop: ['ALL'], pids_limit: 100, memory: 1, restart_policy: 'unless-stopped',
  restart_count: 0, started_at: '2026-01-02T03:04:05Z', state: 'running', health: 'healthy',
  uid: 999, cap_eff: '0000000000000000', cap_bnd: '0000000000000000', no_new_privileges: true, seccomp: 2,
  listening: ['0.0.0.0:1'],
};
const listening = ['0.0.0.0:8000', '127.0.0.11:40001'];
const api: Box = { ...db, user: '65532:65532', uid: 65532, listening, published: ['127.0.0.1:8000'] };
const good: ContainerFacts = { platform: 'docker', node: 'control', containers: true, api, db };
const brokenBy = (facts: ContainerFacts) =>
  rules.filter(({ judge }) => judge(facts, target) !== null).map(({ id }) => id);

/** What the kernel says of a container in which nothing runs. */
const unseen = { uid: null, cap_eff: null, cap_bnd: null, no_new_privileges: null, seccomp: null, listening: null };
const stopped = { ...unseen, state: 'exited' };

test('good facts hold every rule', () => {
  assert.deepEqual(brokenBy(good), []);
});

const spoilt: [id: string, which: 'api' | 'db' | 'both', change: Partial<Box>][] = [
  ['listening', 'api', { listening: ['127.0.0.1:8000'] }],
  ['listening', 'api', { listening: ['0.0.0.0:8000', '127.0.0.1:9229'] }],
  ['listening', 'api', { listening: [] }],
  ['listening', 'api', { listening: null }],
  ['published', 'api', { published: ['0.0.0.0:8000'] }],
  ['published', 'api', { published: ['127.0.0.1:8000', '127.0.0.1:9229'] }],
  ['published', 'api', { published: [] }],
  ['published', 'db', { published: ['0.0.0.0:5432'] }],
  ['user', 'both', { user: 'root', uid: 0 }],
  ['user', 'both', { user: '' }],
  ['user', 'both', { user: '0:0' }],
  ['user', 'both', { uid: 0 }],
  ['user', 'both', { uid: null }],
  ['root', 'both', { read_only: false }],
  ['capabilities', 'both', { cap_eff: '0000000000000400' }],
  ['capabilities', 'both', { cap_add: ['NET_ADMIN'] }],
  ['capabilities', 'both', { cap_eff: null }],
  ['capabilities', 'both', { cap_bnd: '00000000a80425fb' }],
  ['capabilities', 'both', { privileged: true }],
  ['privileges', 'both', { no_new_privileges: false }],
  ['privileges', 'both', { no_new_privileges: null }],
  ['base', 'both', { base: { ...base, name: 'node:24', digest: '' } }],
  ['base', 'both', { base: { ...base, name: 'node:latest', digest: 'latest' } }],
  ['base', 'both', { base: { ...base, name: '' } }],
];

for (const [id, which, change] of spoilt) {
  for (const one of which === 'both' ? ['api', 'db'] as const : [which]) {
    test(`${one} with ${JSON.stringify(change)} is seen, and nothing else`, () => {
      assert.deepEqual(brokenBy({ ...good, [one]: { ...good[one], ...change } }), [`${one}-${id}`]);
    });
  }
}

test('ids are unique', () => {
  assert.equal(new Set(rules.map(({ id }) => id)).size, rules.length);
});

test('a restart between two looks is seen, whatever the count was before', () => {
  assert.equal(neverRestarted({ ...db, restart_count: 3 }, { ...db, restart_count: 3 }), null);
  for (const change of [{ restart_count: 1 }, { started_at: '2026-01-02T03:04:06Z' }, { state: 'restarting' }]) {
    assert.notEqual(neverRestarted(db, { ...db, ...change }), null);
  }
  assert.notEqual(neverRestarted({ ...db, state: 'restarting' }, { ...db, state: 'restarting' }), null);
});

test('another image or another commit on one node is seen; what was not seen is never equal', () => {
  const build = { node: 'control', image: 'sha256:1', commit: 'c0ffee' };
  const saw = (change: object) => sameEverywhere([build, { ...build, node: 'worker1', ...change }])?.saw ?? '';
  assert.equal(saw({}), '');
  assert.match(saw({ image: 'sha256:2' }), /worker1: sha256:2/);
  assert.match(saw({ commit: 'decaf' }), /worker1: sha256:1 decaf/);
  assert.notEqual(sameEverywhere([{ ...build, image: undefined }, { ...build, image: undefined }]), null);
  assert.notEqual(sameEverywhere([{ ...build, commit: undefined }, { ...build, commit: undefined }]), null);
});

test('a stand-in for a base is told', () => {
  assert.deepEqual(standIns(good), []);
  const standIn = { name: 'node', digest: '', stand_in: true, made_of: 'Debian' };
  assert.deepEqual(standIns({ ...good, api: { ...api, base: standIn } }), ['base node is a stand-in, made of Debian']);
});

type Looks = { expect?: 'ready' | 'unready'; facts: (() => Promise<Outcome<Facts>>) };

/** Every check of the rung: `held`, `skip REASON` or what it saw. */
async function climbed({ expect = 'ready', facts }: Looks): Promise<Record<string, string>> {
  const checks = boxesAreContained({ at: 'here', target, expect, scaled: ms => ms, facts });
  const ends: Record<string, string> = {};
  for (const { id, skip, run } of checks) {
    const reason = typeof skip === 'function' ? await skip() : skip;
    const tell = (error: unknown) => error instanceof Broken ? error.message : 'a bug';
    const ran = () => run(() => {}).then(() => 'held', tell);
    ends[id] = reason === undefined ? await ran() : `skip ${reason}`;
  }
  return ends;
}

test('good facts hold every check; a container that restarts meanwhile does not', async () => {
  const held = await climbed({ facts: async () => ({ done: good }) });
  assert.ok(Object.values(held).every(end => end === 'held'), JSON.stringify(held));
  let restarts = 0;
  const crashing = async () => ({ done: { ...good, api: { ...api, restart_count: restarts += 1 } } });
  const { 'no-restart': seen, ...others } = await climbed({ facts: crashing });
  assert.match(seen ?? '', /^here \(api\): wanted state running and no restart, .*restart 1.*saw .*restart 2/);
  assert.ok(Object.values(others).every(end => end === 'held'));
});

test('facts that cannot be had are red, not skipped', async () => {
  const looks = [
    async () => ({ failed: 'no engine answers' }),
    () => Promise.reject(new Error('no engine answers')),
  ];
  for (const facts of looks) {
    const ends = Object.values(await climbed({ facts }));
    assert.ok(ends.every(end => end === 'here: wanted facts, saw no engine answers'), JSON.stringify(ends));
  }
});

test('what a platform cannot know is a skip with its reason', async () => {
  const plain = Object.values(await climbed({ facts: async () => plainFacts('control') }));
  assert.ok(plain.every(end => end === 'skip nothing contains them'), JSON.stringify(plain));
  const impossible = Object.values(await climbed({ facts: async () => ({ impossible: 'no node of ours' }) }));
  assert.ok(impossible.every(end => end === 'skip no node of ours'));
});

test('a database that is away on purpose is not looked at, and nothing else is spared', async () => {
  const facts = async () => ({ done: { ...good, db: { ...db, ...stopped } } });
  const ready = await climbed({ facts });
  assert.ok(Object.values(ready).every(end => !end.startsWith('skip')));
  assert.match(ready['db-user'] ?? '', /uid not seen/);
  const unready = await climbed({ facts, expect: 'unready' });
  const ofApi = rules.filter(({ needs }) => needs === 'api').map(({ id }) => id);
  for (const [id, end] of Object.entries(unready)) {
    assert.equal(end, ofApi.includes(id) ? 'held' : 'skip the database is exited', id);
  }
});
