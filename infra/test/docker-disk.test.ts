// A disk of the database's own beneath its volume: its power is cut, it is full, it is missing; nothing is left of it.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { missing, openContainers, soon, succeeded } from './docker-stack.ts';
import { diskless } from './loop-disk.ts';
import { root, runIn } from './stack.ts';

test('a stack with a disk of its own', { skip: missing || diskless }, async t => {
  const stack = await openContainers(t, { ORDERS_DISK_MB: '128' });
  const { platform, docker, ask, status } = stack;
  const mounted = () => readFileSync('/proc/mounts', 'utf8').includes(`${stack.project}_data`);
  const place = async () => String((await ask('/order?symbol=ZZD&side=buy&qty=1', 'POST'))['order_id']);
  const twice = async (verb: string, fault: string) => {
    for (const time of ['first', 'second']) succeeded(await platform(verb, fault), `${time} ${verb} ${fault}`);
  };
  const isServed = () => soon(() => status('/ready'), 200);
  succeeded(await platform('up'), 'up');
  assert.ok(mounted());

  await t.test('power-cut, at once after the first up: what was promised is there', async () => {
    const order = await place();
    await twice('inject', 'power-cut');
    assert.match(succeeded(await platform('journal'), 'journal'), /^control power-cut \S+\n$/);
    assert.deepEqual([await status('/health'), mounted()], [0, false]);
    await twice('recover', 'power-cut');
    await isServed();
    assert.equal(await status(`/orders/${order}`), 200);
    succeeded(await platform('inject', 'power-cut'), 'inject');
    succeeded(await platform('up'), 'up');
    assert.equal(await status(`/orders/${order}`), 200);
  });

  await t.test('every container and volume is as verify wants it', async () => {
    assert.deepEqual(await stack.broken(), []);
  });

  await t.test('a full disk turns orders away; room is all it needs, also after the server has ended', async () => {
    const order = await place();
    await twice('inject', 'disk-full');
    assert.equal((await ask('/order?symbol=ZZD&side=buy&qty=1', 'POST'))['code'], 'database_unavailable');
    assert.deepEqual([await status('/ready'), await status(`/orders/${order}`)], [200, 200]);
    const log = "select pg_logical_emit_message(true, 'ZZ', 'a few words'); select pg_switch_wal()";
    await soon(async () => {
      await docker('exec', stack.db, 'psql', '-U', 'postgres', '-d', 'orders', '-c', log).catch(() => '');
      return status('/ready');
    }, 503);
    await twice('recover', 'disk-full');
    await isServed();
    await place();
    assert.equal(await status(`/orders/${order}`), 200);
  });

  await t.test('without its mount the database does not begin empty, and up mounts it again', async () => {
    const order = await place();
    succeeded(await platform('halt'), 'halt');
    assert.equal(mounted(), false);
    await docker('start', stack.db);
    const tries = async () => Number(await docker('inspect', '-f', '{{.RestartCount}}', stack.db));
    await soon(async () => await tries() >= 2, true);
    const folder = (await docker('volume', 'inspect', '-f', '{{.Mountpoint}}', `${stack.project}_data`)).trim();
    assert.deepEqual(readdirSync(folder), ['not-mounted']);
    succeeded(await platform('up'), 'up');
    await isServed();
    assert.equal(await status(`/orders/${order}`), 200);
  });

  await t.test('up fails when the database works on something else than what is mounted here', async () => {
    const folder = (await docker('volume', 'inspect', '-f', '{{.Mountpoint}}', `${stack.project}_data`)).trim();
    // in mounts of our own, as when the engine has others than we
    const script = 'mount -t tmpfs tmpfs "$1" && exec "$2" up';
    const up = await runIn(stack.env, 'unshare', ['-m', '--propagation', 'private', 'sh', '-c', script, 'sh', folder,
      join(root, 'infra/control')]);
    assert.equal(up.code, 1, up.stderr);
    assert.match(up.stderr, /the database does not work on the disk .* mounted at/);
    succeeded(await platform('up'), 'up');
  });

  await t.test('destroy leaves neither mount nor file nor volume', async () => {
    succeeded(await platform('destroy'), 'destroy');
    const volumes = await docker('volume', 'ls', '-q', '--filter', `name=${stack.project}`);
    assert.deepEqual([mounted(), existsSync(join(stack.state, 'docker/control')), volumes.trim()], [false, false, '']);
  });
});
