// The password is in no place where somebody might read it, and the search for it is able to find one.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { missing, openContainers, succeeded } from './docker-stack.ts';
import type { Containers } from './docker-stack.ts';
import { root, runIn } from './stack.ts';

test('the password of the database is nowhere to be read', { skip: missing }, async t => {
  const stack = await openContainers(t, { LOG_LEVEL: 'debug' });
  const said = [await stack.platform('up')];
  succeeded(said[0] ?? { code: 1, stdout: '', stderr: 'no run' }, 'up');
  const secret = await readFile(join(stack.state, 'docker/control/secrets/database_password'), 'utf8');
  // what makes programs talk: refused logins, a crash, a refused configuration
  await stack.ask('/order?symbol=BTC&side=buy&qty=1', 'POST');
  for (const args of [
    ['inject', 'bad-credentials'], ['inject', 'config-refused', 'DATABASE_USER', 'missing'],
    ['inject', 'process-killed'], ['recover'], ['facts'], ['logs'], ['status'],
  ]) said.push(await stack.platform(...args));
  const image = stack.env['ORDERS_IMAGE'] ?? '';
  for (const [place, text] of [...await places(stack, image), ['what infra/control says', JSON.stringify(said)]]) {
    assert.ok((text ?? '').length > 1, `${place} was looked at`);
    assert.equal(text?.includes(secret), false, `the password is in ${place}`);
  }
  assert.equal(await inLayers(stack, image, secret), false, 'the password is in the image');
});

test('the search finds a password that was baked into an image, as variable or as file', { skip: missing }, async t => {
  const stack = await openContainers(t);
  const secret = 'a-password-of-this-test-only';
  await writeFile(join(stack.state, 'secret'), secret);
  for (const [line, found] of [
    [`ENV DATABASE_PASSWORD=${secret}`, { config: true, layers: true }],
    ['COPY secret /secret', { config: false, layers: true }],
  ] as const) {
    await writeFile(join(stack.state, 'Dockerfile'), `FROM ${stack.env['ORDERS_IMAGE']}\n${line}\n`);
    const image = (await stack.docker('build', '--quiet', stack.state)).trim();
    t.after(() => stack.docker('image', 'rm', image));
    const config = await stack.docker('image', 'inspect', image) + await stack.docker('history', '--no-trunc', image);
    assert.deepEqual({ config: config.includes(secret), layers: await inLayers(stack, image, secret) }, found);
  }
});

async function places(stack: Containers, image: string): Promise<[string, string][]> {
  const { api, db } = stack;
  const proc = '["environ","cmdline"].map(f=>require("fs").readFileSync("/proc/1/"+f,"latin1")).join()';
  const files = ['--env-file', join(stack.state, 'docker/control/env'), '-f', join(root, 'infra/docker-compose.yml')];
  const compose = ['compose', ...files, 'config'];
  const shell = 'tr "\\0" "\\n" </proc/1/environ; cat /proc/1/cmdline; env';
  return [
    ['docker inspect', await stack.docker('inspect', api, db, image)],
    ['docker history', await stack.docker('history', '--no-trunc', image)],
    ['docker compose config', await stack.docker(...compose)],
    ['the log of the service', both(await runIn(stack.env, 'docker', ['logs', api]))],
    ['the log of the database', both(await runIn(stack.env, 'docker', ['logs', db]))],
    ['environment and arguments of the service', await stack.docker('exec', api, '/nodejs/bin/node', '-p', proc)],
    ['environment and arguments of the database', await stack.docker('exec', db, 'sh', '-c', shell)],
    ['arguments of every process', await stack.docker('top', api) + await stack.docker('top', db)],
    ['the settings of the node', await readFile(join(stack.state, 'docker/control/env'), 'utf8')],
  ];
}

function both({ stdout, stderr }: { stdout: string; stderr: string }): string {
  return stdout + stderr;
}

/** Looks through everything that `docker save` writes: the layers are plain archives in there. */
async function inLayers(stack: Containers, image: string, secret: string): Promise<boolean> {
  const child = spawn('docker', ['save', image], { env: stack.env, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'close');
  let [found, tail] = [false, ''];
  for await (const chunk of child.stdout.setEncoding('latin1')) {
    const text = tail + String(chunk);
    found ||= text.includes(secret);
    tail = text.slice(-secret.length);
  }
  assert.deepEqual(await ended, [0, null]);
  return found;
}
