// What `up` remembers survives a write that fails half way.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { readMemory, writeMemory } from '../memory.ts';
import type { Memory } from '../memory.ts';
import { runIn } from './stack.ts';

test('a memory that cannot be written leaves the one before it', async t => {
  const state = await mkdtemp(join(tmpdir(), 'orders-memory-'));
  t.after(() => rm(state, { recursive: true, force: true }));
  const memory: Memory = {
    platform: 'docker', nodes: ['control'], targets: [{ node: 'control', host: '127.0.0.1', port: 8000 }],
  };
  await writeMemory(state, memory);
  const module = new URL('../memory.js', import.meta.url).href;
  const writing = `import { writeMemory } from ${JSON.stringify(module)};
    await writeMemory(process.argv[1], { platform: 'process', nodes: ['control'], targets: [] });`;
  // files may not grow at all, as on a full disk
  const full = 'ulimit -f 0; exec "$0" --input-type=module -e "$1" "$2"';
  const run = await runIn(process.env, 'sh', ['-c', full, process.execPath, writing, state]);
  assert.notEqual(run.code, 0);
  assert.deepEqual(await readMemory(state), memory);
});
