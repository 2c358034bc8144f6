// The verbs around a platform that only remembers what it was asked: turns, memory, the undo journal, names.
import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openControl } from '../control.ts';
import type { Control } from '../control.ts';
import { Misunderstood, faultNames } from '../platform.ts';
import type { FaultName, Faults, Node, Outcome, Platform } from '../platform.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
type Answer = Outcome<undefined>;
type Fake = {
  control: Control;
  open: (env?: Record<string, string>, inDrill?: boolean) => Control;
  state: string;
  asked: string[];
  said: string[];
  up: Set<string>;
  inPlace: Set<string>;
  /** What a verb answers in place of done, by `verb node` or `inject fault node`. */
  answers: Map<string, Answer | (() => Answer | Promise<Answer>)>;
};

async function openFake(t: TestContext): Promise<Fake> {
  const state = await mkdtemp(join(tmpdir(), 'orders-control-'));
  t.after(() => rm(state, { recursive: true }));
  const asked: string[] = [];
  const said: string[] = [];
  const [up, inPlace] = [new Set<string>(), new Set<string>()];
  const answers: Fake['answers'] = new Map();
  const act = async (what: string, then: () => void): Promise<Answer> => {
    asked.push(what);
    const given = answers.get(what) ?? { done: undefined };
    const answer = typeof given === 'function' ? await given() : given;
    if ('done' in answer) then();
    return answer;
  };
  const each = async (verb: string, nodes: Node[], then: (name: string) => void): Promise<Outcome> => {
    for (const { name } of nodes) {
      const answer = await act(`${verb} ${name}`, () => then(name));
      if (!('done' in answer)) return answer;
    }
    return { done: undefined };
  };
  const faults = Object.fromEntries(faultNames.map((fault: FaultName) => [fault, {
    inject: ({ name }: Node) => act(`inject ${fault} ${name}`, () => { inPlace.add(`${fault} ${name}`); }),
    recover: ({ name }: Node) => act(`recover ${fault} ${name}`, () => { inPlace.delete(`${fault} ${name}`); }),
    inPlace: async ({ name }: Node) => inPlace.has(`${fault} ${name}`),
  }])) as Faults;
  const platform: Platform = {
    name: 'process', faults, leaks: async () => ({ done: [] }),
    inDatabase: () => async () => ({ code: 1, stdout: '', stderr: 'no database here', late: false }),
    up: nodes => each('up', nodes, name => { up.add(name); }),
    halt: nodes => each('halt', nodes, name => { up.delete(name); }),
    destroy: nodes => each('destroy', nodes, name => { up.delete(name); }),
    mend: ({ name }) => act(`mend ${name}`, () => {
      for (const one of inPlace) if (one.endsWith(` ${name}`)) inPlace.delete(one);
    }),
    status: async nodes => nodes.map(({ name }) => ({ node: name, line: name, runs: up.has(name) })),
    logs: async () => ({ done: undefined }),
    targets: async nodes => nodes.filter(({ name }) => up.has(name))
      .map(({ name, local }) => ({ node: name, host: local, port: 8000 })),
    facts: async () => ({ failed: 'no facts' }), machine: async () => ({ impossible: 'no machines' }),
  };
  const open: Fake['open'] = (env = {}, inDrill = false) => openControl({
    env: { PATH: process.env['PATH'], ORDERS_STATE: state, PLATFORM: 'process', ...env }, root, inDrill,
    say: line => said.push(line), open: name => ({ ...platform, name }),
  });
  return { control: open(), open, state, asked, said, up, inPlace, answers };
}

const done = { done: undefined };

async function journalOf({ control }: Fake): Promise<string[]> {
  return (await control.journal()).map(({ node, fault }) => `${fault} ${node}`);
}

test('nodes that were asked for are remembered, and later verbs without a name mean them', async t => {
  const fake = await openFake(t);
  assert.deepEqual(await fake.control.memory(), undefined);
  assert.deepEqual(await fake.control.chosenNodes(), ['control']);
  await fake.control.up(['worker1']);
  assert.deepEqual(await fake.control.chosenNodes(), ['worker1']);
  await fake.control.up();
  assert.deepEqual(await fake.control.targets(), [{ node: 'worker1', host: '127.0.0.2', port: 8000 }]);
  assert.deepEqual(await fake.open({ NODE: 'all' }).chosenNodes(), ['control', 'worker1', 'worker2']);
  assert.deepEqual(fake.asked, ['up worker1', 'up worker1']);
});

test('a name that is no node is not understood, and nothing is done', async t => {
  const fake = await openFake(t);
  const { control } = fake;
  const known = /known: control, worker1, worker2, or all/;
  const refused = (error: unknown) => error instanceof Misunderstood && known.test(error.message);
  await assert.rejects(control.up(['worker9']), refused);
  await assert.rejects(control.destroy(['control', 'x']), refused);
  await assert.rejects(control.inject('x', 'db-down'), refused);
  assert.throws(() => fake.open({ SCALE: 'slow', NODE: 'A' }), /SCALE must be .*; NODE must be /);
  assert.deepEqual(fake.asked, []);
});

