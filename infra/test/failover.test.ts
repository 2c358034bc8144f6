// The replicated database under load: however its leader goes, no acknowledged order goes with it. With replication
// that waits for nobody, orders go: so these tests would see it. Needs root and an engine.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { missing } from './docker-stack.ts';
import { openReplicated } from './replicated.ts';
import type { Replicated } from './replicated.ts';
import { startWriters } from './writers.ts';
import type { Writers } from './writers.ts';
import { until } from './until.ts';

/** How often the leader is killed: ten times for a figure. */
const RUNS = Number(process.env['RUNS'] ?? 1);
const BACK_MS = 120_000;
const none = { missing: 0, changed: 0, doubled: 0 };

test('an acknowledged order outlives its leader', { skip: missing }, async t => {
  const database = await openReplicated(t);
  const step = (name: string, run: (under: Under) => Promise<void>) =>
    t.test(name, inner => loaded(inner, database, run));

  await step('a former leader that cannot be rewound is copied again', async under => {
    const leader = await database.leader();
    const rights = 'execute on function pg_read_binary_file(text, bigint, bigint, boolean)';
    // in the database that pg_rewind reads from
    await database.sql(leader, `revoke ${rights} from rewind`, 'postgres');
    await withoutWrites(under, () => database.kill(leader));
    await database.start(leader);
    await database.whole();
    await database.sql(await database.leader(), `grant ${rights} to rewind`, 'postgres');
    await settle(under);
  });

  for (let run = 1; run <= RUNS; run += 1) {
    await step(`leader killed, ${run} of ${RUNS}`, async under => {
      const leader = await database.leader();
      await withoutWrites(under, () => database.kill(leader));
      assert.notEqual(await database.leader(), leader);
      await database.start(leader);
      await settle(under);
    });
  }

  await step('leader started again in its place', async under => {
    await withoutWrites(under, async () => database.crash(await database.leader()));
    await settle(under);
  });

  await step('leader frozen, and thawed again beside the new one', async under => {
    const leader = await database.leader();
    await withoutWrites(under, () => database.freeze(leader));
    await database.thaw(leader);
    await settle(under);
  });

  await step('leader handed over in order', async under => {
    const [leader, { confirms }] = [await database.leader(), await database.standbys()];
    await withoutWrites(under, () => database.handOver(leader, confirms));
    assert.equal(await database.leader(), confirms);
    await settle(under);
  });

  await step('the standby that confirms lost: the other one confirms, and writes go on', async under => {
    const { confirms } = await database.standbys();
    await withoutWrites(under, () => database.kill(confirms));
    await database.start(confirms);
    await settle(under);
  });

  await step('the standby that confirms frozen: it is given up, and writes go on', async under => {
    const { confirms } = await database.standbys();
    await withoutWrites(under, () => database.freeze(confirms));
    await database.thaw(confirms);
    await settle(under);
  });

  await step('both standbys lost: nothing is acknowledged until one is back', async under => {
    const { confirms, follows } = await database.standbys();
    await database.kill(follows);
    await database.kill(confirms);
    // what was on its way
    await tried(under.writers);
    const before = under.writers.acked();
    await tried(under.writers);
    assert.equal(under.writers.acked(), before);
    await withoutWrites(under, () => database.start(follows));
    await database.start(confirms);
    await settle(under);
  });

  await step('leader cut from all others: it never acknowledges what they do not have', async under => {
    const leader = await database.leader();
    await database.sql(leader, 'create table if not exists cut (moment timestamptz)');
    const told: string[] = [];
    await withoutWrites(under, () => database.cut(leader), async () => {
      const { code, stderr } = await database.write(leader, 'insert into cut values (now())');
      told.push(code === 0 ? 'acknowledged' : stderr.trim() || 'waits');
    });
    under.t.diagnostic([...new Set(told)].join('; '));
    assert.ok(!told.includes('acknowledged'), 'the leader that was cut off has acknowledged a write');
    await database.heal(leader);
    await settle(under);
  });

  await step('etcd lost: the leader goes on while every member answers', async under => {
    const leader = await database.leader();
    const from = performance.now();
    await withoutWrites(under, async () => {
      for (const member of ['etcd-control', 'etcd-worker1']) await database.kill(member);
    });
    // longer than a leader may be out of reach
    await until(() => under.writers.ackedSince(from + 30_000), back => back, BACK_MS);
    for (const member of ['etcd-control', 'etcd-worker1']) await database.start(member);
    assert.equal(await database.leader(), leader);
    under.t.diagnostic(`without writes: ${under.writers.silence(from)} ms`);
    await settle(under);
  });
});

test('with replication that nobody waits for, orders go with the leader', { skip: missing }, async t => {
  const database = await openReplicated(t);
  await loaded(t, database, async under => {
    const { writers } = under;
    await database.set('synchronous_mode_strict=false');
    await database.set('synchronous_mode=false');
    await database.set('maximum_lag_on_failover=104857600');
    const leader = await database.leader();
    await until(() => database.sql(leader, 'show synchronous_standby_names'), seen => seen === '', BACK_MS);
    // the standbys get nothing any more, and the leader goes on
    await database.sql(leader, 'alter role replicator nologin');
    const end = () => database.sql(leader, 'select pg_terminate_backend(pid) from pg_stat_replication');
    await until(end, seen => seen === '', BACK_MS);
    const before = writers.acked();
    await until(writers.acked, many => many > before + 100, BACK_MS);
    await database.kill(leader);
    await writers.stop();
    await until(database.leader, name => name !== leader, BACK_MS);
    const seen = writers.reckon(await database.rows());
    under.t.diagnostic(JSON.stringify(seen));
    assert.ok(seen.missing >= 100, `${seen.missing} acknowledged orders were lost`);
  });
});

type Under = { t: TestContext; database: Replicated; writers: Writers };

/** Under four writers that have begun, on a database that is whole. */
async function loaded(t: TestContext, database: Replicated, run: (under: Under) => Promise<void>): Promise<void> {
  await database.whole();
  const writers = startWriters(database.url);
  t.after(writers.stop);
  await until(writers.acked, many => many > 50, BACK_MS);
  await run({ t, database, writers });
}

/** From the fault until an order is acknowledged that was sent after it; says how long nothing was. */
async function withoutWrites(
  { t, writers }: Under, fault: () => Promise<void>, meanwhile: () => Promise<void> = async () => undefined,
): Promise<void> {
  const from = performance.now();
  await fault();
  const after = performance.now();
  const look = async () => {
    await meanwhile();
    return writers.ackedSince(after);
  };
  await until(look, back => back, BACK_MS);
  t.diagnostic(`without writes: ${writers.silence(from)} ms`);
}

/** Every writer has tried once more, and knows what became of it. */
async function tried(writers: Writers): Promise<void> {
  const moment = performance.now();
  await until(() => writers.triedSince(moment), is => is, BACK_MS);
}

/** The database is whole again, and nothing that was acknowledged is missing. */
async function settle({ t, database, writers }: Under): Promise<void> {
  await database.whole();
  await writers.stop();
  const seen = writers.reckon(await database.rows());
  t.diagnostic(JSON.stringify(seen));
  assert.deepEqual({ ...seen, ...none }, seen);
}
