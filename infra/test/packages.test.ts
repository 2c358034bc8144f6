// The first `make up` on a machine without a network: a line that says so, soon.
import assert from 'node:assert/strict';
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { root, runIn } from './stack.ts';

test('without a registry that answers npm is not waited for: a line says what is missing', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'packages-'));
  t.after(() => rm(folder, { recursive: true }));
  await mkdir(join(folder, 'infra'));
  for (const file of ['infra/packages', 'package.json', 'package-lock.json']) {
    await copyFile(join(root, file), join(folder, file));
  }
  const env = {
    PATH: process.env['PATH'], HOME: folder, npm_config_cache: join(folder, 'cache'),
    npm_config_registry: 'http://127.0.0.1:1/',
  };
  const run = await runIn(env, join(folder, 'infra/packages'), []);
  assert.equal(run.code, 1);
  assert.match(run.stderr, /^packages: the registry http:\/\/127\.0\.0\.1:1\/ does not answer/m);
});
