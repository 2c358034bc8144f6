// Each guarantee of the containers is broken on purpose: verify must go red on the rung and for the reason that fit.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort, root } from './stack.ts';
import { missing, openContainers, succeeded } from './docker-stack.ts';
import type { Containers } from './docker-stack.ts';

type Breach = { name: string; override: (stack: Containers) => Promise<string> | string; red: RegExp[] };
const api = (line: string) => `services: { api: { ${line} } }`;

const breaches: Breach[] = [
  { name: 'the api as root', override: () => api('user: "0:0"'), red: [/the api runs as an ordinary user \|.*uid 0/] },
  { name: 'a writable root', override: () => api('read_only: false'),
    red: [/the api has a read-only root \|.*saw false/] },
  { name: 'new privileges allowed', override: () => api('security_opt: !override ["no-new-privileges:false"]'),
    red: [/the api can gain no new privileges \|.*saw false/] },
  { name: 'an added capability', override: () => api('cap_add: [NET_BIND_SERVICE]'),
    red: [/the api has no capability \|.*NET_BIND_SERVICE/] },
  { name: 'a published database port',
    override: async () => {
      const port = `127.0.0.1:${await freePort()}:5432`;
      return `services: { db: { networks: [private, front], ports: ["${port}"] } }`;
    },
    red: [/the database is published nowhere \|.*127\.0\.0\.1:\d+/] },
  { name: 'a floating tag of the database', override: floatingDatabase,
    red: [/the database is built on a base pinned by digest \|.*:latest/] },
];

test('verify goes red at contained when', { skip: missing }, async t => {
  const stack = await openContainers(t);
  t.after(() => stack.docker('image', 'rm', `${stack.project}-db:latest`));
  for (const { name, override, red } of breaches) {
    await t.test(name, async () => {
      succeeded(await stack.upWith(await override(stack)), 'up');
      const broken = await stack.broken();
      assert.equal(broken.length, red.length, broken.join('\n'));
      red.forEach((wanted, i) => assert.match(broken[i] ?? '', wanted));
      assert.match(broken[0] ?? '', /usable yes · lasting yes · contained no/);
    });
  }
  await t.test('nothing is broken: it was the breach that it saw', async () => {
    succeeded(await stack.upWith('services: {}'), 'up');
    assert.deepEqual(await stack.broken(), []);
  });
  const deaf = 'the service listens on 127.0.0.1 inside: red at reachable, though a plain connect succeeds';
  await t.test(deaf, () => listensOnLoopback(stack));
});

test('verify goes red at contained for a service that was built on a floating tag', { skip: missing }, async t => {
  const base = await runtimeBase(t);
  const floating = `orders-test-runtime-${process.pid}:latest`;
  const stack = await openContainers(t, { ORDERS_IMAGE: '', ORDERS_RUNTIME_IMAGE: floating });
  await stack.docker('tag', base, floating);
  t.after(() => stack.docker('image', 'rm', floating));
  succeeded(await stack.platform('up'), 'up');
  const broken = await stack.broken();
  assert.equal(broken.length, 1, broken.join('\n'));
  assert.match(broken[0] ?? '', /the api is built on a base pinned by digest \|.*orders-test-runtime-\d+:latest/);
});

/** The same image under a name that anybody may move. */
async function floatingDatabase(stack: Containers): Promise<string> {
  const image = await stack.docker('inspect', '--format', '{{.Image}}', stack.db);
  await stack.docker('tag', image.trim(), `${stack.project}-db:latest`);
  return `services: { db: { image: "${stack.project}-db:latest" } }`;
}

/** The pinned base that this machine builds on: the Dockerfile's, or its stand-in. */
async function runtimeBase(t: TestContext): Promise<string> {
  const { state, env } = await openContainers(t);
  const standIns = await readFile(join(state, 'images.env'), 'utf8').catch(() => '');
  const pinned = /^ARG RUNTIME_IMAGE=(\S+)$/m.exec(await readFile(join(root, 'Dockerfile'), 'utf8'));
  return env['ORDERS_RUNTIME_IMAGE'] ?? (/^ORDERS_RUNTIME_IMAGE=(.*)$/m.exec(standIns) ?? pinned)?.[1] ?? '';
}

// `up` would wait for readiness here; Compose alone starts it, and the node is still marked as up.
async function listensOnLoopback(stack: Containers): Promise<void> {
  const override = 'services: { api: { environment: { HOST: 127.0.0.1 } } }';
  succeeded(await stack.compose(override, 'up', '--detach', '--no-build'), 'compose up');
  for (let look = 0; look < 150; look += 1) {
    const facts = JSON.parse(succeeded(await stack.platform('facts'), 'facts'));
    if (facts.api.listening.includes('127.0.0.1:8000')) break;
    await pause(200);
  }
  const broken = await stack.broken();
  assert.equal(broken.length, 1, broken.join('\n'));
  const reachable = /reachable: TCP is accepted and held \|.*accepted_then_closed.*\| # verdict: reachable no/;
  assert.match(broken[0] ?? '', reachable);
}
