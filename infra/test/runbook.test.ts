// RUNBOOK.md and README.md are held to the code: every command, path, file, link, drill and reason they name.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, readFile, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import test from 'node:test';
import type { TestContext } from 'node:test';
import { faultNames } from '../platform.ts';
import { givenNames } from '../settings.ts';
import { freePort, root, runIn } from './stack.ts';
import { lacking } from './tools.ts';

const read = (path: string) => readFile(join(root, path), 'utf8');
const runbook = await read('RUNBOOK.md');
const readme = await read('README.md');
const reference = await read('service/REFERENCE.md');
const both = `${runbook}\n${readme}\n${reference}`;
const all = (text: string, pattern: RegExp) => [...new Set([...text.matchAll(pattern)].map(match => match[1] ?? ''))];
const drills = async () => (
  await runIn(process.env, 'node', ['verifier/dist/drill.js', '--list'])
).stdout.trim().split('\n').map(line => line.split(/\s/)[0] ?? '');

type Api = {
  paths: Record<string, unknown>;
  components: { schemas: { Readiness: { properties: { checks: { properties: { database: {
    properties: { reason: { enum: string[] } };
  } } } } } } };
};

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
    assert.match(both, new RegExp(`make ${target}`), `make ${target} is named in no page`);
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

test('every variable that a program of ours reads has a row, and every row is one', async () => {
  const programs = (await readdir(join(root, 'verifier/programs'))).map(file => `verifier/programs/${file}`);
  const sources = await Promise.all(['infra/settings.ts', 'verifier/options.ts', 'Makefile', ...programs].map(read));
  const names = [...all(sources.join('\n'), /read\('([A-Z_]+)'/g), ...givenNames];
  const table = runbook.split('| variable |')[1]?.split('\n\n')[0] ?? '';
  const rows = table.split('\n').flatMap(row => all(row.split('|')[1] ?? '', /`([A-Z_]+)(?:=[^`]+)?`/g));
  for (const name of names) assert.ok(rows.includes(name), `${name} has no row`);
  for (const name of rows) assert.ok(sources.some(text => text.includes(name)), `${name} is not read`);
});

test('every file that is named is there', async () => {
  const made = /^(infra\/\.env|\.state)/;
  const paths = all(both, /[`\s(]((?:service|verifier|infra|vagrant|\.ci)\/[A-Za-z0-9_./-]*[A-Za-z0-9])/g).filter(
    path => !made.test(path),
  );
  assert.ok(paths.length >= 5, paths.join(' '));
  for (const path of paths) await access(join(root, path));
});

test('every link leads to a page and a section that are there', async () => {
  const anchors = (page: string) => [...page.matchAll(/^#{2,3} (.+)$/gm)].map(
    ([, title = '']) => title.toLowerCase().replace(/[^a-z0-9 -]/g, '').replaceAll(' ', '-'),
  );
  const pages = ['README.md', 'RUNBOOK.md', 'service/REFERENCE.md'];
  const links = (await Promise.all(pages.map(async from =>
    [...(await read(from)).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)/g)].map(([, path = '', anchor]) =>
      ({ path: path === '' ? from : join(dirname(from), path), anchor }))))).flat();
  const alerts = all(await read('infra/prometheus/alerts.yml'), /RUNBOOK\.md#([a-z0-9-]+)/g);
  assert.ok(links.length >= 5 && alerts.length >= 3);
  for (const { path, anchor } of [...links, ...alerts.map(anchor => ({ path: 'RUNBOOK.md', anchor }))]) {
    const page = await read(path);
    if (anchor !== undefined) assert.ok(anchors(page).includes(anchor), `${path}#${anchor}`);
  }
});

test('the paths, statuses and reasons that are named are what a service without its database answers', async t => {
  const base = await openService(t);
  const paths = all(runbook, /\$BASE(\/[a-z.]*)/g).filter(path => !path.startsWith('/order'));
  assert.deepEqual(paths.toSorted(), ['/health', '/metrics', '/openapi.json', '/ready', '/version']);
  for (const path of paths) {
    const { status } = await fetch(base + path);
    assert.equal(status, path === '/ready' ? 503 : 200, path);
  }
  const ready = await (await fetch(`${base}/ready`)).json() as { checks: { database: { reason: string } } };
  assert.equal(ready.checks.database.reason, 'connection_refused');
  const { paths: known, components } = await (await fetch(`${base}/openapi.json`)).json() as Api;
  const endpoints = all(readme.split('| endpoint |')[1]?.split('\n\n')[0] ?? '', /`[A-Z]+ (\/[^`]+)`/g);
  assert.deepEqual(endpoints.map(path => path.replace('<id>', '{id}')).toSorted(), Object.keys(known).toSorted());
  const table = runbook.split('| reason |')[1]?.split('\n\n')[0] ?? '';
  const reasons = table.split('\n').flatMap(row => all(row.split('|')[1] ?? '', /`([a-z_]+)`/g));
  const { reason } = components.schemas.Readiness.properties.checks.properties.database.properties;
  assert.deepEqual(reasons.toSorted(), reason.enum.toSorted());
  for (const word of all(both, /(?:reason|code) `([a-z_]+)`/g)) {
    assert.ok(JSON.stringify(components).includes(`"${word}"`), `${word} is in no answer`);
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

test('the alert rules and the runbook speak of metrics that exist', async t => {
  const rules = await read('infra/prometheus/alerts.yml');
  const metrics = await (await fetch(`${await openService(t)}/metrics`)).text();
  const names = /\b((?:service|dependency|requests|http|process|event_loop|database)_[a-z_]*[a-z])\b/g;
  const logs = runbook.split('\n## Logs')[1]?.split('\n## ')[0] ?? '';
  for (const name of [...all(rules, names), ...all(logs, names)]) {
    assert.match(metrics, new RegExp(`^# TYPE ${name} `, 'm'), name);
  }
});

test('promtool finds the alert rules valid', { skip: lacking('promtool', 'prometheus') }, async () => {
  const checked = await runIn(process.env, 'promtool', ['check', 'rules', 'infra/prometheus/alerts.yml']);
  assert.equal(checked.code, 0, checked.stdout + checked.stderr);
});
