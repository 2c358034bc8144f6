// Drills against systems that lie while a fault is in place: each lie is seen, and told at the rung where it belongs.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { climb } from '../checks/climb.ts';
import { rungs } from '../checks/rungs.ts';
import { pickDrills } from '../drills/catalogue.ts';
import { rungsOf } from '../experiment/drill.ts';
import { openExperiment } from '../experiment/experiment.ts';
import { readOptions } from '../options.ts';
import { root } from '../programs/program.ts';
import type { Point } from '../results/point.ts';
import type { Stage } from '../results/registry.ts';
import type { Ended } from '../results/run.ts';
import { controlOf, done, factsOf, openFakeSystem, redRung } from './fake-system.ts';
import type { FakeSystem, Play } from './fake-system.ts';
import { losingTables } from './fake-tables.ts';
import { commit, problem, withFields } from './honest.ts';
import type { Lie, Reply } from './honest.ts';
import { complaint, cutting, draining, refuses, upgrading } from './plays.ts';

/** `red`: the checks that break, as `rung check`. `says` is what the first of them has to tell. */
type Case = { drill: string; of: string; red: string[]; says?: RegExp; lie?: Lie; play?: Play; scale?: string };

describe('a drill', { concurrency: 12 }, () => {
  const cases: Case[] = [
    { drill: 'read-only', of: 'an honest service', red: [], lie: refusing('read_only') },
    { drill: 'read-only', of: 'readiness by select 1', red: ['meanwhile ready-503'], lie: staysReady },
    {
      drill: 'read-only', of: 'reads that are refused too', red: ['meanwhile reads-served'],
      lie: (reply, { path }, { database }) => database || path !== '/ready' ? reply : withReason(reply, 'read_only'),
    },
    { drill: 'right-revoked', of: 'readiness by select 1', red: ['meanwhile ready-503'], lie: staysReady },
    {
      drill: 'connections-exhausted', of: 'another reason', red: ['meanwhile ready-503'], says: /too_many_connections/,
      lie: (reply, { path }, { database }) => database || path !== '/ready' ? reply : withReason(reply, 'unknown'),
    },
    {
      drill: 'bad-credentials', of: 'readiness that lies', red: ['meanwhile ready-503'],
      lie: unseen, says: /ready: wanted 503 .* saw 200/,
    },
    {
      drill: 'network-cut', of: 'a platform that cuts nothing', red: ['real in-place'],
      play: verb => verb === 'inject' ? done : undefined,
    },
    {
      drill: 'table-locked', of: 'a verify that stays green', red: ['red verify-red'],
      says: /wanted exit 1, saw exit 0/, lie: unseen, play: verb => verb === 'verify' ? 'nothing' : undefined,
    },
    {
      drill: 'disk-full', of: 'a verify that is red elsewhere', red: ['red verify-red'],
      says: /usable: wanted no, saw –/, lie: staysReady,
      play: verb => verb === 'verify' ? 'ready' : undefined,
    },
    { drill: 'service-frozen', of: 'a service that answers', red: ['meanwhile health-fails'], play: inPlaceOnly },
    {
      drill: 'db-restart-storm', of: 'a database that is not restarted', red: ['fault restarted'], scale: '0.5',
      says: /wanted a start after/,
    },
    {
      drill: 'db-down', of: 'health that depends on the database', red: ['meanwhile health-200'], says: /degraded/,
      lie: (reply, { path }, { database }) => (
        path === '/health' && !database ? withFields(reply, { status: 'degraded' }) : reply
      ),
    },
    {
      drill: 'db-down', of: 'refused orders that are stored later', red: ['after orders-there'],
      says: /refused, yet stored/, lie: storesRefused(),
    },
    {
      drill: 'db-hung', of: 'recovery over its budget', red: ['recovery recovered'],
      says: /write \d+ ms after the system/, lie: slowlyBack(),
    },
    {
      drill: 'db-down', of: 'orders that are lost, reported as lost', red: ['after orders-there'],
      says: /^accepted and missing: \d+ orders, .*[0-9a-f-]{36}/,
      play: (verb, _args, { honest: { orders } }) => {
        const lost = [...orders.values()].filter(({ symbol }) => symbol.startsWith('ZZD'));
        if (verb === 'recover') lost.forEach(order => orders.delete(order.order_id));
        return undefined;
      },
    },
    {
      drill: 'restart-keeps-orders', of: 'a database with fsync off', red: ['durable durable'], says: /fsync off/,
      play: (verb, _args, system) => verb === 'facts' ? { done: { ...factsOf(system), durability: {
        fsync: 'off', full_page_writes: 'on', synchronous_commit: 'on', data_checksums: 'on',
      } } } : undefined,
    },
    { drill: 'drain', of: 'connections that are kept', red: ['meanwhile says-close'], ...draining() },
    { drill: 'upgrade', of: 'an honest up', red: [], ...upgrading() },
    {
      drill: 'upgrade', of: 'an up that does not say why', red: ['refused rolled-back'],
      says: /wanted it to name database_missing/, ...upgrading({ stderr: `rolled back to ${commit}` }),
    },
    {
      drill: 'upgrade', of: 'an up that changes nothing', red: ['fault upgraded'], says: /wanted the build 0ddba12/,
      ...upgrading({ sha: commit }),
    },
    { drill: 'upgrade', of: 'orders lost on the way', red: ['reckoning nothing-lost'], ...upgrading({ loses: true }) },
    { drill: 'power-cut', of: 'an honest platform', red: [], play: cutting() },
    { drill: 'power-cut', of: 'an honest VM', red: [], play: cutting({ platform: 'vagrant' }) },
    {
      drill: 'power-cut', of: 'a platform that does nothing', red: ['fault cut'], says: /saw nothing of it/,
      play: verb => verb === 'inject' ? done : undefined,
    },
    {
      drill: 'power-cut', of: 'a database that ran on', red: ['fault cut'], says: /wanted a start after start 0/,
      play: cutting({ starts: 0 }),
    },
    {
      drill: 'power-cut', of: 'a VM that was not booted', red: ['fault cut'], says: /wanted another boot/,
      play: cutting({ platform: 'vagrant', boots: 0 }),
    },
    { drill: 'backup-restores', of: 'an honest platform', red: [], play: losingTables() },
    {
      drill: 'backup-restores', of: 'a platform that does nothing', red: ['real in-place'],
      play: (verb, ...more) => verb === 'inject' ? done : losingTables()(verb, ...more),
    },
    {
      drill: 'backup-restores', of: 'a restore that brings nothing', red: ['recovery restored'],
      says: /accepted and missing: \d+ orders/, play: losingTables({ restores: false }),
    },
    {
      drill: 'backup-restores', of: 'a backup of no order', red: ['backup taken'],
      says: /orders promised before it, saw 0/, play: losingTables({ dumps: false }),
    },
    { drill: 'config-refused', of: 'an honest service', red: [], play: refuses(complaint) },
    {
      drill: 'config-refused', of: 'an answer that is invented', red: ['PORT malformed'], says: /that quotes/,
      play: refuses(({ variable }) => `config: ${variable} is required`),
    },
    {
      drill: 'config-refused', of: 'a misspelt setting that is taken', red: ['misspelt READY_TIMEOUT_MS'],
      play: refuses(spoilt => spoilt.how === 'misspelt' && spoilt.variable[0] === 'R' ? '' : complaint(spoilt)),
    },
    {
      drill: 'config-refused', of: 'a secret that is shown', red: ['misspelt DATABASE_PASSWORD'],
      says: /keeps the value/, play: refuses(spoilt => (
        `${complaint(spoilt)}${spoilt.variable === 'DATABASE_PASSWORD' ? ` ${spoilt.value}` : ''}`
      )),
    },
    {
      drill: 'config-refused', of: 'a password in the log', red: ['secret secret-kept'], says: /saw it in service/,
      play: (verb, args, system) => (
        verb === 'leaks' ? { done: ['service'] } : refuses(complaint)(verb, args, system)
      ),
    },
  ];
  for (const { drill, of, red, says = /./, lie, play, scale = '1' } of cases) {
    it(`${drill} ${red.length === 0 ? 'holds for' : 'sees'} ${of}`, { timeout: 60_000 }, async t => {
      const system = await openFakeSystem(t, { ...lie ? { lie } : {}, ...play ? { play } : {} });
      const broken = await run(t, drill, { ...system, env: { ...system.env, SCALE: scale } });
      assert.deepEqual(broken.map(({ check }) => check), red, broken.map(({ why }) => why).join('\n'));
      if (red.length > 0) assert.match(broken[0]?.why ?? '', says);
    });
  }
});

