// Every shell script of the project passes shellcheck, and is POSIX sh.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { root, runIn } from './stack.ts';

const scripts = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', 'infra', 'vagrant', '.ci'], { cwd: root, encoding: 'utf8' })
  .trim().split('\n').filter(path => isScript(join(root, path)));

test('every script says #!/bin/sh, or is a part of one that does', () => {
  assert.ok(scripts.includes('infra/docker') && scripts.includes('infra/control') && scripts.includes('infra/stack/start.sh'));
  assert.deepEqual(scripts.filter(path => !/^(#!\/bin\/sh|# .*\n# shellcheck shell=sh)/.test(readFileSync(join(root, path), 'utf8'))), []);
});

test('shellcheck has nothing to say', { skip: noShellcheck() }, async () => {
  const { code, stdout, stderr } = await runIn(process.env, 'shellcheck', ['-x', ...scripts]);
  assert.equal(code, 0, stdout + stderr);
});

function isScript(path: string): boolean {
  return path.endsWith('.sh') || /^#!.*sh$/m.test(readFileSync(path, 'utf8').split('\n')[0] ?? '');
}

function noShellcheck(): string | false {
  try {
    execFileSync('shellcheck', ['--version'], { stdio: 'ignore' });
    return false;
  } catch {
    return 'shellcheck is not here (Debian: apt-get install shellcheck)';
  }
}
