// Which build a checkout makes: its commit while nothing differs from it, else what its sources are.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { appendFile, cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { buildHere } from '../build.ts';
import { readSettings } from '../settings.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const run = promisify(execFile);

test('a build is named by its commit, or by its sources where no commit says what they are', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'orders-build-'));
  t.after(() => rm(folder, { recursive: true }));
  const env = { PATH: process.env['PATH'] ?? '', HOME: folder, GIT_CONFIG_NOSYSTEM: '1' };
  const git = async (...args: string[]) => {
    const who = ['-c', 'user.name=x', '-c', 'user.email=x@example.com'];
    return (await run('git', ['-C', folder, ...who, ...args], { env })).stdout.trim();
  };
  const built = async (at = folder) => {
    const read = readSettings(env, at);
    assert.ok('settings' in read);
    return (await buildHere(read.settings)).commit;
  };
  for (const file of ['Dockerfile', '.dockerignore', 'package.json', 'package-lock.json', 'tsconfig.json']) {
    await cp(join(root, file), join(folder, file));
  }
  await mkdir(join(folder, 'service/test'), { recursive: true });
  await cp(join(root, 'service/tsconfig.json'), join(folder, 'service/tsconfig.json'));
  await writeFile(join(folder, 'service/main.ts'), 'export {};\n');

  const bare = await built();
  assert.match(bare, /^tree\.[0-9a-f]{12}$/, 'no commit at all');
  await git('init', '--quiet');
  await git('add', '.');
  await git('commit', '--quiet', '-m', 'x');
  const head = await git('rev-parse', 'HEAD');
  assert.equal(await built(), head);
  await writeFile(join(folder, 'README.md'), 'x\n');
  await writeFile(join(folder, 'service/test/x.ts'), 'x\n');
  assert.equal(await built(), head, 'what is not built makes no other build');
  await git('add', '.');
  await git('commit', '--quiet', '-m', 'y');
  assert.equal(await built(), head, 'nor does its commit');

  await appendFile(join(folder, 'service/main.ts'), '// 1\n');
  const one = await built();
  await appendFile(join(folder, 'service/main.ts'), '// 2\n');
  const two = await built();
  for (const dirty of [one, two]) assert.match(dirty, new RegExp(`^${head}-dirty\\.[0-9a-f]{12}$`));
  assert.notEqual(one, two);
  assert.ok(one.length <= 64, 'as the service takes it');

  // a tree inside of another repository has no commit of its own
  const inside = join(folder, 'inside');
  for (const part of ['Dockerfile', '.dockerignore', 'package.json', 'package-lock.json', 'tsconfig.json', 'service']) {
    await cp(join(folder, part), join(inside, part), { recursive: true });
  }
  assert.match(await built(inside), /^tree\./);
});