test('destroy of one node leaves the others with their data; destroy of the last one leaves nothing', async t => {
  const fake = await openFake(t);
  await fake.control.up(['control', 'worker1']);
  await fake.control.inject('control', 'db-down');
  await mkdir(join(fake.state, 'ledger'));
  const ledger = ['process-control.jsonl', 'process-worker1.jsonl', '127.0.0.1_8000.jsonl', '127.0.0.2_8000.jsonl'];
  for (const name of ledger) await writeFile(join(fake.state, 'ledger', name), '');
  fake.asked.length = 0;
  // halted first: where it was reached is still known
  await fake.control.halt(['worker1']);
  await fake.control.destroy(['worker1']);
  assert.deepEqual(fake.asked, ['halt worker1', 'destroy worker1']);
  const left = (await readdir(join(fake.state, 'ledger'))).sort();
  assert.deepEqual(left, ['127.0.0.1_8000.jsonl', 'process-control.jsonl']);
  assert.deepEqual(await journalOf(fake), ['db-down control']);
  assert.deepEqual((await fake.control.memory())?.nodes, ['control']);
  await fake.control.destroy();
  assert.deepEqual(await readdir(join(fake.state, 'ledger')), []);
  assert.equal(await fake.control.memory(), undefined);
  assert.deepEqual(await journalOf(fake), []);
});

test('a fault is in the journal before it is injected, until it was recovered', async t => {
  const fake = await openFake(t);
  await fake.control.up();
  let before: string[] = [];
  fake.answers.set('inject db-down control', async () => {
    before = await journalOf(fake);
    return done;
  });
  assert.deepEqual(await fake.control.inject('control', 'db-down'), done);
  assert.deepEqual(before, ['db-down control']);
  assert.deepEqual(await journalOf(fake), ['db-down control']);
  assert.deepEqual(await fake.control.recover('control', 'db-down'), done);
  assert.deepEqual(await journalOf(fake), []);
});

test('an injection that failed is owed a recovery; one that is not possible erases no entry of before', async t => {
  const fake = await openFake(t);
  await fake.control.up();
  fake.answers.set('inject db-hung control', { failed: 'psql lost its connection' });
  fake.answers.set('inject port-dropped control', { impossible: 'no firewall' });
  assert.deepEqual(await fake.control.inject('control', 'db-hung'), { failed: 'psql lost its connection' });
  assert.deepEqual(await fake.control.inject('control', 'port-dropped'), { impossible: 'no firewall' });
  assert.deepEqual(await journalOf(fake), ['db-hung control']);
  fake.answers.set('inject db-hung control', { impossible: 'not now' });
  await fake.control.inject('control', 'db-hung');
  assert.deepEqual(await journalOf(fake), ['db-hung control']);
});

test('a recovery that failed leaves the entry, and says so', async t => {
  const fake = await openFake(t);
  await fake.control.up();
  await fake.control.inject('control', 'db-down');
  fake.answers.set('recover db-down control', { failed: 'the disk is full' });
  fake.answers.set('mend control', { failed: 'the disk is full' });
  assert.deepEqual(await fake.control.recover('control', 'db-down'), { failed: 'the disk is full' });
  assert.deepEqual(await fake.control.recover('control'), { failed: 'the disk is full' });
  assert.deepEqual(await journalOf(fake), ['db-down control']);
});

test('what a platform throws is a failure with its words, and the entry stays', async t => {
  const fake = await openFake(t);
  await fake.control.up();
  const silent = () => { throw new Error('control does not answer over SSH'); };
  for (const verb of ['inject db-down', 'recover db-down', 'mend', 'halt']) fake.answers.set(`${verb} control`, silent);
  const failed = { failed: 'control does not answer over SSH' };
  const { control } = fake;
  assert.deepEqual(await control.inject('control', 'db-down'), failed);
  assert.deepEqual(await control.recover('control', 'db-down'), failed);
  assert.deepEqual(await control.recover('control'), failed);
  assert.deepEqual(await journalOf(fake), ['db-down control']);
  assert.deepEqual(await control.halt(), failed);
});

test('what healed by itself is not in place, and the next verb that acts forgets it', async t => {
  const fake = await openFake(t);
  await fake.control.up();
  await fake.control.inject('control', 'process-killed');
  await fake.control.inject('control', 'db-down');
  fake.inPlace.delete('process-killed control');
  assert.deepEqual((await fake.control.faultsInPlace()).map(({ fault }) => fault), ['db-down']);
  assert.equal((await journalOf(fake)).length, 2);
  await fake.control.up();
  assert.deepEqual(await journalOf(fake), ['db-down control']);
  const advice = /db-down is still in place on control since .*make recover NODE=control/;
  assert.ok(fake.said.some(line => advice.test(line)));
  assert.ok(!fake.said.some(line => line.includes('process-killed')));
});

