// A new build in the place of the one that serves, in containers: what does not get ready gives way to it again.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import type { TestContext } from 'node:test';
import { missing, openContainers, soon, succeeded } from './docker-stack.ts';
import type { Containers } from './docker-stack.ts';
import { root, runIn } from './stack.ts';
import type { Run } from './stack.ts';
import { badBuilds } from './upgrade-builds.ts';

const hasty = { SCALE: '0.2' };

/** The image of the service, with a text before its program; gone with the test. */
async function build(stack: Containers, t: TestContext, text: string): Promise<string> {
  const image = `${stack.project}-test`;
  const command = JSON.stringify(['-e', `${text}\nimport('/app/service/main.js')`]);
  const recipe = `FROM ${stack.env['ORDERS_IMAGE']}\nCMD ${command}\n`;
  succeeded(await runIn(stack.env, 'docker', ['build', '-q', '-t', image, '-'], recipe), 'build');
  t.after(() => runIn(stack.env, 'docker', ['image', 'rm', image]));
  return image;
}

const up = (stack: Containers, env: NodeJS.ProcessEnv = {}): Promise<Run> =>
  runIn({ ...stack.env, ...env }, join(root, 'infra/control'), ['up']);

async function serves(stack: Containers, order: Record<string, unknown>): Promise<void> {
  await soon(() => stack.status('/ready'), 200);
  assert.deepEqual(await stack.ask(`/orders/${order['order_id']}`), order);
  assert.equal(succeeded(await stack.platform('targets'), 'targets'), `control 127.0.0.1:${stack.port}\n`);
  assert.equal(await stack.docker('inspect', '--format', '{{.Config.Image}}', stack.api),
    `${stack.env['ORDERS_IMAGE']}\n`);
}

