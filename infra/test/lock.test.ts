// Locks: one holder at a time, whoever asks learns who has it, and the kernel gives it back when its holders are gone.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chown, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { holderOf, refuseForeign, takeLock, tryLock } from '../lock.ts';
import { lacking } from './tools.ts';

const module = new URL('../lock.js', import.meta.url).href;

async function lockFile(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "orders lock's-"));
  t.after(() => rm(folder, { recursive: true }));
  return join(folder, 'locks', 'verb');
}

/** Another program that takes the lock, says so, and then does what `after` says; killed with the test. */
async function holder(t: TestContext, file: string, after: string): Promise<{ child: ChildProcess; said: string }> {
  const text = `import { tryLock } from ${JSON.stringify(module)};
    import { spawn } from 'node:child_process';
    const lock = await tryLock(process.argv[1], 'another');
    ${after}
    console.log('heldBy' in lock ? 'refused' : 'held');
    setInterval(() => {}, 1000);`;
  const args = ['--input-type=module', '-e', text, file];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => { child.kill('SIGKILL'); });
  const [said] = await once(child.stdout, 'data') as [Buffer];
  return { child, said: String(said).trim() };
}

async function free(file: string): Promise<void> {
  const end = performance.now() + 5_000;
  while (await holderOf(file) !== undefined) {
    assert.ok(performance.now() < end, 'the lock is still held');
    await pause(10);
  }
}

test('a lock that another process has is refused with its pid and name, and is free once that was killed', async t => {
  const file = await lockFile(t);
  const { child } = await holder(t, file, '');
  assert.deepEqual(await tryLock(file, 'me'), { heldBy: { pid: child.pid, name: 'another' } });
  assert.deepEqual(await holderOf(file), { pid: child.pid, name: 'another' });
  child.kill('SIGKILL');
  await once(child, 'exit');
  const lock = await tryLock(file, 'me');
  assert.ok(!('heldBy' in lock));
  assert.deepEqual(await holderOf(file), { pid: process.pid, name: 'me' });
  lock.release();
  assert.equal(await holderOf(file), undefined);
});

const withoutFlock = { skip: lacking('flock', 'util-linux') };

test('a holder that has not written its name yet is waited for, and then named', withoutFlock, async t => {
  const file = await lockFile(t);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, '');
  const args = [file, '-c', 'echo held; sleep 300'];
  const child = spawn('flock', args, { detached: true, stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => { process.kill(-(child.pid ?? 0), 'SIGKILL'); });
  await once(child.stdout, 'data');
  const refused = Promise.all([tryLock(file, 'me'), holderOf(file)]);
  await pause(300);
  await writeFile(file, JSON.stringify({ pid: 17, name: 'late' }));
  assert.deepEqual(await refused, [{ heldBy: { pid: 17, name: 'late' } }, { pid: 17, name: 'late' }]);
});

test('what was started with the lock holds it after its starter was killed', async t => {
  const file = await lockFile(t);
  const { child, said } = await holder(t, file, `
    const heir = spawn('sleep', ['300'], { detached: true, stdio: ['ignore', 'ignore', 'ignore', lock.fd] });
    console.log(heir.pid);`);
  const heir = Number(said.split('\n')[0]);
  t.after(() => { try { process.kill(heir, 'SIGKILL'); } catch { /* it has ended */ } });
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.ok('heldBy' in await tryLock(file, 'me'));
  process.kill(heir, 'SIGKILL');
  await free(file);
});

test('of several that ask at once, again and again, one has it', async t => {
  const file = await lockFile(t);
  for (let round = 0; round < 10; round += 1) {
    const locks = await Promise.all(Array.from({ length: 4 }, (_, i) => tryLock(file, `${i}`)));
    const held = locks.flatMap(lock => 'heldBy' in lock ? [] : [lock]);
    assert.equal(held.length, 1, `round ${round}`);
    held.forEach(lock => lock.release());
  }
});

test('whoever waits learns once for whom, gets the lock when it is given back, and gives up in time', async t => {
  const file = await lockFile(t);
  const first = await tryLock(file, 'first');
  assert.ok(!('heldBy' in first));
  const waits: string[] = [];
  const onWait = ({ name }: { name: string }) => { waits.push(name); };
  const late = takeLock(file, 'second', { deadlineMs: 250, onWait });
  await assert.rejects(late, /^Error: first \(pid \d+\) has been at work/);
  const second = takeLock(file, 'second', { deadlineMs: 5_000, onWait });
  first.release();
  (await second).release();
  assert.deepEqual(waits.slice(0, 1), ['first']);
  assert.ok(waits.length <= 2);
});

test('what another user has started is refused to root as well, by name', {
  skip: process.getuid?.() === 0 ? false : 'only root may write in another user\'s folder',
}, async t => {
  const locks = join(await lockFile(t), '..');
  refuseForeign(locks);
  await mkdir(locks);
  refuseForeign(locks);
  await chown(locks, 65534, 65534);
  assert.throws(() => refuseForeign(locks), /belongs to another user \(65534\).*run this as that user/);
});

test('where no folder can be made it ends, and says so', async () => {
  await assert.rejects(tryLock('/proc/no/such/lock', 'me'), /cannot be written \(ENOENT\)/);
});

test('a state folder that cannot be written is one line that says so', async t => {
  const file = await lockFile(t);
  await writeFile(join(file, '../..', 'file'), '');
  const below = join(file, '../..', 'file', 'lock');
  await assert.rejects(tryLock(below, 'me'), /^Error: .* cannot be written \(E[A-Z]+\); [^\n]*$/);
});

test('a lock whose name cannot be written, as on a full disk, is a lock all the same', async t => {
  const file = await lockFile(t);
  await mkdir(dirname(file), { recursive: true });
  await symlink('/dev/full', file);
  const lock = await tryLock(file, 'me');
  assert.ok(!('heldBy' in lock));
  lock.release();
});
