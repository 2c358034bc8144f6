// A new build in the place of the one that serves, on plain processes: what does not get ready gives way to it again.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cp, mkdir, readFile, readdir, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import type { TestContext } from 'node:test';
import { badBuilds } from './upgrade-builds.ts';
import { folderOf, must, openStack, root, runIn } from './stack.ts';
import type { Run, Stack } from './stack.ts';
import { until } from './until.ts';

/** A checkout of its own, whose compiled service can be another. */
type Checkout = {
  control: string; up: (env?: NodeJS.ProcessEnv) => Promise<Run>; put: (text: string) => Promise<void>;
};

async function openCheckout(t: TestContext, stack: Stack): Promise<Checkout> {
  const copy = join(stack.state, "it's a checkout");
  for (const part of ['infra', 'service', 'vagrant', 'package.json', 'package-lock.json', 'tsconfig.json',
    'Dockerfile', '.dockerignore']) await cp(join(root, part), join(copy, part), { recursive: true });
  await symlink(join(root, 'node_modules'), join(copy, 'node_modules'));
  t.after(() => rm(copy, { recursive: true, force: true }));
  const [main, control] = [join(copy, 'service/dist/main.js'), join(copy, 'infra/control')];
  const honest = await readFile(main, 'utf8');
  return {
    control, up: env => runIn({ ...stack.env, ...env }, control, ['up']),
    put: text => writeFile(main, `${text}\n${honest}`),
  };
}

/** Deadlines of a few seconds, for what never comes. */
const hasty = { SCALE: '0.2' };

async function answer(stack: Stack, path: string, method = 'GET'): Promise<Record<string, unknown>> {
  const got = await fetch(`http://127.0.0.1:${stack.port}${path}`, { method, headers: { connection: 'close' } });
  return { ...await got.json() as object, status: got.status };
}

/** The release that runs. */
async function servedBy(stack: Stack): Promise<string[]> {
  const command = await readFile(`/proc/${(await stack.facts()).api.pid}/cmdline`, 'utf8').catch(() => '');
  return /releases\/([0-9a-f]+)\//.exec(command)?.slice(1) ?? [];
}

const releases = async (stack: Stack): Promise<string[]> => (await readdir(join(folderOf(stack), 'releases'))).sort();

