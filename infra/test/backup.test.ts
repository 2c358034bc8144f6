// Backup and restore on plain processes, with a real PostgreSQL: the whole way, and everything that may be in the way.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { appendFile, copyFile, mkdir, mkdtemp, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import test from 'node:test';
import type { TestContext } from 'node:test';
import { dataOf, folderOf, must, openStack, root, runIn } from './stack.ts';
import type { Stack } from './stack.ts';
import { until } from './until.ts';

const program = join(root, 'infra/dist/process/database/cluster-program.js');
const verify = join(root, 'verifier/dist/verify.js');
const isRoot = process.getuid?.() === 0;
const backupsOf = (stack: Stack) => join(stack.state, 'backups');
const sql = async (stack: Stack, text: string) =>
  (await must(stack.run('node', program, 'psql', join(folderOf(stack), 'db'), '-Atc', text))).stdout.trim();
const count = async (stack: Stack) => Number(await sql(stack, 'select count(*) from orders'));
const fill = (stack: Stack, many: number) => sql(stack, `
  insert into orders (order_id, symbol, side, qty, idempotency_key)
  select id, 'ZZD', 'buy', 1.50, id::text from (select gen_random_uuid() id from generate_series(1, ${many})) ids`);
const backup = async (stack: Stack) => (await must(stack.control('backup'))).stdout.trim();
const anew = async (stack: Stack) => {
  await must(stack.control('destroy'));
  await must(stack.control('up'));
};
const place = (stack: Stack) => fetch(`http://127.0.0.1:${stack.port}/order?symbol=ZZD&side=buy&qty=1`, {
  method: 'POST', headers: { connection: 'close' },
});
const checksum = async (file: string) => {
  const sum = execFileSync('sha256sum', [file], { encoding: 'utf8' }).split(' ')[0] ?? '';
  await writeFile(`${file}.sha256`, `${sum.replace('\\', '')}  ${basename(file)}\n`);
};
const ledgerOf = (stack: Stack) => join(stack.state, 'ledger/process-control.jsonl');
const hasPart = async (stack: Stack) =>
  (await readdir(backupsOf(stack)).catch(() => [])).some(name => name.endsWith('.part'));
/** Refused or failed with one line that says so, with nothing changed and nothing left. */
async function refused(stack: Stack, verb: string[], { code = 1, says }: { code?: number; says: RegExp }) {
  const run = await stack.control(...verb);
  assert.equal(run.code, code, run.stderr);
  assert.match(run.stderr, says);
  assert.equal(run.stderr.trim().split('\n').length, 1, run.stderr);
  assert.equal(run.stdout, '');
}

test('what was backed up, destroyed and restored is what verify was promised, and the service serves it', async t => {
  const stack = await openStack(t);
  await must(stack.control('up'));
  await must(stack.run('node', verify));
  const placed = [await place(stack), await place(stack)];
  const { order_id: id } = await placed[0]?.json() as { order_id: string };
  const file = await backup(stack);
  const [, , many = ''] = /^orders-control-\d{8}T\d{6}Z-([0-9a-f]{12}(?:-dirty)?|tree\..{7})-(\d+)\.dump$/
    .exec(basename(file)) ?? [];
  assert.equal(Number(many), await count(stack));
  execFileSync('sha256sum', ['-c', '--status', `${basename(file)}.sha256`], { cwd: dirname(file) });
  await anew(stack);
  const before = (await stack.facts()).api;
  const relative = await runIn(stack.env, 'sh', ['-c', 'cd "$1" && exec "$2" restore "./$3"', 'sh', dirname(file),
    join(root, 'infra/control'), basename(file)]);
  assert.equal(relative.code, 0, relative.stderr);
  assert.equal(await count(stack), Number(many));
  assert.equal((await fetch(`http://127.0.0.1:${stack.port}/orders/${id}`)).status, 200);
  assert.equal((await place(stack)).status, 201);
  assert.deepEqual((await stack.facts()).api, before, 'the same process serves it');
  const owners = await sql(stack, "select distinct tableowner from pg_tables where schemaname = 'public'");
  assert.equal(owners, 'orders');
  const verified = await stack.run('node', verify);
  assert.equal(verified.code, 0, verified.stdout);
  assert.match(verified.stdout, /\blasting yes\b/);
  assert.match(verified.stdout, /; [1-9]\d* before the present start of the service;/);
  // as after a restore that died between its commit and the ledger
  await rm(ledgerOf(stack));
  await must(stack.control('restore', file));
  assert.equal(await readFile(ledgerOf(stack), 'utf8'), await readFile(`${file}.ledger.jsonl`, 'utf8'));
});

