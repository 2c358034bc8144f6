// What is read from /proc: recorded samples, and this very process.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { familyOf, listenerOn, listeningOf, parseListeners, parseStat, processesIn, runs } from '../process/proc.ts';

const rest = '00000000:00000000 00:00000000 00000000';
const tcp = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:3C39 00000000:0000 0A ${rest}   101        0 2163322 1 0000000000000000 100 0 0 10 0
   1: 0200007F:1F40 00000000:0000 0A ${rest}     0        0 777 1 0000000000000000 100 0 0 10 0
   2: 0100007F:1F40 0100007F:A3C2 01 ${rest}     0        0 778 2 0000000000000000 20 4 30 10 -1
`;
const none = `${'0'.repeat(32)}:0000`;
const tcp6 = `  sl  local_address                         remote_address                        st tx_queue inode
   0: ${'0'.repeat(32)}:0016 ${none} 0A ${rest} 0 0 21 1 0000000000000000 100 0 0 10 0
   1: 00000000000000000000000001000000:0277 ${none} 0A ${rest} 0 0 22 1 0000000000000000 100 0 0 10 0
`;

test('only listening sockets are taken from the tables of TCP, with the address as people write it', () => {
  assert.deepEqual(parseListeners(tcp), [
    { host: '127.0.0.1', port: 15_417, inode: '2163322' }, { host: '127.0.0.2', port: 8_000, inode: '777' },
  ]);
  assert.deepEqual(parseListeners(tcp6), [
    { host: '[::]', port: 22, inode: '21' }, { host: '[::1]', port: 631, inode: '22' },
  ]);
  assert.throws(() => parseListeners(`${tcp}   3: what is this`), /what is this/);
});

test('a process is read whatever its name is', () => {
  assert.deepEqual(parseStat('42 (a) b (S 1 2) T 7 42 42 0 -1 4194560'), { pid: 42, state: 'T', parent: 7 });
  assert.throws(() => parseStat('42 nothing'), /42 nothing/);
});

test('a listener is found by its address, and where a process listens by its pid', async t => {
  const server = createServer().listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address);
  assert.ok(listeningOf(process.pid).includes(`127.0.0.1:${address.port}`));
  assert.equal(listenerOn('127.0.0.1', address.port)?.pid, process.pid);
  assert.equal(listenerOn('127.0.0.2', address.port), undefined);
  assert.deepEqual(listeningOf(2 ** 22), [], 'no such process');
});

test('processes are found by the folder that they are in, not by its name, and a family from its first', async t => {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'orders-proc-')));
  const child = spawn('sleep', ['300'], { cwd: folder, stdio: 'ignore' });
  t.after(async () => {
    child.kill();
    await rm(folder, { recursive: true, force: true });
  });
  await once(child, 'spawn');
  const pid = Number(child.pid);
  assert.deepEqual(processesIn(folder, basename('/usr/bin/sleep')).map(one => one.pid), [pid]);
  assert.deepEqual(processesIn(folder, 'postgres'), []);
  assert.deepEqual(processesIn(tmpdir(), 'sleep').filter(one => one.pid === pid), []);
  assert.deepEqual(familyOf(process.pid).slice(0, 1).map(one => one.pid), [process.pid]);
  assert.ok(familyOf(process.pid).some(one => one.pid === pid));
  child.kill();
  await once(child, 'exit');
  assert.equal(runs(pid), false);
});