/** Runs a drill in this process; gives the checks that broke. */
async function run(t: TestContext, name: string, system: FakeSystem): Promise<{ check: string; why: string }[]> {
  const [drill] = pickDrills([name]).picked;
  const read = readOptions(system.env, root);
  assert.ok(drill !== undefined && 'options' in read);
  const experiment = openExperiment({
    options: read.options, target: system.honest.target, ledger: join(system.state, 'ledger/drill.jsonl'),
    control: controlOf(system), tellLadder: async () => undefined, onHalt: async () => undefined,
    verify: async expect => pretendVerify(await redIn(system, expect)),
  });
  t.after(experiment.close);
  const broken: { check: string; why: string }[] = [];
  const stage: Stage = { test: async (_name, { id: { rung, check }, skip }, act) => {
    if (skip !== undefined) return;
    await act({ diagnostic: () => undefined }).catch((error: Error) => {
      broken.push({ check: `${rung} ${check}`, why: error.message });
      throw error;
    });
  } };
  const quiet: Stage = { test: (...args) => stage.test(...args).catch(() => undefined) };
  await climb(quiet, rungsOf(drill, experiment), { id: { node: 'control', drill: name } });
  await experiment.close();
  return broken;
}

async function redIn(system: FakeSystem, expect: string): Promise<string | null> {
  const played = await system.play('verify', [expect], system);
  return typeof played === 'string' ? played : redRung(system, expect);
}