test('a new build that', async t => {
  const stack = await openStack(t);
  const { up, put } = await openCheckout(t, stack);
  await must(up());
  const order = await answer(stack, '/order?symbol=BTC&side=buy&qty=1', 'POST');
  const before = await answer(stack, '/version');
  const [first] = await releases(stack);
  for (const { what, program, says } of badBuilds) {
    await t.test(`${what} is rolled back: its words are told, and the old one serves`, async () => {
      await put(program);
      const { code, stderr } = await up(hasty);
      assert.equal(code, 1, stderr);
      assert.match(stderr, says);
      assert.match(stderr, new RegExp(`rolled back, the former build ${String(before['git_sha'])} serves again`));
      assert.equal((await answer(stack, '/ready'))['status'], 200);
      const now = await answer(stack, '/version');
      assert.deepEqual([now['git_sha'], now['build_time']], [before['git_sha'], before['build_time']]);
      assert.equal((await answer(stack, `/orders/${String(order['order_id'])}`))['order_id'], order['order_id']);
      assert.match((await stack.control('status')).stdout, /^control: up /);
      assert.deepEqual(await releases(stack), [first], 'the copy of the bad build is gone');
    });
  }
  await t.test('is sound replaces it, and both are kept', async () => {
    await put('// another');
    await must(up());
    assert.equal((await releases(stack)).length, 2);
    await put('// a third');
    await must(up());
    const kept = await releases(stack);
    assert.deepEqual([kept.length, kept.includes(String(first))], [2, false]);
    const { pid } = (await stack.facts()).api;
    await must(up());
    assert.equal((await stack.facts()).api.pid, pid, 'nothing has changed');
  });
  await t.test('is a fault is brought up, and rolled back, twice each, and leaves no trace', async () => {
    const sha = async () => String((await answer(stack, '/version'))['git_sha']);
    for (const _ of ['once', 'twice']) await must(stack.control('inject', 'upgrade'));
    assert.match(await sha(), /^0ddba120+$/);
    for (const _ of ['once', 'twice']) {
      const { stdout } = await must(stack.control('inject', 'bad-upgrade'));
      const { exit, stderr } = JSON.parse(stdout) as Record<string, unknown>;
      assert.equal(exit, 1);
      assert.match(String(stderr), /database_missing[^]*rolled back, the former build 0ddba120+ serves again/);
      assert.match(await sha(), /^0ddba120+$/);
    }
    assert.match((await must(stack.control('journal'))).stdout, /^control upgrade \S+\n$/);
    for (const _ of ['once', 'twice']) await must(stack.control('recover', 'upgrade'));
    assert.doesNotMatch(await sha(), /^0ddba/);
    assert.equal((await must(stack.control('journal'))).stdout, '');
    await must(stack.control('inject', 'upgrade'));
    await must(stack.control('recover'));
    assert.doesNotMatch(await sha(), /^0ddba/);
    await must(up());
  });
  await t.test('is a fault keeps the settings and the build that serve, and gives way though stopped', async () => {
    const seen = async () => {
      const { pid } = (await stack.facts()).api;
      const [program = '', env = ''] = await Promise.all(['cmdline', 'environ'].map(file => (
        readFile(`/proc/${pid}/${file}`, 'utf8')
      )));
      return [program, env.split('\0').filter(one => /^(LOG_LEVEL|READY_MAX_AGE_MS|GIT_SHA)=/.test(one)).sort()];
    };
    await must(up({ LOG_LEVEL: 'warn', READY_MAX_AGE_MS: '4321' }));
    const [program, settings] = await seen();
    await put('// not what serves');
    await must(stack.control('inject', 'upgrade'));
    const sha = `GIT_SHA=0ddba12${'0'.repeat(33)}`;
    assert.deepEqual(await seen(), [program, [sha, 'LOG_LEVEL=warn', 'READY_MAX_AGE_MS=4321']]);
    await must(stack.control('inject', 'service-down'));
    await must(stack.control('recover', 'upgrade'));
    assert.deepEqual(await seen(), [program, settings]);
    assert.deepEqual((await stack.control('journal')).stdout, '');
  });
  await t.test('cannot be copied costs nothing: what serves goes on', async () => {
    const { pid } = (await stack.facts()).api;
    await put('// one that is too much for the disk');
    const limits = ['--fsize=20000', join(stack.state, "it's a checkout", 'infra/control'), 'up'];
    const { code, stderr } = await runIn(stack.env, 'prlimit', limits);
    assert.equal(code, 1);
    assert.match(stderr, /the build cannot be copied to .*: (EFBIG|ENOSPC)/);
    assert.equal((await stack.facts()).api.pid, pid);
    assert.equal((await releases(stack)).length, 2, 'nothing of it is left');
  });
  await t.test('serves, and cannot be noted: it goes on, and that is said', async () => {
    const inTheWay = join(folderOf(stack), 'served.json.new');
    await mkdir(inTheWay);
    await put('// a fourth');
    assert.match((await must(up())).stderr, /cannot be noted, so it could not come back: EISDIR/);
    await rm(inTheWay, { recursive: true });
  });
  await t.test('is bad, and the former one is spoilt as well: both are told, and nothing is called up', async () => {
    await must(up());
    const served = join(folderOf(stack), 'served.json');
    const kept = await readFile(served, 'utf8');
    await writeFile(served, kept.replace('"DATABASE_NAME":"orders"', '"DATABASE_NAME":"no"'));
    await put(badBuilds[0].program);
    const { code, stderr } = await up(hasty);
    assert.equal(code, 1);
    assert.match(stderr, /its last words[^]*was started again, and does not serve either: [^]*database_missing/);
    await put('// whole');
    await must(up());
  });
  await t.test('is to come back, and was cut short: it is not started, but what is whole', async () => {
    const [release = ''] = await servedBy(stack);
    await truncate(join(folderOf(stack), 'releases', release, 'service/main.js'), 20);
    await must(stack.control('inject', 'service-down'));
    await must(stack.control('recover', 'service-down'));
    assert.equal((await answer(stack, '/ready'))['status'], 200);
  });
  await t.test('is bad, and nothing is kept of the former one: that is said first, faults are refused', async () => {
    const { pid } = (await stack.facts()).api;
    for (const file of ['served.json', 'pending.json']) await rm(join(folderOf(stack), file), { force: true });
    for (const fault of ['upgrade', 'bad-upgrade']) {
      const { code, stderr } = await stack.control('inject', fault);
      assert.equal(code, 1);
      assert.match(stderr, /no build that was ready is kept to be changed: make up/);
    }
    assert.equal((await stack.facts()).api.pid, pid);
    await put(badBuilds[0].program);
    const { code, stderr } = await up(hasty);
    assert.equal(code, 1);
    assert.match(stderr, /no former build is kept: [^]*build or settings have changed[^]*its last words/);
    assert.doesNotMatch(stderr, /comes back|rolled back,/);
    await put('// whole again');
    await must(up());
  });
  await t.test('is bad where nothing ran is not rolled back', async () => {
    await must(stack.control('halt'));
    await put(badBuilds[1].program);
    const { code, stderr } = await up();
    assert.equal(code, 1);
    assert.match(stderr, /exit 78[^]*I want more$/m);
    assert.doesNotMatch(stderr, /rolled back/);
    assert.match((await stack.control('status')).stdout, /^control: degraded .*refused its configuration/);
    assert.equal((await stack.control('status')).code, 1);
  });
});

