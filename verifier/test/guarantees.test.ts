// The guarantee map: nothing without a proof, no proof that is not there, and what evidence says about each.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { rungs, checks, machineChecks, unreadyChecks } from '../checks/rungs.ts';
import { drills } from '../drills/catalogue.ts';
import { takePlace } from '../evidence/folder.ts';
import type { Result } from '../evidence/result.ts';
import { guarantees } from '../guarantees/map.ts';
import type { Guarantee, Proof } from '../guarantees/map.ts';
import { lastSeen, nameOf, unprovenIn } from '../guarantees/proofs.ts';
import { root } from '../programs/program.ts';
import { criteria, drillsOfTheList } from '../programs/specification.ts';
import type { Acceptance } from '../programs/specification.ts';
import { start } from './program.ts';
import { samplePoint, sampleResult } from './sample-run.ts';

const program = fileURLToPath(new URL('../guarantees.js', import.meta.url));
const acceptance = {} as Acceptance;

/** By name, everything that can prove something. */
const known = new Set([
  ...rungs.flatMap(rung => [...checks[rung], ...unreadyChecks[rung]].map(check => `${rung}/${check}`)),
  ...machineChecks.online.map(check => `online/${check}`),
  ...drills.map(({ name }) => `drill ${name}`),
  ...criteria(acceptance).map(({ name }) => `acceptance ${name}`),
]);

async function isThere(proof: Proof): Promise<boolean> {
  if (!('test' in proof)) return known.has(nameOf(proof));
  return (await readFile(join(root, proof.test), 'utf8')).includes(`test('${proof.title}'`);
}

test('every guarantee has a proof, and every proof is there', async () => {
  assert.ok(guarantees.length > 60);
  assert.deepEqual(guarantees.filter(({ proofs }) => proofs.length === 0), []);
  for (const { says, proofs } of guarantees) {
    for (const proof of proofs) {
      assert.ok(await isThere(proof), `"${says}" is proven by ${nameOf(proof)}, which is not there`);
    }
    assert.equal(new Set(proofs.map(nameOf)).size, proofs.length, `"${says}" names a proof twice`);
  }
  const rows = guarantees.map(({ from, says }) => `${from}: ${says}`);
  assert.equal(new Set(rows).size, rows.length);
});

test('every drill of the acceptance list is one of the catalogue, and no proof hangs on a drill of neither', () => {
  const names = drills.map(({ name }) => name);
  assert.deepEqual(drillsOfTheList.filter(name => !names.includes(name)), []);
  const own = guarantees.filter(({ from }) => from === 'Failure Drills').flatMap(({ proofs }) => proofs.map(nameOf));
  const named = own.filter(name => name.startsWith('drill ')).map(name => name.replace('drill ', ''));
  assert.deepEqual(named.filter(name => !drillsOfTheList.some(one => one === name)), [], 'named by the specification');
});

test('every row of the table in README is a guarantee, proven by the drill that the row names', async () => {
  const readme = await readFile(join(root, 'README.md'), 'utf8');
  const section = readme.split('## What is guaranteed')[1]?.split('\n## ')[0] ?? '';
  const [, ...lines] = section.split('\n').filter(line => line.startsWith('| '));
  const rows = lines.map(line => line.split('|').map(cell => cell.trim()));
  const own = guarantees.filter(({ from }) => from === 'README');
  assert.deepEqual(rows.map(([, scenario]) => scenario), own.map(({ says }) => says));
  for (const [, scenario, , seenBy = ''] of rows) {
    const [, named] = /DRILL=([a-z-]+)/.exec(seenBy) ?? [];
    const names = own.find(({ says }) => says === scenario)?.proofs.map(nameOf) ?? [];
    assert.ok(named === undefined || names.includes(`drill ${named}`), `${scenario}: ${seenBy}`);
  }
});

const dbDown: Proof = { drill: 'db-down' };
const held: Proof = { check: 'reachable/tcp-held' };
const starts: Proof = { criterion: 'start' };
const within = 'the-acceptance';

/** An acceptance in which one verification of two nodes and one drill ran. */
function accepted(): Result[] {
  const nodes = ['control', 'worker1'];
  const points = ['tcp-held', 'tcp-steady'].flatMap(check => nodes.map(node => (
    samplePoint({ id: { node, rung: 'reachable', check } })
  )));
  const verified = { within, exit: 0, nodes, points };
  return [
    sampleResult('verify', verified),
    sampleResult('drill', { within, exit: 0, points: [samplePoint({ id: { node: 'control', drill: 'db-down' } })] }),
    sampleResult('acceptance', {
      id: within, exit: 0, points: [
        samplePoint({ id: { node: 'control', rung: 'start', check: 'criterion' } }),
        samplePoint({ id: { node: 'control', rung: 'drills', check: 'db-down' } }),
      ],
    }),
  ];
}