test('what stands in the way of a restore is one line, and nothing is touched', async t => {
  const stack = await openStack(t);
  await refused(stack, ['backup'], { says: /control is not up: run make up first/ });
  await must(stack.control('up'));
  await fill(stack, 3);
  const file = await backup(stack);
  await t.test('a stack with orders, some of the backup among them', async () => {
    await sql(stack, 'delete from orders where order_id in (select order_id from orders limit 1)');
    await fill(stack, 1);
    await refused(stack, ['restore', file], { says: /control has 3 orders, .* nothing was touched/ });
    assert.equal(await count(stack), 3);
  });
  await anew(stack);
  await t.test('an order set aside, which comes back even where it is there already', async () => {
    await fill(stack, 1);
    await sql(stack, "update orders set symbol = 'ZZV'");
    await must(stack.control('inject', 'orders-lost'));
    await refused(stack, ['restore', file], { says: /orders-lost is in place on control: make recover first/ });
    await sql(stack, 'insert into orders select * from orders_lost');
    await must(stack.control('recover', 'orders-lost'));
    assert.equal(await count(stack), 1);
    await sql(stack, 'delete from orders');
  });
  await t.test('a ledger that cannot be written', async () => {
    await mkdir(ledgerOf(stack), { recursive: true });
    await refused(stack, ['restore', file], { says: /EISDIR/ });
    await rm(ledgerOf(stack), { recursive: true });
    assert.equal(await count(stack), 0);
  });
  const spoil = async (name: string, act: (copy: string) => Promise<unknown>, sum = true) => {
    const copy = join(stack.state, name);
    await copyFile(file, copy);
    await copyFile(`${file}.sha256`, `${copy}.sha256`);
    await act(copy);
    if (sum) await checksum(copy);
    return ['restore', copy];
  };
  const cases: [string, () => Promise<string[]>, { code?: number; says: RegExp }][] = [
    ['no path', async () => ['restore', ''], { code: 2, says: /make restore FILE=/ }],
    ['no file', async () => ['restore', '/nowhere/x.dump'], { code: 2, says: /there is no backup \/nowhere\/x\.dump/ }],
    ['a folder', async () => ['restore', stack.state], { code: 2, says: /is no file/ }],
    ['no checksum', () => spoil('a.dump', copy => rm(`${copy}.sha256`), false), { says: /a\.dump\.sha256 is missing/ }],
    ['another checksum', () => spoil('b.dump', copy => appendFile(copy, 'x'), false), { says: /not what was written/ }],
    ['a truncated file', () => spoil('c.dump', copy => truncate(copy, 1_500)), { says: /no whole backup: pg_restore/ }],
    ['no dump', () => spoil('d.dump', copy => writeFile(copy, 'orders')), { says: /no whole backup: pg_restore/ }],
    ['another database', () => spoil('e.dump', async copy => {
      const of = ['psql', join(folderOf(stack), 'db'), '-c', 'create table other (a int)'];
      await must(stack.run('node', program, ...of));
      await dump(stack, copy, '-t public.other');
    }), { says: /is no backup of orders/ }],
    ['a newer schema', () => spoil('f.dump', async copy => {
      await sql(stack, 'insert into schema_version values (7)');
      await dump(stack, copy, '-t public.orders -t public.schema_version');
      await sql(stack, 'delete from schema_version where version = 7');
    }), { says: /schema_newer.* version 7, those of control \d;/ }],
  ];
  for (const [name, made, wanted] of cases) {
    await t.test(name, async () => refused(stack, await made(), wanted));
  }
  await t.test('a stopped database', async () => {
    await must(stack.control('inject', 'db-down'));
    await refused(stack, ['restore', file], { says: /cannot be seen: psql: error: connection/ });
    await refused(stack, ['backup'], { says: /no backup was made: .*pg_dump: error: connection/ });
    await must(stack.control('recover', 'db-down'));
    assert.deepEqual((await readdir(backupsOf(stack))).filter(name => name.endsWith('.part')), []);
  });
  await t.test('a path with space, quote, dollar and a leading dash is a path', async () => {
    const odd = join(stack.state, `-it's "a" $HOME; copy.dump`);
    await copyFile(file, odd);
    await checksum(odd);
    assert.equal(await count(stack), 0);
    const made = await runIn({ ...stack.env, FILE: `${dirname(odd)}/${basename(odd)}` }, 'make', ['-s', 'restore']);
    assert.equal(made.code, 0, made.stderr);
    assert.equal(await count(stack), 3);
  });
});

