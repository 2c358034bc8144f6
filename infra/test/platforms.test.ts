// Which platform is taken on a machine, and what is said of it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Host } from '../host.ts';
import { bestPlatform } from '../platforms.ts';
import { readSettings } from '../settings.ts';

test('where nothing better is usable plain processes are taken, and what the real thing needs is said', async () => {
  const read = readSettings({}, '/house');
  assert.ok('settings' in read);
  const run: Host['run'] = async () => ({ code: 127, stdout: '', stderr: 'not found', late: false });
  const local: Host = { name: 'bare', run, write: async () => undefined, read: async () => undefined };
  const said: string[] = [];
  assert.equal(await bestPlatform({ settings: read.settings, local, say: line => said.push(line) }), 'process');
  assert.match(said[0] ?? '', /platform process \(no vagrant; no Docker engine answers;/);
  assert.match(said[1] ?? '', /rehearsal: the specified runtime needs Docker with Compose v2 .*infra\/engine install/);
});
