// The undo journal: what is in it comes back, and what cannot be read is an error, never nothing.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { openJournal } from '../journal.ts';

const nodes = ['control', 'worker1'];

async function folder(t: TestContext): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'orders-journal-'));
  t.after(() => rm(made, { recursive: true }));
  return join(made, 'journal');
}

test('an entry is there from add to remove, keeps its first time, and is forgotten with its node', async t => {
  const journal = openJournal(await folder(t), nodes);
  assert.deepEqual(await journal.read(), []);
  assert.equal(await journal.add('control', 'db-down'), true);
  assert.equal(await journal.add('control', 'db-down'), false);
  await journal.add('worker1', 'db-hung');
  const [first, second] = await journal.read();
  assert.deepEqual([first?.node, first?.fault], ['control', 'db-down']);
  assert.deepEqual([second?.node, second?.fault], ['worker1', 'db-hung']);
  assert.match(first?.since ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  await journal.remove('control', 'db-down');
  await journal.remove('control', 'db-down');
  await journal.forget('worker1');
  assert.deepEqual(await journal.read(), []);
});

test('an entry that cannot be read, or that names no fault, is an error with its path', async t => {
  const path = await folder(t);
  const journal = openJournal(path, nodes);
  await mkdir(join(path, 'control.db-down'), { recursive: true });
  await assert.rejects(journal.read(), /undo journal .*control\.db-down cannot be read: EISDIR/);
  await rm(path, { recursive: true });
  await mkdir(path);
  await writeFile(join(path, 'control.thunder'), '');
  await assert.rejects(journal.read(), /control\.thunder cannot be read: it is named after no fault/);
  await rm(path, { recursive: true });
  await mkdir(path);
  await writeFile(join(path, 'gone.db-down'), '');
  await assert.rejects(journal.read(), /gone\.db-down cannot be read: it is of no node; remove it/);
  await rm(path, { recursive: true });
  await writeFile(path, '');
  await assert.rejects(journal.read(), /cannot be read: ENOTDIR/);
});

test('an entry that was cut short is an entry all the same', async t => {
  const path = await folder(t);
  await mkdir(path);
  await writeFile(join(path, 'control.db-down'), '');
  const entry = { node: 'control', fault: 'db-down', since: 'an unknown time' };
  assert.deepEqual(await openJournal(path, nodes).read(), [entry]);
});