test('orders that come during a restore are refused or stay; none is overwritten, and the backup is whole', async t => {
  const stack = await openStack(t);
  await must(stack.control('up'));
  await fill(stack, 20_000);
  const file = await backup(stack);
  await anew(stack);
  let restored = false;
  const restoring = stack.control('restore', file).finally(() => { restored = true; });
  const ids: string[] = [];
  let over = false;
  const writers = Array.from({ length: 4 }, async () => {
    // what comes before its lock would make the stack a full one: not what is looked at here
    await until(() => sql(stack, "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and granted"),
      seen => restored || Number(seen) > 0);
    while (!over) {
      const answer = await place(stack);
      if (answer.status === 201) ids.push((await answer.json() as { order_id: string }).order_id);
    }
  });
  const ended = await restoring;
  await until(async () => ids.length, many => many > 20);
  over = true;
  await Promise.all(writers);
  assert.equal(ended.code, 0, ended.stderr);
  assert.equal(await count(stack), 20_000 + ids.length);
  for (const id of ids) assert.equal((await fetch(`http://127.0.0.1:${stack.port}/orders/${id}`)).status, 200);
});

test('two backups at once take turns, no verb waits for one, and none is taken while orders are set aside', async t => {
  const stack = await openStack(t);
  await must(stack.control('up'));
  await fill(stack, 100_000);
  const both = [stack.control('backup'), stack.control('backup')];
  await until(() => hasPart(stack), is => is);
  assert.doesNotMatch((await must(stack.control('recover', 'db-down'))).stderr, /waiting for/);
  const files = (await Promise.all(both)).map(({ code, stdout, stderr }) => {
    assert.equal(code, 0, stderr);
    return stdout.trim();
  });
  assert.equal(new Set(files).size, 2);
  // one that comes during the dump
  await must(stack.control('inject', 'table-locked'));
  const late = refused(stack, ['backup'], { says: /no backup was made: right-revoked is in place/ });
  await until(() => hasPart(stack), is => is);
  await must(stack.control('inject', 'right-revoked'));
  await must(stack.control('recover', 'table-locked'));
  await late;
  assert.equal((await readdir(backupsOf(stack))).filter(name => name.startsWith('orders')).length, 6);
  await must(stack.control('recover'));
  await must(stack.control('inject', 'tables-lost'));
  await refused(stack, ['backup'], { says: /no backup was made: tables-lost is in place/ });
  await must(stack.control('inject', 'tables-lost'));
  assert.equal((await place(stack)).status, 201);
  await must(stack.control('up'));
  assert.equal(await count(stack), 100_001, 'up has put the tables back, with what came meanwhile');
  assert.equal((await stack.control('journal')).stdout, '');
});

test('a key that was promised twice, before and after the tables were lost, keeps both orders', async t => {
  const stack = await openStack(t);
  await must(stack.control('up'));
  const keyed = async () => (await (await fetch(`http://127.0.0.1:${stack.port}/order?symbol=ZZD&side=buy&qty=1`, {
    method: 'POST', headers: { connection: 'close', 'idempotency-key': '"one"' },
  })).json() as { order_id: string }).order_id;
  const first = await keyed();
  await must(stack.control('inject', 'tables-lost'));
  const second = await keyed();
  assert.notEqual(first, second);
  await must(stack.control('recover', 'tables-lost'));
  await must(stack.control('recover', 'tables-lost'));
  for (const id of [first, second]) {
    assert.equal((await fetch(`http://127.0.0.1:${stack.port}/orders/${id}`)).status, 200);
  }
  assert.equal(await keyed(), first);
});

