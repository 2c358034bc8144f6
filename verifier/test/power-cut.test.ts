// The control of power-cut: a database that does not wait for its disk loses what it promised, and the drill is red.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { openApi } from '../client/api.ts';
import { until } from '../client/until.ts';
import { draftOrder } from '../experiment/load.ts';
import { root } from '../programs/program.ts';
import { start } from './program.ts';
import { openRealStack } from './real-stack.ts';

const program = fileURLToPath(new URL('../drill.js', import.meta.url));
const clusterProgram = join(root, 'infra/dist/process/database/cluster-program.js');
const isPossible = process.platform === 'linux' && process.getuid?.() === 0 && existsSync('/dev/loop-control');
const skip = isPossible ? false : 'a disk of its own needs Linux, root and loop devices';

test('power-cut', { skip }, async t => {
  const stack = await openRealStack('process', { ORDERS_DISK_MB: '128', KILLS: '1' });
  t.after(stack.remove);
  const psql = async (text: string) => {
    const argv = [clusterProgram, 'psql', join(stack.state, 'process/control/db'), '-At', '-v', 'ON_ERROR_STOP=1'];
    const run = promisify(execFile)(process.execPath, argv, { env: stack.env, timeout: 20_000 });
    run.child.stdin?.end(text);
    return (await run).stdout.trim();
  };
  const set = async (name: string, value: string) => {
    await psql(`alter system set ${name} = '${value}';\nselect pg_reload_conf();\n`);
    await until(() => psql(`show ${name};\n`), shown => shown === value, 10_000);
  };

  await t.test('holds with a database that waits for its disk', async () => {
    const { code, stdout } = await start(program, ['power-cut'], stack.env).ended;
    assert.equal(code, 0, stdout);
  });

  await t.test('is red when commits are not waited for', async step => {
    await set('wal_writer_delay', '10s');
    // the service asks for it on every connection, whatever the server is set to; a trigger has the last word
    await psql(`create function careless() returns trigger language plpgsql as
        $$ begin perform set_config('synchronous_commit', 'off', true); return null; end $$;
      create trigger careless before insert on orders for each statement execute function careless();\n`);
    const { code, points, stdout } = await start(program, ['power-cut'], stack.env).ended;
    const lost = points.find(({ id }) => id.rung === 'reckoning' && id.check === 'nothing-lost');
    const told = lost?.said.find(line => line.startsWith('acked')) ?? '';
    assert.deepEqual([code, lost?.held], [1, false], stdout);
    assert.match(told, / · missing [1-9]/, stdout);
    step.diagnostic(told);
    await psql('drop function careless cascade;\nalter system reset wal_writer_delay;\nselect pg_reload_conf();\n');
  });

  await t.test('what was promised is gone with fsync off: the cut takes all that is not on disk', async step => {
    await psql('checkpoint;\n');
    await set('fsync', 'off');
    const { port = 0 } = (await stack.control.targets())[0] ?? {};
    const { place, find } = openApi({ host: '127.0.0.1', port }, 5_000);
    const promised: string[] = [];
    for (let turn = 0; turn < 100; turn += 1) {
      promised.push((await place(draftOrder(), { as: 'json' })).value?.order_id ?? '');
    }
    const found = async () => Promise.all(promised.map(async id => (await find(id)).status === 200));
    assert.deepEqual(new Set(await found()), new Set([true]));
    assert.deepEqual(await stack.control.inject('control', 'power-cut'), { done: undefined });
    assert.deepEqual(await stack.control.recover('control', 'power-cut'), { done: undefined });
    const left = await until(found, seen => seen.length > 0, 10_000);
    step.diagnostic(`${left.filter(Boolean).length} of ${promised.length} are left`);
    assert.ok(left.includes(false), 'the cut takes nothing that was not on disk: it proves nothing');
  });
});
