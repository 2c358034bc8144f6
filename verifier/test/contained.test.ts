// The rungs about containers: what is held, skipped with a reason or red, by what the platform tells.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerFacts, Facts, Outcome } from '#infra/platform';
import { Broken } from '../checks/climb.ts';
import { boxChecks } from '../checks/contained.ts';
import { rules } from '../checks/container-rules.ts';
import { plainFacts } from './running.ts';
import { changed, recorded, target } from './recorded.ts';

/** What the kernel says of a container in which nothing runs. */
const unseen = { uid: null, cap_eff: null, cap_bnd: null, no_new_privileges: null, seccomp: null, listening: null };
const stopped = { ...unseen, state: 'exited' };

type Looks = { expect?: 'ready' | 'unready'; standIns?: boolean; facts: () => Promise<Outcome<Facts>> };

/** Every check of the rung: `held`, `skip REASON` or what it saw. */
async function climbed({ expect = 'ready', standIns = true, facts }: Looks): Promise<Record<string, string>> {
  const contained = { at: () => 'here', target, expect, standIns, fleet: false, scaled: (ms: number) => ms, facts };
  const { look: _first, ...rungs } = boxChecks(contained);
  const checks = Object.values(rungs).flat();
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
  const held = await climbed({ facts: async () => ({ done: recorded }) });
  assert.ok(Object.values(held).every(end => end === 'held'), JSON.stringify(held));
  let restarts = 0;
  const crashing = async () => ({ done: { ...recorded, api: { ...recorded.api, restart_count: restarts += 1 } } });
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
  const facts = async () => ({ done: { ...recorded, durability: null, db: { ...recorded.db, ...stopped } } });
  const ready = await climbed({ facts });
  const skipped = Object.entries(ready).filter(([, end]) => end.startsWith('skip')).map(([id]) => id);
  assert.deepEqual(skipped, ['db-reached']);
  assert.match(ready['db-user'] ?? '', /uid not seen/);
  const unready = await climbed({ facts, expect: 'unready' });
  const ofApi = rules.filter(({ needs }) => needs === 'api').map(({ id }) => id);
  for (const [id, end] of Object.entries(unready)) {
    if (id === 'db-reached') assert.match(end, /^skip .*EXPECT=unready/);
    else assert.equal(end, ofApi.includes(id) ? 'held' : 'skip the database is exited', id);
  }
});

test('a database that starts is not asked when unready was expected', async () => {
  const facts = async () => ({ done: changed(seen => { Object.assign(seen, { durability: null }); }) });
  const { durability, superuser, 'db-user': user } = await climbed({ facts, expect: 'unready' });
  assert.deepEqual([durability, superuser, user], [
    'skip the database does not answer', 'skip the database does not answer', 'held',
  ]);
});

test('the way to the database is not judged when there is none, or nothing can be run; else it is', async () => {
  const seen = async (change: (facts: ContainerFacts) => void) =>
    (await climbed({ facts: async () => ({ done: changed(change) }) }))['db-reached'];
  assert.match(await seen(({ db }) => { db.state = 'exited'; }) ?? '', /^skip the database is exited/);
  assert.match(await seen(({ api }) => { api.state = 'paused'; }) ?? '', /^skip nothing can be run/);
  const cut = await seen(({ stack }) => { stack.way_to_database = 'connect ETIMEDOUT'; });
  assert.equal(cut, 'here: wanted db:5432 connected, saw connect ETIMEDOUT');
  assert.match(await seen(({ stack }) => { stack.way_to_database = null; }) ?? '', /saw nothing that could be run/);
});

test('a stand-in for a base is a skip, unless it was asked for; one that is not pinned is red', async () => {
  const base = { name: 'node:1', digest: `sha256:${'1'.repeat(64)}`, stand_in: true, made_of: 'Debian' };
  const facts = (digest: string) => async () => ({ done: changed(({ api }) => { api.base = { ...base, digest }; }) });
  const { 'api-base': skipped } = await climbed({ standIns: false, facts: facts(base.digest) });
  assert.equal(skipped, 'skip base node:1 is a stand-in, made of Debian');
  assert.equal((await climbed({ facts: facts(base.digest) }))['api-base'], 'held');
  const { 'api-base': red } = await climbed({ standIns: false, facts: facts('') });
  assert.match(red ?? '', /wanted a base with its sha256/);
});
