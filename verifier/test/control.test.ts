// The control runner: exits and words as they are, deadlines kept, nothing left running.
import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { openControl, parseJournal } from '../control.ts';
import { until } from '../until.ts';

async function script(t: TestContext, body: string): Promise<{ path: string; folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'orders-control-'));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'control');
  await writeFile(path, `#!/bin/sh\nfolder=${folder}\n${body}\n`);
  await chmod(path, 0o755);
  return { path, folder };
}

test('a verb is handed on with its arguments and its node, and comes back as it ended', async t => {
  const { path } = await script(t, 'echo "$NODE $*"; echo talk >&2; exit 3');
  const heard: string[] = [];
  const told = await openControl({ path, node: 'worker1', onTalk: text => heard.push(text) }).inject('config-refused', 'PORT', 'missing');
  assert.deepEqual([told.exit, told.stdout, told.stderr], [3, 'worker1 inject config-refused PORT missing\n', 'talk\n']);
  assert.equal(heard.join(''), 'talk\n');
});

test('a control executable that is not there is a failure with its reason, not a throw', async () => {
  const told = await openControl({ path: '/nowhere/control' }).targets();
  assert.equal(told.exit, 1);
  assert.match(told.stderr, /ENOENT/);
});

test('a verb that hangs is given up with all that it started', async t => {
  const { path, folder } = await script(t, 'sleep 300 & echo $! > "$folder/pid"; wait');
  const told = await openControl({ path, scaled: ms => ms / 30 }).targets();
  assert.equal(told.exit, 1);
  assert.match(told.stderr, /not done after 500 ms/);
  const pid = Number(await readFile(join(folder, 'pid'), 'utf8'));
  await until(async () => alive(pid), living => !living, 5_000);
});

test('a daemon that keeps the pipes does not keep the caller', async t => {
  const { path, folder } = await script(t, 'sleep 300 & echo $! > "$folder/pid"; echo done');
  const told = await openControl({ path }).up();
  const pid = Number(await readFile(join(folder, 'pid'), 'utf8'));
  t.after(() => process.kill(pid));
  assert.deepEqual([told.exit, told.stdout], [0, 'done\n']);
  assert.ok(told.ms < 5_000, `${told.ms} ms`);
});

test('idle waits for the commands that still run', async t => {
  const { path, folder } = await script(t, 'while [ ! -f "$folder/go" ]; do sleep 0.05; done');
  const control = openControl({ path });
  const ended: string[] = [];
  const recovery = control.recover().then(() => ended.push('recover'));
  const idle = control.idle().then(() => ended.push('idle'));
  await writeFile(join(folder, 'go'), '');
  await Promise.all([recovery, idle]);
  assert.deepEqual(ended, ['recover', 'idle']);
});

test('the journal is read line by line', () => {
  assert.deepEqual(parseJournal('control db-down 2026-11-23T12:00:00Z\n\n'), [{ node: 'control', fault: 'db-down', since: '2026-11-23T12:00:00Z' }]);
});

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
