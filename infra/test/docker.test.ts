// The platform of containers: its verbs, what they leave behind, and the same image on two nodes.
import assert from 'node:assert/strict';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { root, runIn } from './stack.ts';
import { missing, openContainers, succeeded } from './docker-stack.ts';
import type { Containers } from './docker-stack.ts';

const whole = 'two nodes run one image, are sound, keep orders through halt and up, and leave nothing after destroy';
test(whole, { skip: missing }, async t => {
  const stack = await openContainers(t, { NODE: 'control worker1' });
  // the image is given, so only its commit can be held to anything; the bases are those of this machine
  const strict = async () => stack.broken({
    STRICT: '1', ORDERS_STAND_INS: '1', COMMIT: String((await stack.ask('/version'))['git_sha']),
  });
  succeeded(await stack.platform('up'), 'up');
  // nothing was promised before a first start, which is a skip
  assert.deepEqual(await stack.broken(), []);
  const facts = succeeded(await stack.platform('facts'), 'facts').trim().split('\n').map(line => JSON.parse(line));
  assert.deepEqual(facts.map(({ node }) => node), ['control', 'worker1']);
  assert.equal(facts[0].api.image_id, facts[1].api.image_id);
  assert.deepEqual(facts.map(({ api }) => api.published), [[`127.0.0.1:${stack.port}`], [`127.0.0.2:${stack.port}`]]);

  const order = await stack.ask('/order?symbol=BTC&side=buy&qty=1', 'POST');
  const volumes = await owned(stack, 'volume');
  succeeded(await stack.platform('halt'), 'halt');
  succeeded(await stack.platform('halt'), 'a second halt');
  assert.deepEqual(await owned(stack, 'container', '--filter', 'status=running'), []);
  assert.equal(succeeded(await stack.platform('targets'), 'targets'), '');
  assert.deepEqual(await owned(stack, 'volume'), volumes);
  succeeded(await stack.platform('up'), 'up after halt');
  assert.deepEqual(await stack.ask(`/orders/${order['order_id']}`), order);
  assert.deepEqual(await strict(), []);

  succeeded(await stack.platform('destroy'), 'destroy');
  succeeded(await stack.platform('destroy'), 'a second destroy');
  for (const kind of ['container', 'volume', 'network']) assert.deepEqual(await owned(stack, kind), [], kind);
  await assert.rejects(stat(join(stack.state, 'docker')), { code: 'ENOENT' });
});

test('one stack', { skip: missing }, async t => {
  const stack = await openContainers(t);
  succeeded(await stack.platform('up'), 'up');

  const mended = 'a running stack is left alone by a second up, and repaired by up after a kill, a cut, a pause';
  await t.test(mended, async () => {
    const { instance_id: before } = await stack.ask('/version');
    succeeded(await stack.platform('up'), 'a second up');
    assert.equal((await stack.ask('/version'))['instance_id'], before);
    const { api, db } = stack;
    const cut = ['network', 'disconnect', `${stack.project}_front`, api];
    for (const harm of [['kill', api], ['kill', db], ['pause', db], cut]) {
      await stack.docker(...harm);
      succeeded(await stack.platform('up'), `up after docker ${harm.join(' ')}`);
      assert.deepEqual(await stack.broken(), [], harm.join(' '));
    }
  });

  await t.test('the stack comes back by itself after docker restart', async () => {
    await stack.docker('restart', stack.db, stack.api);
    // returns once a container is healthy: Compose looks for us
    const waiting = ['up', '--detach', '--no-recreate', '--wait', '--wait-timeout', '60'];
    succeeded(await stack.compose('services: {}', ...waiting), 'wait');
    succeeded(await stack.platform('recover'), 'recover');
    assert.deepEqual(await stack.broken(), []);
  });

  await t.test('facts are the same where the processes of the engine are not to be seen', async st => {
    // as with an engine in a machine of its own
    const elsewhere = ['--pid', '--fork', '--mount-proc'];
    const can = await runIn(stack.env, 'unshare', [...elsewhere, 'true']);
    if (can.code !== 0) return st.skip('no process namespace can be made here');
    const here = JSON.parse(succeeded(await stack.platform('facts'), 'facts'));
    const unseeing = await runIn(stack.env, 'unshare', [...elsewhere, join(root, 'infra/control'), 'facts']);
    const there = JSON.parse(succeeded(unseeing, 'facts elsewhere'));
    assert.equal(typeof here.api.uid, 'number');
    // these two may change between two looks
    for (const { api, db } of [here, there]) { delete api.health; delete db.health; }
    assert.deepEqual(there, here);
  });

  await t.test('the decisive fields of both containers are those of the hardening list', async () => {
    const [api, db] = JSON.parse(await stack.docker('inspect', stack.api, stack.db));
    for (const { HostConfig: host, Config: config } of [api, db]) {
      assert.deepEqual(host.CapDrop, ['ALL']);
      assert.deepEqual([host.Privileged, host.ReadonlyRootfs, host.CapAdd, host.Devices], [false, true, null, null]);
      assert.deepEqual(host.SecurityOpt, ['no-new-privileges:true']);
      assert.deepEqual([host.PidMode, host.UTSMode, host.UsernsMode, host.IpcMode], ['', '', '', 'private']);
      assert.ok(host.PidsLimit > 0 && host.PidsLimit <= 100 && host.NanoCpus > 0);
      assert.ok(host.Memory > 0 && host.MemorySwap === host.Memory);
      assert.deepEqual(host.LogConfig, { Type: 'json-file', Config: { 'max-file': '3', 'max-size': '10m' } });
      assert.match(config.Image, /sha256[:-][0-9a-f]{64}$/);
      assert.equal(config.Healthcheck.Test[0], 'CMD');
    }
    assert.deepEqual([api.Config.User, db.Config.User, db.Config.StopSignal], ['65532:65532', '999:999', 'SIGINT']);
    assert.deepEqual([api.Config.StopTimeout, db.Config.StopTimeout], [12, 30]);
    assert.deepEqual(api.Mounts.map(mountOf), ['bind /run/secrets/database_password false']);
    assert.deepEqual(db.Mounts.map(mountOf).sort(), [
      'bind /docker-entrypoint-initdb.d/role.sh false', 'bind /run/secrets/database_password false',
      'bind /run/secrets/postgres_password false', 'volume /var/lib/postgresql/data true',
    ]);
    const secrets = join(stack.state, 'docker/control/secrets');
    assert.equal((await stat(secrets)).mode & 0o777, 0o700);
    assert.equal((await stat(join(secrets, 'database_password'))).mode & 0o777, 0o444);
    assert.match(await readFile(join(secrets, 'database_password'), 'utf8'), /^[A-Za-z0-9_-]{43}$/);
  });
});

type Mount = { Type: string; Destination: string; RW: boolean };
const mountOf = (mount: Mount) => `${mount.Type} ${mount.Destination} ${mount.RW}`;

/** Names of what Compose's labels say is of this test. */
async function owned(stack: Containers, kind: string, ...more: string[]): Promise<string[]> {
  const list = kind === 'container' ? ['ps', '-a', '--format', '{{.Names}} {{.Label "com.docker.compose.project"}}']
    : [kind, 'ls', '--format', '{{.Name}}'];
  const prefix = stack.env['ORDERS_PROJECT'] ?? '';
  return (await stack.docker(...list, ...more)).split('\n').filter(line => line.includes(prefix)).sort();
}
