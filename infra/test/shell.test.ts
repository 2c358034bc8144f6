// Shell is left where no Node is: every script is in its place, POSIX sh, and passes shellcheck.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { root, runIn } from './stack.ts';
import { lacking } from './tools.ts';

const listed = ['ls-files', '--cached', '--others', '--exclude-standard', 'infra', 'vagrant', '.ci'];
const scripts = execFileSync('git', listed, { cwd: root, encoding: 'utf8' })
  .trim().split('\n').filter(path => existsSync(join(root, path)) && isScript(join(root, path)));

/** The launcher, what installs and starts things, what runs in images and in machines, the lab, and CI. */
const places = [
  '.ci/run', 'infra/control', 'infra/debian-13', 'infra/engine', 'infra/images/build',
  'infra/images/cluster/first-start', 'infra/images/cluster/member', 'infra/images/database-entrypoint',
  'infra/images/prune', 'infra/packages', 'infra/prerequisites', 'infra/role.sh',
  'vagrant/lab/box', 'vagrant/lab/prerequisites', 'vagrant/lab/run', 'vagrant/provision.sh',
];

test('shell is where it is needed and nowhere else, and says #!/bin/sh', () => {
  assert.deepEqual(scripts.toSorted(), places);
  const others = scripts.filter(path => !readFileSync(join(root, path), 'utf8').startsWith('#!/bin/sh\n'));
  assert.deepEqual(others, []);
});

test('shellcheck has nothing to say', { skip: lacking('shellcheck', 'shellcheck') }, async () => {
  const { code, stdout, stderr } = await runIn(process.env, 'shellcheck', ['-x', ...scripts]);
  assert.equal(code, 0, stdout + stderr);
});

function isScript(path: string): boolean {
  const [first = ''] = readFileSync(path, 'utf8').split('\n', 1);
  return path.endsWith('.sh') || /^#!.*sh$/.test(first);
}