test('an unreadable journal is an error for every verb that needs it, and nothing is done', async t => {
  const fake = await openFake(t);
  await fake.control.up();
  await mkdir(join(fake.state, 'journal', 'control.db-down'), { recursive: true });
  fake.asked.length = 0;
  for (const act of [() => fake.control.journal(), () => fake.control.faultsInPlace()]) {
    await assert.rejects(act(), /journal .* cannot be read/);
  }
  assert.deepEqual(fake.asked, []);
});

test('verbs that act take turns: the second begins when the first has ended, and says for whom it waits', async t => {
  const fake = await openFake(t);
  await fake.control.up();
  let release = (_: Answer) => {};
  fake.answers.set('inject db-down control', () => new Promise<Answer>(resolve => { release = resolve; }));
  const first = fake.control.inject('control', 'db-down');
  await until(() => fake.asked.includes('inject db-down control'));
  const second = fake.open().recover('control', 'db-down');
  await until(() => fake.said.some(line => /waiting for inject db-down to finish \(pid \d+\)/.test(line)));
  assert.ok(!fake.asked.includes('recover db-down control'));
  release(done);
  assert.deepEqual(await Promise.all([first, second]), [done, done]);
  assert.deepEqual(fake.asked.slice(-2), ['inject db-down control', 'recover db-down control']);
});

test('a drill is alone on its node: another is refused, halt waits for it, its own verbs do not', async t => {
  const fake = await openFake(t);
  await fake.control.up(['control', 'worker1']);
  const drill = await fake.control.beginDrill('control', 'drill db-down');
  assert.ok(!('heldBy' in drill));
  const holder = { pid: process.pid, name: 'drill db-down' };
  assert.deepEqual(await fake.open().beginDrill('control', 'drill db-hung'), { heldBy: holder });
  assert.deepEqual(await fake.open().drillOn('control'), holder);
  assert.equal(await fake.open().drillOn('worker1'), undefined);
  assert.deepEqual(await fake.open({}, true).inject('control', 'db-down'), done);
  assert.deepEqual(await fake.open().inject('worker1', 'db-down'), done, 'another node is nobody\'s');
  const halt = fake.open().halt();
  await until(() => fake.said.some(line => /waiting for drill db-down to finish/.test(line)));
  assert.ok(!fake.asked.includes('halt control'));
  drill.release();
  assert.deepEqual(await halt, done);
});

test('idle waits for what is under way', async t => {
  const fake = await openFake(t);
  await fake.control.up();
  let release = (_: Answer) => {};
  fake.answers.set('inject drain control', () => new Promise<Answer>(resolve => { release = resolve; }));
  const ended: string[] = [];
  const inject = fake.control.inject('control', 'drain').then(() => ended.push('inject'));
  await until(() => fake.asked.includes('inject drain control'));
  const idle = fake.control.idle().then(() => ended.push('idle'));
  release(done);
  await Promise.all([inject, idle]);
  assert.deepEqual(ended, ['inject', 'idle']);
});

test('another platform than the one that is up is refused until that is halted', async t => {
  const fake = await openFake(t);
  await fake.control.up();
  const other = fake.open({ PLATFORM: 'docker' });
  const failed = 'platform process is up: make halt first, or go on with PLATFORM=process';
  assert.deepEqual(await other.up(), { failed });
  await fake.control.halt();
  assert.deepEqual(await other.up(), done);
  assert.equal((await fake.control.memory())?.platform, 'docker');
});

test('with nothing started halt and destroy are done, and what needs a system says that none is up', async t => {
  const fake = await openFake(t);
  const control = fake.open({ PLATFORM: '' });
  assert.deepEqual([await control.halt(), await control.destroy()], [done, done]);
  assert.deepEqual(await control.targets(), []);
  assert.equal(await control.status(), undefined);
  const node = 'control';
  const outcomes = [await control.recover(node), await control.inject(node, 'db-down'), await control.facts(node)];
  for (const outcome of outcomes) {
    assert.match('failed' in outcome ? outcome.failed : '', /not up: nothing was started; run make up/);
  }
  assert.deepEqual(fake.asked, []);
  await mkdir(join(fake.state, 'journal')).then(() => writeFile(join(fake.state, 'journal/control.db-down'), ''));
  assert.equal((await control.faultsInPlace()).length, 1, 'what nobody can look at is not gone');
});

test('a copied state folder remembers, and has locks of its own', async t => {
  const fake = await openFake(t);
  await fake.control.up();
  const copy = `${fake.state}.copy`;
  t.after(() => rm(copy, { recursive: true, force: true }));
  const drill = await fake.control.beginDrill('control', 'drill db-down');
  assert.ok(!('heldBy' in drill));
  await cp(fake.state, copy, { recursive: true });
  assert.equal(await fake.open({ ORDERS_STATE: copy }).drillOn('control'), undefined);
  drill.release();
});

async function until(so: () => boolean): Promise<void> {
  const end = performance.now() + 10_000;
  while (!so()) {
    assert.ok(performance.now() < end, 'not in time');
    await pause(5);
  }
}