test('killed half way, a backup leaves none and a restore leaves an empty stack, and both work again', async t => {
  const stack = await openStack(t);
  await must(stack.control('up'));
  await fill(stack, 300_000);
  await kill(stack, ['backup'], () => hasPart(stack));
  assert.equal((await readdir(backupsOf(stack))).some(name => name.endsWith('.dump')), false);
  // and as by one that was killed between its last steps
  const besideOf = (moment: string) => (
    ['.ledger.jsonl', '.sha256'].map(what => `orders-control-${moment}-c0ffee-1.dump${what}`)
  );
  const [packed, strays] = [besideOf('20250101T000000Z'), besideOf('20260101T000000Z')];
  for (const name of [...packed, ...strays]) await writeFile(join(backupsOf(stack), name), '');
  const names = async () => (await readdir(backupsOf(stack))).filter(name => name.startsWith('orders')).sort();
  const file = await backup(stack);
  const kept = [...packed, ...['', '.ledger.jsonl', '.sha256'].map(what => basename(file) + what)];
  assert.deepEqual(await names(), kept, 'what belongs to a dump that somebody has packed stays');
  for (const name of strays) await writeFile(join(backupsOf(stack), name), '');
  const later = await backup(stack);
  assert.ok((await names()).includes(strays[0] ?? ''), 'no backup was killed meanwhile');
  for (const name of [...strays, ...packed]) await rm(join(backupsOf(stack), name));
  assert.ok(later > file);
  await anew(stack);
  const copying = "select count(*) from pg_stat_activity where query ilike 'copy public.orders%' and state = 'active'";
  await kill(stack, ['restore', file], async () => Number(await sql(stack, copying)) > 0);
  await until(() => sql(stack, copying), seen => seen === '0');
  assert.equal(await count(stack), 0);
  await must(stack.control('restore', file));
  assert.equal(await count(stack), 300_000);
});

test('a full disk is one line, and nothing is left that looks like a backup', {
  skip: isRoot ? false : 'only root can mount a small file system',
}, async t => {
  const stack = await openStack(t);
  await must(stack.control('up'));
  await fill(stack, 100_000);
  const folder = await mkdtemp(join(tmpdir(), 'orders-small-'));
  mount(t, folder);
  const run = await stack.controlWith({ ORDERS_BACKUPS: folder }, 'backup');
  assert.equal(run.code, 1);
  assert.match(run.stderr, /no backup was made: .*No space left on device/i);
  assert.deepEqual((await readdir(folder)).filter(name => name.startsWith('orders')), []);
});

/** One that is not ours in some way. */
async function dump(stack: Stack, file: string, what: string): Promise<void> {
  const found = await must(stack.run('sh', '-c', 'ls /usr/lib/postgresql/*/bin/pg_dump | tail -n 1'));
  const bin = dirname(found.stdout.trim());
  const run = join(dirname(dataOf(stack)), 'run');
  const user = isRoot ? 'setpriv --reuid=postgres --regid=postgres --clear-groups ' : '';
  const line = `cd '${run}' && exec ${user}${bin}/pg_dump -h "$PWD" -p ${stack.dbPort} -U postgres -Fc ${what} orders`;
  await must(stack.run('sh', '-c', `(${line}) > '${file}'`));
}

async function kill(stack: Stack, verb: string[], when: () => Promise<boolean>): Promise<void> {
  const child = spawn('node', [join(root, 'infra/dist/cli.js'), ...verb], { env: stack.env, stdio: 'ignore' });
  await until(when, is => is);
  child.kill('SIGKILL');
  await new Promise(resolve => { child.once('exit', resolve); });
}

function mount(t: TestContext, folder: string): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', folder]);
  t.after(async () => {
    execFileSync('umount', [folder]);
    await rm(folder, { recursive: true });
  });
}

