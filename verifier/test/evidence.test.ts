// The evidence of runs: what is kept, that it is whole and private, and that nothing about it changes a verdict.
import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { until } from '../client/until.ts';
import { MOST_RUNS, readRuns, takePlace } from '../evidence/folder.ts';
import { hideSecrets, linesSince } from '../evidence/hide.ts';
import { junitOf } from '../evidence/junit.ts';
import { parseResult } from '../evidence/result.ts';
import { report } from '../programs/report.ts';
import { drillProgram, openFakeSystem } from './fake-system.ts';
import { start } from './program.ts';
import { openHonestWorld, plainFacts, runVerify } from './running.ts';
import { samplePoint, sampleResult } from './sample-run.ts';

const reportProgram = fileURLToPath(new URL('../report.js', import.meta.url));

describe('evidence', { concurrency: 2 }, () => {
  test('of a verification is kept whole and private; its TAP is what stdout had', async t => {
    const { world } = await openHonestWorld(t);
    const asked: string[] = [];
    world.facts = node => {
      const told = plainFacts(node);
      assert.ok('done' in told && !told.done.containers);
      return { done: { ...told.done, user: `look-${asked.push(node)}` } };
    };
    const run = await runVerify(world.env);
    assert.equal(run.code, 0, run.stdout);
    assert.equal(asked.length, 2, 'the run looks once, its evidence once more, afterwards');
    const [kept, ...others] = await readRuns(join(world.folder, 'state/evidence'));
    assert.ok(kept);
    assert.deepEqual(others, []);
    const { folder, result } = kept;
    assert.deepEqual((await readdir(folder)).sort(), [
      'facts-after.json', 'facts-before.json', 'junit.xml', 'report.html', 'result.json', 'run.tap',
    ]);
    assert.equal(await readFile(join(folder, 'run.tap'), 'utf8'), run.stdout);
    const { program, exit, verdict, fault, platform, nodes, points, missing } = result;
    assert.deepEqual({ program, exit, fault, platform, nodes }, {
      program: 'verify', exit: 0, fault: null, platform: 'process', nodes: ['control'],
    });
    assert.equal(`# ${verdict}`, run.verdict);
    assert.match(result.commit ?? '', /^[0-9a-f]{40}$/);
    // the fake control has no logs: why a part is missing is kept instead
    assert.match(missing['logs'] ?? '', /no business with logs/);
    assert.deepEqual(points.map(({ id, held }) => ({ id, held })), run.points.map(({ id, held }) => ({ id, held })));
    assert.ok(points.every(({ ms, atMs }) => ms >= 0 && atMs > 0));
    const xml = await readFile(join(folder, 'junit.xml'), 'utf8');
    assert.equal(xml.match(/<testcase /g)?.length, points.length);
    assert.match(xml, /<testcase name="control reachable: [^"]*" time="[\d.]+" classname="verify\.control\.reachable"/);
    const facts = JSON.parse(await readFile(join(folder, 'facts-before.json'), 'utf8')) as Record<string, object>;
    assert.deepEqual(facts['control'], { platform: 'process', ...facts['control'], user: 'look-1' });
    assert.match(await readFile(join(folder, 'facts-after.json'), 'utf8'), /"user": "look-2"/);
    assert.equal((await stat(folder)).mode & 0o777, 0o700);
    for (const name of await readdir(folder)) assert.equal((await stat(join(folder, name))).mode & 0o777, 0o600, name);
  });

  test('of a drill has its timeline, and its times beside what was allowed', async t => {
    const { env, state } = await openFakeSystem(t);
    const run = await start(drillProgram, ['db-down'], env).ended;
    assert.equal(run.code, 0, run.stdout + run.stderr);
    const [kept] = await readRuns(join(state, 'evidence'));
    assert.deepEqual(kept?.result.drills.map(({ drill, node }) => [drill, node]), [['db-down', 'control']]);
    const times = kept?.result.drills[0]?.times ?? [];
    const inTime = times.filter(({ ms, withinMs }) => ms !== null && ms <= withinMs);
    assert.ok(times.length >= 2 && inTime.length === times.length, JSON.stringify(times));
    const lines = (await readFile(join(kept?.folder ?? '', 'timeline.ndjson'), 'utf8')).trim().split('\n');
    const told = lines.map(line => JSON.parse(line) as { mark?: string; probe?: string; grade?: string });
    assert.ok(told.some(({ mark }) => mark === 'inject') && told.some(({ mark }) => mark === 'recovered'));
    assert.ok(told.some(({ probe, grade }) => probe === 'ready' && grade === 'refused'));
    const textOf = (name: string) => readFile(join(kept?.folder ?? '', name), 'utf8');
    assert.match(await textOf('report.html'), /<title>ready: refused as promised, 503 /);
    assert.match(await textOf('junit.xml'), /<testsuite name="db-down"/);
  });

  test('that cannot be kept is one line on stderr, and changes nothing else', async t => {
    const { world } = await openHonestWorld(t);
    await mkdir(join(world.folder, 'state'));
    await writeFile(join(world.folder, 'state/evidence'), 'in its way');
    const run = await runVerify(world.env);
    assert.equal(run.code, 0);
    assert.match(run.stderr, /^verify: no evidence is kept of this run: [^\n]*state\/evidence'?\n$/);
    assert.match(run.verdict, /^# verdict: .*reachable yes/);
  });
});

test('two runs of one moment do not collide, what is under way is nobody\'s yet, and the oldest go', async t => {
  const folder = await openFolder(t);
  const now = new Date('2026-11-25T17:18:10.123Z');
  const [one, other] = await Promise.all([takePlace(folder, 'verify', now), takePlace(folder, 'verify', now)]);
  assert.deepEqual([one.id, other.id].sort(), ['2026-11-25T17-18-10-123Z-verify', '2026-11-25T17-18-10-123Z-verify.2']);
  assert.deepEqual(await readRuns(folder), []);
  const abandoned = await takePlace(folder, 'drill', now);
  await utimes(join(folder, `.${abandoned.id}`), 0, 0);
  for (let day = 0; day < MOST_RUNS; day += 1) {
    const place = await takePlace(folder, 'drill', new Date(now.getTime() + (day + 1) * 86_400_000));
    await place.keep({ 'result.json': JSON.stringify(sampleResult('drill', { id: place.id })), 'logs/a.log': 'a\n' });
  }
  await one.keep({ 'result.json': JSON.stringify(sampleResult('verify', { id: one.id })) });
  const names = await readdir(folder);
  assert.equal(names.length, MOST_RUNS + 1);
  assert.deepEqual([names.includes(`.${other.id}`), names.includes(one.id)], [true, false]);
  assert.equal((await stat(await other.keep({ 'result.json': '' }).then(() => folder))).mode & 0o777, 0o700);
  assert.ok((await readRuns(folder)).every(({ result }) => result.program === 'drill'));
});

test('a run that was ended before its plan has its XML, with the reason as a failure', async () => {
  const drilled = { node: 'control', drill: 'db-down' };
  const points = [samplePoint({ id: { ...drilled, rung: 'sound', check: 'contract' }, claim: 'db-down <sound>' })];
  const xml = await junitOf({ program: 'drill', points, fault: 'ended by SIGKILL before its plan' });
  assert.match(xml, /<testsuite name="db-down"[^>]* failures="0"/);
  assert.match(xml, /<testcase name="db-down &lt;sound>?/);
  assert.match(xml, /<testcase name="the run came to its end"[^>]*>\s*<failure [^>]*message="ended by SIGKILL before/);
  assert.doesNotMatch(await junitOf({ program: 'verify', points: [samplePoint()], fault: null }), /<failure/);
});

test('of a log only what was written during the run is kept, and no secret of any text', () => {
  const lines = [
    '{"time":"2026-11-25T17:00:00.000Z"}', '  at old', '2026-11-25 17:18:10.124 UTC [7] LOG:  new', 'DETAIL',
  ];
  const since = Date.parse('2026-11-25T17:18:10Z');
  assert.deepEqual(linesSince(lines, since), lines.slice(2));
  assert.deepEqual(linesSince(lines.slice(0, 2), since), []);
  assert.deepEqual(linesSince(['no time'], since), ['no time']);
  const secret = 'hunter2-_x';
  for (const text of [
    `DATABASE_PASSWORD=${secret}`, `"DATABASE_PASSWORD": "${secret}"`, `{\\"password\\":\\"${secret}\\"}`,
    `STATEMENT:  alter role orders password '${secret}';`, `alter role orders PASSWORD &#39;${secret}&#39;;`,
    `postgres://orders:${secret}@127.0.0.1/orders`, `Authorization: Bearer ${secret}`, `api_token: ${secret}`,
  ]) {
    assert.ok(!hideSecrets(text).includes(secret), hideSecrets(text));
    assert.match(hideSecrets(text), /\[hidden\]/);
  }
  const harmless = 'password authentication failed for user "orders"; DATABASE_PASSWORD_FILE=/run/secrets/password';
  assert.equal(hideSecrets(harmless), harmless);
  const facts = JSON.stringify({ with_password: ['postgres'], access: { with_password: [] } }, undefined, 2);
  assert.equal(hideSecrets(facts), facts, 'facts stay JSON');
});

test('make report names the newest run, or an index over all; without any it says what leaves some', async t => {
  const folder = await openFolder(t);
  const evidence = join(folder, 'evidence');
  const env = { ORDERS_STATE: folder, PATH: process.env['PATH'] ?? '' };
  const said = async (more: Record<string, string> = {}) => {
    const { code, stdout, stderr } = await start(reportProgram, [], { ...env, ...more }).ended;
    return [code, stdout + stderr];
  };
  assert.deepEqual(await said(), [1, 'report: there is no evidence yet: make verify or make drill leaves some\n']);
  assert.deepEqual(await said({ ALL: 'yes' }), [2, 'report: ALL must be 0 or 1, not "yes"\n']);
  for (const [minute, within] of [[1, null], [2, null], [3, 'another-run']] as const) {
    const place = await takePlace(evidence, 'verify', new Date(Date.UTC(2026, 10, 25, 17, minute)));
    await place.keep({ 'result.json': JSON.stringify(sampleResult('verify', { id: place.id, within })) });
  }
  await mkdir(join(evidence, '2026-11-25T17-09-00-000Z-verify'));
  // a run of its own, not one that another has made, and none that cannot be read
  assert.deepEqual(await said(), [0, `${evidence}/2026-11-25T17-02-00-000Z-verify/report.html\n`]);
  // at a terminal of a desktop the page is opened, by whatever opens pages there
  const opener = join(folder, 'xdg-open');
  await writeFile(opener, '#!/bin/sh\ncd "${0%/*}" && printf %s "$1" >part && mv part opened\n');
  await chmod(opener, 0o755);
  const desktop = { ...env, DISPLAY: ':0', PATH: `${folder}:${env.PATH}` };
  assert.equal(await report({ args: [], env: desktop, isTerminal: true }), 0);
  const opened = () => readFile(join(folder, 'opened'), 'utf8').catch(() => '');
  assert.match(await until(opened, text => text !== '', 20_000, 20), /T17-02-00-000Z-verify\/report\.html$/);
  assert.deepEqual(await said({ ALL: '1' }), [0, `${evidence}/index.html\n`]);
  const index = await readFile(join(evidence, 'index.html'), 'utf8');
  assert.match(index, /href="2026-11-25T17-03-00-000Z-verify\/report\.html"/);
  assert.equal((await stat(join(evidence, 'index.html'))).mode & 0o777, 0o600);
});

test('what is no result of this format is none', () => {
  assert.equal(parseResult(JSON.stringify(sampleResult()))?.program, 'verify');
  for (const text of ['', 'null', '[]', '{"format":2}', '{']) assert.equal(parseResult(text), undefined, text);
});

async function openFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'orders-evidence-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}
