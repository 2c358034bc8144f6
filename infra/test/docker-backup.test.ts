// Backup and restore of containers: through destroy into a new stack, and what becomes of it when the database is away.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import test from 'node:test';
import { missing, openContainers, soon, succeeded } from './docker-stack.ts';
import { root } from './stack.ts';

test('what was backed up comes back into a new stack, and verify holds it to it', { skip: missing }, async t => {
  const stack = await openContainers(t);
  const sql = async (text: string) =>
    (await stack.docker('exec', stack.db, 'psql', '-XAtq', '-U', 'postgres', '-d', 'orders', '-c', text)).trim();
  const count = () => sql('select count(*) from orders');
  succeeded(await stack.platform('up'), 'up');
  assert.deepEqual(await stack.broken(), []);
  const order = await stack.ask('/order?symbol=ZZD&side=buy&qty=1', 'POST');
  await sql(`insert into orders (order_id, symbol, side, qty, idempotency_key)
    select id, 'ZZD', 'buy', 1, id::text from (select gen_random_uuid() id from generate_series(1, 200000)) ids`);
  const many = await count();
  const file = succeeded(await stack.platform('backup'), 'backup').trim();
  assert.match(basename(file), new RegExp(`^orders-control-.*-${many}\\.dump$`));
  execFileSync('sha256sum', ['-c', '--status', `${basename(file)}.sha256`], { cwd: dirname(file) });
  // else all that is in the file would be there, and its ledger brought again
  await sql("update orders set qty = 2 where order_id = (select order_id from orders where symbol = 'ZZD' limit 1)");
  const full = await stack.platform('restore', file);
  assert.equal(full.code, 1);
  assert.match(full.stderr, new RegExp(`control has ${many} orders, .* nothing was touched`));

  await stack.docker('pause', stack.db);
  for (const verb of [['backup'], ['restore', file]]) {
    const run = await stack.platform(...verb);
    assert.equal(run.code, 1, run.stdout);
    assert.match(run.stderr, /^infra\/control: control: [^\n]* is paused[^\n]*\n$/);
  }
  assert.deepEqual((await readdir(dirname(file))).filter(name => name.endsWith('.part')), []);

  succeeded(await stack.platform('destroy'), 'destroy');
  succeeded(await stack.platform('up'), 'up');
  const child = spawn('node', [join(root, 'infra/dist/cli.js'), 'restore', file], { env: stack.env, stdio: 'ignore' });
  const copying = "select count(*) from pg_stat_activity where query ilike 'copy public.orders%' and state = 'active'";
  await soon(() => sql(copying), '1');
  child.kill('SIGKILL');
  await soon(() => sql(copying), '0');
  assert.equal(await count(), '0', 'one that was killed has left an empty stack');

  succeeded(await stack.platform('restore', file), 'restore');
  assert.equal(await count(), many);
  assert.deepEqual(await stack.ask(`/orders/${order['order_id']}`), order);
  // under STRICT the rung lasting is red when no promise is older than the start
  const commit = String((await stack.ask('/version'))['git_sha']);
  assert.deepEqual(await stack.broken({ STRICT: '1', ORDERS_STAND_INS: '1', COMMIT: commit }), []);
});