test('a new build that', { skip: missing }, async t => {
  const stack = await openContainers(t);
  succeeded(await stack.platform('up'), 'up');
  const order = await stack.ask('/order?symbol=BTC&side=buy&qty=1', 'POST');
  const sha = String((await stack.ask('/version'))['git_sha']);
  for (const { what, program, says } of badBuilds) {
    await t.test(`${what} is rolled back: its words are told, and the old one serves`, async st => {
      const { code, stderr } = await up(stack, { ...hasty, ORDERS_IMAGE: await build(stack, st, program) });
      assert.equal(code, 1, stderr);
      assert.match(stderr, says);
      assert.ok(stderr.includes(`runs again with the settings that it had, rolled back to the build ${sha}`), stderr);
      await serves(stack, order);
    });
  }
  await t.test('has a setting that it refuses is rolled back, its settings too', async () => {
    const { code, stderr } = await up(stack, { DATABASE_READ_CONNECTIONS: '0' });
    assert.equal(code, 1);
    assert.match(stderr, /refuses its configuration; .* rolled back to the build [^]*config: DATABASE_READ_CONN/);
    await serves(stack, order);
    succeeded(await stack.platform('up'), 'up');
    assert.deepEqual(await stack.broken(), []);
  });
  await t.test('is a fault is brought up, and rolled back, twice each, and leaves no trace', async () => {
    const seen = async () => String((await stack.ask('/version'))['git_sha']);
    const control = async (...args: string[]) => succeeded(await stack.platform(...args), args.join(' '));
    for (const _ of ['once', 'twice']) await control('inject', 'upgrade');
    assert.match(await seen(), /^0ddba120+$/);
    const told = JSON.parse(await control('inject', 'bad-upgrade')) as Record<string, unknown>;
    assert.equal(told['exit'], 1);
    assert.match(String(told['stderr']), /database_missing[^]*rolled back to the build 0ddba120+/);
    assert.match(await seen(), /^0ddba120+$/);
    assert.match(await control('journal'), /^control upgrade \S+\n$/);
    for (const _ of ['once', 'twice']) await control('recover', 'upgrade');
    assert.equal(await seen(), sha);
    assert.equal(await stack.docker('image', 'ls', '-q', `${stack.project}-*upgrade`), '');
    assert.deepEqual(await stack.broken(), []);
    await serves(stack, order);
  });
  await t.test('is a fault keeps the settings that serve, and gives way to them', async () => {
    const more = `services: { api: { labels: { kept: "yes" } } }`;
    await writeFile(join(stack.state, 'more.yml'), more);
    succeeded(await up(stack, { LOG_LEVEL: 'warn', ORDERS_OVERRIDE: join(stack.state, 'more.yml') }), 'up');
    const seen = () => stack.docker('inspect', '--format', '{{.Config.Labels.kept}} {{.Config.Env}}', stack.api);
    for (const [verb, sha] of [['inject', /0ddba12/], ['recover', /^yes (?!.*0ddba12)/]] as const) {
      succeeded(await stack.platform(verb, 'upgrade'), verb);
      assert.match(await seen(), /^yes .*LOG_LEVEL=warn/);
      assert.match(await seen(), sha);
    }
    succeeded(await stack.platform('up'), 'up');
    assert.match(await seen(), /^<no value> .*LOG_LEVEL=info/);
  });
  await t.test('serves, and whose make up was killed while it waited, is what comes back', async st => {
    const env = { ...stack.env, LOG_LEVEL: 'warn' };
    const child = spawn(join(root, 'infra/control'), ['up'], { env, detached: true, stdio: 'ignore' });
    const level = () => stack.docker('inspect', '--format', '{{.Config.Env}} {{.State.Status}}', stack.api)
      .then(text => /LOG_LEVEL=warn.* running/.test(text), () => false);
    await soon(level, true);
    process.kill(-Number(child.pid), 'SIGKILL');
    await soon(() => stack.status('/ready'), 200);
    const { code, stderr } = await up(stack, { ...hasty, ORDERS_IMAGE: await build(stack, st, badBuilds[0].program) });
    assert.deepEqual([code, /rolled back to the build/.test(stderr)], [1, true], stderr);
    await soon(level, true);
    await serves(stack, order);
    succeeded(await stack.platform('up'), 'up');
  });
  await t.test('make up is killed with -9 in the middle, and two are typed at once: rolled back', async st => {
    const env = { ...stack.env, ...hasty, ORDERS_IMAGE: await build(stack, st, 'for (;;);') };
    const child = spawn(join(root, 'infra/control'), ['up'], { env, detached: true, stdio: 'ignore' });
    const image = () => stack.docker('inspect', '--format', '{{.Config.Image}} {{.State.Status}}', stack.api)
      .catch(() => 'none');
    await soon(image, `${env.ORDERS_IMAGE} running\n`);
    process.kill(-Number(child.pid), 'SIGKILL');
    for (const { code, stderr } of await Promise.all([up(stack, env), up(stack, env)])) {
      assert.equal(code, 1);
      assert.match(stderr, /rolled back to the build/);
    }
    await serves(stack, order);
  });
  await t.test('is bad, and the former image is gone: both are told, and nothing is called ready', async st => {
    const bad = await build(stack, st, badBuilds[0].program);
    // the database runs on, so this node is up
    await stack.docker('rm', '-f', stack.api);
    const image = String(stack.env['ORDERS_IMAGE']);
    await stack.docker('tag', image, `${stack.project}-kept`);
    await stack.docker('image', 'rm', image);
    try {
      const { code, stderr } = await up(stack, { ...hasty, ORDERS_IMAGE: bad });
      assert.equal(code, 1);
      assert.match(stderr, /was started again, and does not serve either: .*[^]*its last words/);
    } finally {
      await stack.docker('tag', `${stack.project}-kept`, image);
      await stack.docker('image', 'rm', `${stack.project}-kept`);
    }
    succeeded(await stack.platform('up'), 'up');
    await serves(stack, order);
  });
});