test('a proof is last seen in the newest run that has looked; outside of a rehearsal on docker and VMs only', () => {
  const runs: Result[] = [
    ...accepted().map(run => ({ ...run, platform: 'docker', started: '2026-11-24T00:00:00.000Z' })), ...accepted(),
    sampleResult('drill', { started: '2026-11-26T00:00:00.000Z' }),
  ];
  const { last, real } = lastSeen(dbDown, runs);
  assert.deepEqual(last, { started: '2026-11-26T00:00:00.000Z', platform: 'process', held: false });
  assert.deepEqual(real, { started: '2026-11-24T00:00:00.000Z', platform: 'docker', held: true });
  assert.deepEqual(lastSeen(held, accepted()).real, undefined);
  assert.deepEqual(lastSeen({ check: 'usable/order' }, [sampleResult()]).last, undefined);
});

test('in the last acceptance each proof ran exactly once, or it is named', () => {
  const rows: Guarantee[] = [{ from: 'here', says: 'something', proofs: [dbDown, held, starts] }];
  const [verified, drilled, whole] = accepted() as [Result, Result, Result];
  const skipped = { ...drilled, points: drilled.points.map(point => ({ ...point, skip: 'not possible here' })) };
  const skippedOn = (...nodes: string[]): Result => ({ ...verified, points: verified.points.map(point => (
    nodes.includes(point.id.node) ? { ...point, skip: 'too young' } : point
  )) });
  const once = 'wanted once, saw it';
  const cases: [runs: Result[], unproven: string[]][] = [
    [[], ['there is no evidence of an acceptance: make acceptance']],
    [[verified, drilled, whole], []],
    // what ran outside of it does not count
    [[verified, drilled, { ...drilled, within: null }, whole], []],
    [[verified, { ...drilled, within: null }, whole], [`drill db-down: ${once} 0 times`]],
    [[verified, drilled, drilled, whole], [`drill db-down: ${once} 2 times`]],
    [[verified, skipped, whole], [`drill db-down: ${once} 0 times; skipped: not possible here`]],
    [[{ ...verified, points: verified.points.slice(1) }, drilled, whole], [
      'reachable/tcp-held: wanted once for each node, saw it 0 times',
    ]],
    [[skippedOn('worker1'), drilled, whole], []],
    [[skippedOn('control', 'worker1'), drilled, whole], [
      'reachable/tcp-held: wanted once for each node, saw it 0 times; skipped: too young',
    ]],
    [[{ ...verified, exit: 1 }, drilled, whole], ['reachable/tcp-held: no verification was green']],
    [[verified, drilled, { ...whole, points: whole.points.map(point => ({ ...point, held: false })) }], [
      'acceptance start: it did not hold',
    ]],
  ];
  const [starting] = whole.points;
  const unlisted = { ...whole, points: starting === undefined ? [] : [starting] };
  const outside = { ...drilled, within: null };
  const broken = { ...outside, points: drilled.points.map(point => ({ ...point, held: false })) };
  const unseen = 'drill db-down: it is on no list of make acceptance, and was not seen yet on process for commit '
    + `${unlisted.commit}: make drills`;
  cases.push(
    // a drill that is not on the list: when it was last run there, of that commit
    [[outside, verified, unlisted], []],
    [[outside, verified, unlisted, broken], [`drill db-down: it did not hold at ${broken.started}`]],
    [[outside, verified, unlisted, { ...skipped, within: null }], [
      `drill db-down: it was not run at ${skipped.started}: not possible here`,
    ]],
    [[broken, verified, unlisted, outside], []],
    [[verified, unlisted], [unseen]],
    [[{ ...outside, platform: 'docker' }, verified, unlisted], [unseen]],
    [[{ ...outside, commit: 'c0ffee0' }, verified, unlisted], [unseen]],
    [[outside, verified, unlisted, { ...broken, commit: 'c0ffee0' }], []],
    [[outside, verified, unlisted].map(run => ({ ...run, commit: null })), [
      unseen.replace(String(unlisted.commit), 'unknown'),
    ]],
    // all machines are nodes of a run with NODE=all, also those without a service
    [[{ ...verified, nodes: [...verified.nodes, 'worker2'] }, drilled, whole], []],
  );
  for (const [runs, unproven] of cases) assert.deepEqual(unprovenIn(rows, runs), unproven);
});

test('make guarantees prints when and where a proof was last seen, and what was in rehearsal only', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'orders-guarantees-'));
  t.after(() => rm(folder, { recursive: true }));
  const [, drilled] = accepted();
  const place = await takePlace(join(folder, 'evidence'), 'drill', new Date());
  await place.keep({ 'result.json': JSON.stringify(drilled) });
  const env = { PATH: process.env['PATH'] ?? '', ORDERS_STATE: folder };
  const printed = await start(program, [], env).ended;
  assert.deepEqual([printed.code, printed.stderr], [0, '']);
  assert.match(printed.stdout, /\n {2}Loss of the database causes readiness failure only \(seen in rehearsal only\)\n/);
  assert.match(printed.stdout, /\n {4}held {3}2026-11-25 17:18 process, rehearsal +drill db-down\n/);
  assert.match(printed.stdout, /\n {4}not seen yet +acceptance lifecycle\n/);
  const checked = await start(program, [], { ...env, CHECK: '1' }).ended;
  assert.equal(checked.code, 1);
  assert.equal(checked.stderr, 'guarantees: there is no evidence of an acceptance: make acceptance\n');
  assert.equal((await start(program, ['now'], env).ended).code, 2);
});