test('a build whose make up was killed while it waited, and that serves, is what comes back', async t => {
  const stack = await openStack(t);
  const { up, put, control } = await openCheckout(t, stack);
  await must(up());
  for (const [round, act] of [
    async () => assert.equal((await up(hasty)).code, 1),
    async () => { for (const verb of ['inject', 'recover']) await must(stack.control(verb, 'service-down')); },
  ].entries()) {
    const go = join(stack.state, `go-${round}`);
    const waits = `while (!is('${go}')) await new Promise(look => setTimeout(look, 50));`;
    await put(`import { existsSync as is } from 'node:fs'; ${waits}`);
    const before = await releases(stack);
    const child = spawn(control, ['up'], { env: stack.env, detached: true, stdio: 'ignore' });
    await until(() => servedBy(stack), ([release = '']) => !before.includes(release));
    const wanted = await servedBy(stack);
    process.kill(-Number(child.pid), 'SIGKILL');
    await writeFile(go, '');
    await until(() => answer(stack, '/ready').catch(() => ({ status: 0 })), ({ status }) => status === 200);
    await put(badBuilds[0].program);
    await act();
    assert.deepEqual(await servedBy(stack), wanted);
    assert.equal((await answer(stack, '/ready'))['status'], 200);
  }
});

test('make up is killed with -9 in the middle of a replacement, and two are typed at once', async t => {
  const stack = await openStack(t);
  const { up, put, control } = await openCheckout(t, stack);
  await must(up());
  const before = await answer(stack, '/version');
  const { pid } = (await stack.facts()).api;
  await put('for (;;);');
  const child = spawn(control, ['up'], { env: { ...stack.env, ...hasty }, detached: true, stdio: 'ignore' });
  await until(stack.facts, ({ api }) => api.pid !== null && api.pid !== pid);
  process.kill(-Number(child.pid), 'SIGKILL');
  // the new one runs, and says nothing: the next `up` finds it, and what served before all the same
  for (const { code, stderr } of await Promise.all([up(hasty), up(hasty)])) {
    assert.equal(code, 1);
    assert.match(stderr, /does not answer \/ready[^]*rolled back/);
  }
  assert.equal((await answer(stack, '/ready'))['status'], 200);
  assert.equal((await answer(stack, '/version'))['git_sha'], before['git_sha']);
});
