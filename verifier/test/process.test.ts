// Drills against a real PostgreSQL and a real service: a stack of plain processes on ports and in a folder of its own.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { openApi } from '../client/api.ts';
import { until } from '../client/until.ts';
import { root } from '../programs/program.ts';
import { interrupt, tellRow } from './interrupt.ts';
import type { Case } from './interrupt.ts';
import { blocksOf, missingIn, paste, readPage } from './pages.ts';
import { start } from './program.ts';
import { openRealStack } from './real-stack.ts';

const run = promisify(execFile);
const program = fileURLToPath(new URL('../drill.js', import.meta.url));
const clusterProgram = join(root, 'infra/dist/process/database/cluster-program.js');

/** A longer run: DRILLS="db-down mid-flight drain". */
const chosen = (process.env['DRILLS'] ?? 'db-down').split(' ');
/** A sample of what `make signals` goes through. */
const interruptions: Case[] = [
  { drill: 'db-down', signal: 'SIGINT', whom: 'drill', moment: 'in place' },
  { drill: 'table-locked', signal: 'SIGKILL', whom: 'drill', moment: 'in place' },
  { drill: 'restart-keeps-orders', signal: 'SIGKILL', whom: 'child', moment: 'injecting' },
];

test('drills on plain processes', async t => {
  const stack = await openRealStack('process', { KILLS: process.env['KILLS'] ?? '3' });
  t.after(stack.remove);
  const secret = async () => (await readFile(join(stack.state, 'process/control/db/password'), 'utf8')).trim();
  const { port = 0 } = (await stack.control.targets())[0] ?? {};
  const ready = async () => (await openApi({ host: '127.0.0.1', port }, 2_000).ready()).status;
  // as a file of statements: several on one command line would be one transaction, which ALTER SYSTEM refuses
  const sql = async (text: string) => {
    const argv = ['psql', join(stack.state, 'process/control/db'), '-At', '-v', 'ON_ERROR_STOP=1'];
    const psql = run(process.execPath, [clusterProgram, ...argv], { env: stack.env, timeout: 20_000 });
    psql.child.stdin?.end(text);
    return (await psql).stdout;
  };

  const printed = new Map<string, string>();
  for (const name of chosen) {
    await t.test(`${name} holds`, async () => {
      const drill = start(program, [name], stack.env);
      // what goes wrong in SQL is in the database's log, the password with it
      await sql(`alter role nobody password '${await secret()}';\n`).catch(() => undefined);
      const end = await drill.ended;
      printed.set(`make drill DRILL=${name}`, end.stdout);
      assert.equal(end.code, 0, end.stdout + end.stderr);
      assert.ok(end.stdout.endsWith(`# verdict: ${name} held\n`), end.stdout);
    });
  }

  await t.test('its evidence has the logs of that time, and no password', async () => {
    const evidence = join(stack.state, 'evidence');
    const names = await readdir(evidence, { recursive: true });
    const texts = await Promise.all(names.filter(name => /\.\w+$/.test(name)).map(async name => (
      { name, text: await readFile(join(evidence, name), 'utf8') }
    )));
    const log = (program: string) => texts.find(({ name }) => name.endsWith(`logs/control-${program}.log`))?.text ?? '';
    assert.match(log('database'), /STATEMENT: {2}alter role nobody password '\[hidden\]'/);
    assert.match(log('service'), /"event":"unready"/);
    const password = await secret();
    assert.deepEqual(texts.filter(({ text }) => text.includes(password)).map(({ name }) => name), []);
  });

  await t.test('Ctrl-C in the middle of a drill brings the database back and says so', async () => {
    const drill = start(program, ['db-down'], stack.env);
    await until(async () => drill.said().includes('the database is stopped'), Boolean, 60_000, 20);
    drill.child.kill('SIGINT');
    const end = await drill.ended;
    assert.equal(end.code, 130);
    assert.match(end.stderr, /drill: undone on control: db-down/);
    assert.deepEqual(await stack.control.journal(), []);
    assert.equal(await until(ready, status => status === 200, 10_000), 200);
  });

  for (const one of interruptions) {
    const { drill, signal, whom, moment } = one;
    await t.test(`${drill} is undone after ${signal} to ${whom} while ${moment}`, async () => {
      const row = await interrupt(stack, one);
      assert.equal(row.trouble, undefined, tellRow(row));
    });
  }

  await t.test('mid-flight sees the loss when a database does not wait for its commits', async step => {
    // The service asks for it on every connection, whatever role and server are set to; a trigger has the last word.
    await sql(`alter system set wal_writer_delay = '10s'; select pg_reload_conf();
      create function careless() returns trigger language plpgsql as
        $$ begin perform set_config('synchronous_commit', 'off', true); return null; end $$;
      create trigger careless before insert on orders for each statement execute function careless();\n`);
    await until(() => sql('show wal_writer_delay;\n'), shown => shown.trim() === '10s', 10_000);
    const careless = await start(program, ['mid-flight'], { ...stack.env, KILLS: '2' }).ended;
    assert.equal(careless.code, 1, careless.stdout);
    const lost = careless.points.find(({ id }) => id.rung === 'reckoning' && id.check === 'nothing-lost');
    assert.equal(lost?.held, false, careless.stdout);
    const told = lost.said.find(line => line.startsWith('acked')) ?? '';
    assert.match(told, / · missing [1-9]/, careless.stdout);
    step.diagnostic(told);
    await sql('drop function careless cascade; alter system reset wal_writer_delay; select pg_reload_conf();\n');
  });

  // a drain that nobody waits for
  const env = { ...stack.env, DRAIN_GRACE_MS: '100' };
  await t.test('what README shows is what its commands print', async () => {
    const blocks = blocksOf(readPage('README.md'));
    const elsewhere = (line: string) => /^(git clone|make test)\b/.test(line) || printed.has(commandOf(line));
    const lines = blocks.filter(({ language }) => language === 'sh').flatMap(({ lines }) => lines);
    for (const one of await paste(lines.filter(line => !elsewhere(line)), env)) {
      printed.set(commandOf(one.line), one.printed);
    }
    for (const [i, { language, lines }] of blocks.entries()) {
      if (language !== 'text') continue;
      const said = (blocks[i - 1]?.lines ?? []).map(line => printed.get(commandOf(line)) ?? '').join('');
      assert.deepEqual(missingIn(said, lines), [], said);
    }
  });

  await t.test('the commands of the runbook can be pasted, and do what it says', async () => {
    // what takes minutes, and what other tests type
    const elsewhere = /^(make (drills?|prove|signals|verify)\b|node verifier\/dist\/drill\.js [a-z])/;
    const blocks = blocksOf(readPage('RUNBOOK.md')).filter(({ language, only }) => language === 'sh' && only === '');
    const lines = blocks.flatMap(block => block.lines).filter(line => !elsewhere.test(line));
    const pasted = await paste(lines, env);
    const looks = pasted.filter(({ line }) => line.includes('/orders/$ORDER'));
    assert.ok(looks.length >= 2, 'an order is looked at before and after a restart');
    assert.deepEqual([...new Set(looks.map(look => look.printed))], [looks[0]?.printed]);
    const answers = (path: string) => pasted.filter(({ line }) => line.endsWith(`curl -i "$BASE${path}"`))
      .map(answer => /^HTTP\/1.1 (\d+)/m.exec(answer.printed)?.[1]);
    assert.deepEqual([answers('/health'), answers('/ready')], [['200', '200'], ['200', '503']]);
    const journal = pasted.find(({ line }) => line === 'infra/control journal');
    assert.match(journal?.printed ?? '', /^control db-down /);
  });
});

/** Without the remark behind it. */
function commandOf(line: string): string {
  return line.replace(/ +# .*/, '');
}
