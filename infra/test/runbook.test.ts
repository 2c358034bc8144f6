// RUNBOOK.md and README.md are held to the code: every command, path, status, drill, reason and setting they name.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import type { TestContext } from 'node:test';
import { faultNames } from '../platform.ts';
import { freePort, root, runIn } from './stack.ts';

const read = (path: string) => readFile(join(root, path), 'utf8');
const runbook = await read('RUNBOOK.md');
const readme = await read('README.md');
const both = `${runbook}\n${readme}`;
const all = (text: string, pattern: RegExp) => [...new Set([...text.matchAll(pattern)].map(match => match[1] ?? ''))];
const drills = async () => (
  await runIn(process.env, 'node', ['verifier/dist/drill.js', '--list'])
).stdout.trim().split('\n').map(line => line.split(/\s/)[0] ?? '');

/** A real service process with no database behind it; its answers are what the pages speak of. */
async function openService(t: TestContext): Promise<string> {
  const port = await freePort();
  const child = spawn('node', [join(root, 'service/dist/main.js')], {
    env: {
      PATH: process.env['PATH'], HOST: '127.0.0.1', PORT: String(port), DATABASE_HOST: '127.0.0.1',
      DATABASE_PORT: String(await freePort()), DATABASE_NAME: 'orders', DATABASE_USER: 'orders',
      DATABASE_PASSWORD: 'none', DRAIN_GRACE_MS: '0',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(async () => {
    child.kill('SIGTERM');
    if (child.exitCode === null) await once(child, 'exit');
  });
  await once(child.stdout, 'data');
  return `http://127.0.0.1:${port}`;
}

test('every make target that is named exists, and make help lists it', async () => {
  const help = (await runIn(process.env, 'make', ['-s', 'help'])).stdout;
  const named = all(both, /(?:^|`|&& )make ([a-z]+)/gm);
  assert.ok(named.length >= 10, named.join(' '));
  for (const target of named) assert.match(help, new RegExp(`make ${target} `), `make ${target}`);
  for (const target of all(help, /^ {2}make ([a-z]+)/gm).filter(word => !['help', 'build', 'clean'].includes(word))) {
    assert.match(both, new RegExp(`make ${target}`), `make ${target} stands in no page`);
  }
});

test('the drills of the runbook are the drills of the program, each with all that an operator needs', async () => {
  const known = await drills();
  const sections = runbook.split(/^#{2,3} /m).filter(section => known.includes(section.split('\n')[0] ?? ''));
  assert.deepEqual(sections.map(section => section.split('\n')[0]).toSorted(), known.toSorted());
  for (const section of sections) {
    const name = section.split('\n')[0] ?? '';
    for (const label of ['Looks like', 'Means', 'Run', 'By hand', 'Back to normal']) {
      assert.ok(section.includes(`**${label}:**`), `${name}: ${label}`);
    }
    assert.ok(section.includes(`make drill DRILL=${name}`), `${name}: its own command`);
  }
  for (const drill of all(both, /DRILL=([a-z-]+)/g)) assert.ok(known.includes(drill), `DRILL=${drill}`);
  for (const drill of all(both, /drill\.js (?:--describe )?([a-z][a-z-]+)/g)) {
    assert.ok([...known, 'recover'].includes(drill), `drill.js ${drill}`);
  }
});

test('every fault and verb that is typed is one that every platform knows', async () => {
  // that every platform has every fault of the list is the compiler's business
  for (const fault of all(runbook, /infra\/control (?:inject|recover) ([a-z-]+)/g)) {
    assert.ok(faultNames.some(name => name === fault), `no fault ${fault}`);
  }
  const usage = (await runIn(process.env, 'infra/control', [])).stderr;
  const verbs = all(usage, /^ {2}([a-z]+) /gm);
  assert.ok(verbs.length >= 11, usage);
  for (const verb of all(both, /infra\/control ([a-z]+)/g)) assert.ok(verbs.includes(verb), `no verb ${verb}`);
});

test('every file that is named is there', async () => {
  const made = /^(infra\/\.env|\.state)/;
  const paths = all(both, /[`\s(]((?:service|verifier|infra|vagrant|\.ci)\/[A-Za-z0-9_./-]*[A-Za-z0-9])/g).filter(
    path => !made.test(path),
  );
  assert.ok(paths.length >= 5, paths.join(' '));
  for (const path of paths) await access(join(root, path));
});

test('the paths, statuses and reasons that are named are what a service without its database answers', async t => {
  const base = await openService(t);
  const paths = all(both, /https?:\/\/[0-9.]+:8000(\/[a-z.]*)/g).filter(path => !path.startsWith('/order'));
  assert.deepEqual(paths.toSorted(), ['/health', '/metrics', '/openapi.json', '/ready', '/version']);
  for (const path of paths) {
    const { status } = await fetch(base + path);
    assert.equal(status, path === '/ready' ? 503 : 200, path);
  }
  const ready = await (await fetch(`${base}/ready`)).json() as { checks: { database: { reason: string } } };
  assert.equal(ready.checks.database.reason, 'connection_refused');
  assert.match(runbook, /`\/ready` 503 with the reason `connection_refused`/);
  const api = await (await fetch(`${base}/openapi.json`)).json() as { paths: Record<string, unknown> };
  assert.deepEqual(
    ['/order', '/orders/{id}', '/health', '/ready', '/version', '/metrics', '/openapi.json'].filter(
      path => !(path in api.paths),
    ),
    [],
  );
  const codes = runbook.split('## What callers are told')[1]?.split('\n## ')[0] ?? '';
  for (const code of all(await read('service/http/problem.ts'), /^  ([a-z_]+): \d{3},$/gm)) {
    assert.match(codes, new RegExp(`\`${code}\``), `${code} is not in the runbook`);
  }
  for (const word of all(codes, /`([a-z]+_[a-z_]+)`/g).filter(word => !['request_id', 'order_id'].includes(word))) {
    assert.ok((await read('service/http/problem.ts')).includes(word), `${word} is no code`);
  }
  for (const word of all(runbook, /(?:reason|code) `([a-z_]+)`/g)) {
    assert.ok(JSON.stringify(api).includes(`"${word}"`), `${word} stands in no answer`);
  }
});

test('every setting in the table is one the service reads, with the default that is stated', async () => {
  const source = (await read('service/config.ts')).replace(/(?<=\d)_(?=\d)/g, '');
  const rows = [...runbook.matchAll(/^\| `([A-Z_]+)` \| ([^|]+) \|/gm)].map(
    ([, name = '', fallback = '']) => ({ name, fallback: fallback.trim() }),
  );
  assert.ok(rows.length >= 20, `${rows.length} settings`);
  for (const { name } of rows) {
    assert.ok(source.includes(`'${name.replace(/_FILE$/, '')}'`), `${name} is not read by the service`);
  }
  for (const name of all(source, /'((?:[A-Z]+_)+[A-Z]+)'/g).filter(word => word !== 'NODE_OPTIONS')) {
    assert.ok(rows.some(row => row.name === name), `${name} is not in the runbook`);
  }
  for (const { name, fallback } of rows.filter(row => /^\d+$/.test(row.fallback))) {
    assert.match(source, new RegExp(`'${name}', \\d+, \\d+, ${fallback}\\)`), `${name} is ${fallback} by default`);
  }
});

test('the table of database faults has a row for every fault that its test goes through, with its reason', async () => {
  const source = await read('service/test/faults.test.ts') + await read('service/test/faults.ts');
  const section = runbook.split('## What the service answers while')[1]?.split('\n## ')[0] ?? '';
  const rows = section.split('\n').filter(line => /^\| [a-z]/.test(line) && !line.startsWith('| fault')).map(
    line => line.split('|').map(cell => cell.trim()),
  );
  assert.equal(rows.length, 18);
  for (const [, fault = '', health = '', ready = ''] of rows) {
    assert.ok(source.includes(`'${fault}'`), `no fault "${fault}" in the test`);
    assert.match(health, /^200, \d+ ms$/);
    const [, reason = '', ms = ''] = /^(?:200|503 ([a-z_]+)), (\d+) ms$/.exec(ready) ?? [];
    assert.ok(source.includes(reason) && Number(ms) < 1000, `${fault}: ${ready}`);
  }
});

test('the exit codes that are named are the ones given', async () => {
  const exit = async (...command: string[]) => (
    await runIn({ ...process.env, PLATFORM: '', TARGETS: '' }, command[0] ?? '', command.slice(1))
  ).code;
  assert.equal(await exit('node', 'verifier/dist/drill.js', 'no-such-drill'), 2);
  assert.equal(await exit('infra/control', 'explode'), 2);
  const verify = await runIn({ ...process.env, TARGETS: 'not a target' }, 'node', ['verifier/dist/verify.js']);
  assert.equal(verify.code, 2);
  assert.match(verify.stdout, /^TAP version 13\nBail out! TARGETS must be /);
});

test('the alert rules speak of metrics that exist and of sections that exist', async t => {
  const rules = await read('infra/prometheus/alerts.yml');
  const metrics = await (await fetch(`${await openService(t)}/metrics`)).text();
  const numbers = runbook.split('## Numbers')[1]?.split('\n## ')[0] ?? '';
  for (const name of all(numbers, /`((?:service|dependency|http|requests|database|event|process|build)_[a-z_]+)`/g)) {
    assert.match(metrics, new RegExp(`^# TYPE ${name} `, 'm'), name);
  }
  const events = runbook.split('## Logs')[1]?.split('\n## ')[0] ?? '';
  const code = (
    await Promise.all(
      (await readdir(join(root, 'service'), { recursive: true })).filter(
        file => /^(?!dist|test|bench).*\.ts$/.test(file),
      ).map(file => read(`service/${file}`)),
    )
  ).join('\n');
  for (const row of events.split('\n').filter(line => line.startsWith('| `'))) {
    for (const event of all(row.split('|')[1] ?? '', /`([a-z_]+)`/g)) {
      assert.ok(code.includes(`'${event}'`), `no log event ${event}`);
    }
  }
  for (const name of all(rules, /\b((?:service|requests|http|process|event_loop|database)_[a-z_]+)\b/g)) {
    assert.match(metrics, new RegExp(`^# TYPE ${name} `, 'm'), name);
  }
  const anchors = [...runbook.matchAll(/^#{2,3} (.+)$/gm)].map(
    ([, title = '']) => title.toLowerCase().replace(/[^a-z0-9 -]/g, '').replaceAll(' ', '-'),
  );
  for (const anchor of all(rules, /RUNBOOK\.md#([a-z0-9-]+)/g)) assert.ok(anchors.includes(anchor), anchor);
  const checked = await runIn(process.env, 'promtool', ['check', 'rules', 'infra/prometheus/alerts.yml']);
  assert.equal(checked.code, 0, checked.stdout + checked.stderr);
});