function pretendVerify(red: string | null): Ended {
  const at = rungs.findIndex(rung => rung === red);
  const points = rungs.map((rung, i): Point => ({
    id: { node: 'control', rung, check: 'pretended' }, claim: rung, held: i !== at, said: [], error: undefined,
    skip: at >= 0 && i > at ? 'blocked' : undefined, blockedBy: at >= 0 && i > at ? rungs[at] : undefined,
  }));
  return { points, cannotRun: undefined, exit: at < 0 ? 0 : 1, ms: 1 };
}

function withReason(reply: Reply, reason: string): Reply {
  const { checks } = JSON.parse(reply.body) as { checks: { database: object } };
  return withFields(reply, { checks: { database: { ...checks.database, reason } } });
}

/** What an honest service does that cannot store orders, and can read them. */
function refusing(reason: string): Lie {
  return (reply, { path }, { database, orders }) => {
    if (database) return reply;
    const order = orders.get(path.replace('/orders/', ''));
    const headers = { ...reply.headers, 'content-type': 'application/json' };
    if (order !== undefined) return { status: 200, headers, body: JSON.stringify(order) };
    return path === '/ready' && reply.status === 503 ? withReason(reply, reason) : reply;
  };
}

function unseenReply(reply: Reply, path: string, database: boolean): Reply {
  if (database || path !== '/ready') return reply;
  const { checks } = JSON.parse(reply.body) as { checks: { database: object } };
  const up = { ...checks.database, status: 'up', reason: undefined };
  return withFields({ ...reply, status: 200 }, { status: 'ready', checks: { database: up } });
}

function unseen(reply: Reply, { path }: { path: string }, { database }: { database: boolean }): Reply {
  return unseenReply(reply, path, database);
}

/** As `select 1` does. */
function staysReady(...[reply, request, honest]: Parameters<Lie>): ReturnType<Lie> {
  return refusing('')(unseenReply(reply, request.path, honest.database), request, honest);
}

/** The platform does something that this service does not notice. */
function inPlaceOnly(verb: string): unknown {
  return verb === 'inPlace' ? true : verb === 'inject' ? done : undefined;
}

/** What it refused it has in the end: the key is known as another order's. */
function storesRefused(): Lie {
  const refused = new Set<string>();
  return (reply, { path, key }, { database }) => {
    if (path !== '/order' || key === undefined) return reply;
    if (!database) refused.add(key);
    if (!database || !refused.has(key)) return reply;
    const { headers, body } = problem(422, 'idempotency_key_reused');
    const id = reply.headers['x-request-id'] ?? '';
    return { status: 422, headers: { ...headers, 'x-request-id': id }, body: body.replace('REQUEST-ID', id) };
  };
}

/** Ready at once, and orders a while later. */
function slowlyBack(): Lie {
  let wasDown = false;
  let backMs = Infinity;
  let form: Reply | undefined;
  return (reply, { path }, { database }) => {
    if (path === '/ready' && !database) return withReason(reply, 'timeout');
    if (path === '/order' && !database) form = reply;
    if (wasDown && database) backMs = Math.min(backMs, performance.now());
    wasDown ||= !database;
    if (path !== '/order' || form === undefined || performance.now() - backMs > 4_000) return reply;
    const id = reply.headers['x-request-id'] ?? '';
    return withFields({ ...form, headers: { ...form.headers, 'x-request-id': id } }, { request_id: id });
  };
}
