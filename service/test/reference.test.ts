// REFERENCE.md is held to the code: every setting, code, log event and metric, and no other.
import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { codes } from '../http/problem.ts';
import { get } from './http-cases.ts';
import { talk } from './raw.ts';
import { startService } from './running.ts';

const folder = new URL('../../', import.meta.url);
const read = (path: string) => readFile(new URL(path, folder), 'utf8');
const page = await read('REFERENCE.md');
const section = (title: string) => page.split(`\n## ${title}\n`)[1]?.split('\n## ')[0] ?? assert.fail(title);
const all = (text: string, pattern: RegExp) => [...new Set([...text.matchAll(pattern)].map(match => match[1] ?? ''))];
/** The cells of a section's tables, without heads and rules. */
const rows = (title: string) => section(title).split('\n').filter(line => /^\| (?!-)/.test(line)).map(
  line => line.split('|').slice(1, -1).map(cell => cell.trim()),
).filter((_, i) => i > 0);

test('every setting has a row with its default, and every row is a setting', async () => {
  const source = (await read('config.ts')).replace(/(?<=\d)_(?=\d)/g, '');
  const settings = rows('Settings').map(([name = '', fallback = '']) => ({ name: name.slice(1, -1), fallback }));
  const names = settings.map(({ name }) => name);
  for (const { name, fallback } of settings) {
    assert.ok(source.includes(`'${name.replace(/_FILE$/, '')}'`), `${name} is not read by the service`);
    if (!/^\d+$/.test(fallback)) continue;
    assert.match(source, new RegExp(`'${name}', \\d+, \\d+, ${fallback}\\)`), `${name} is ${fallback} by default`);
  }
  const known = all(source, /'((?:[A-Z]+_)+[A-Z]+|HOST|PORT|ENV)'/g).filter(name => name !== 'NODE_OPTIONS');
  for (const name of known) assert.ok(names.includes(name), `${name} has no row`);
});

test('every code for callers has a row, and every row is a code', async () => {
  const source = await read('http/problem.ts');
  const named = rows('Codes for callers').flatMap(([statuses = '', cell = '']) =>
    all(cell, /(?:^|, )`([a-z_]+)`/g).map(code => ({ code, statuses })));
  assert.deepEqual(named.map(({ code }) => code).toSorted(), [...codes].toSorted());
  for (const { code, statuses } of named) {
    const [, status = ''] = new RegExp(`^ {2}${code}: (\\d{3}),$`, 'm').exec(source) ?? [];
    assert.ok(status !== '' && statuses.split(', ').includes(status), `${code} is ${status}`);
  }
});

test('every log event has a row, and every row is an event', async () => {
  const files = (await readdir(folder, { recursive: true })).filter(file => /^(?!dist|test|bench).*\.ts$/.test(file));
  const code = (await Promise.all(files.map(read))).join('\n');
  const named = rows('Log events').flatMap(([cell = '']) => all(cell, /`([a-z_]+)`/g));
  for (const event of named) assert.ok(code.includes(`'${event}'`), `no log event ${event}`);
  for (const event of all(code, /\blog\.(?:debug|info|warn|error)\('([a-z_]+)'/g)) {
    assert.ok(named.includes(event), `${event} has no row`);
  }
});

test('every metric has a row with its type and its help, and every row is a metric', async t => {
  const { port } = await startService(t);
  const body = (await talk({ port, bytes: get('/metrics', 'Connection: close') })).answers[0]?.body ?? '';
  const types = new Map([...body.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type = '']) => [name, type]));
  const given = [...body.matchAll(/^# HELP (\S+) (.+)$/gm)].map(
    ([, name = '', help = '']) => [`\`${name}\``, types.get(name), help],
  );
  assert.deepEqual(rows('Metrics'), given);
});

test('the table of faults has a row for every fault that its test goes through, with its reason', async () => {
  const source = await read('test/faults.ts');
  const lines = rows('Answers while the database is in trouble');
  assert.deepEqual(lines.map(([fault]) => fault).toSorted(), all(source, /\bname: '([^']+)'/g).toSorted());
  for (const [fault = '', health = '', ready = ''] of lines) {
    assert.match(health, /^200, \d+ ms$/);
    const [, reason = '', ms = ''] = /^(?:200|503 ([a-z_]+)), (\d+) ms$/.exec(ready) ?? [];
    assert.ok(source.includes(reason) && Number(ms) < 1000, `${fault}: ${ready}`);
  }
});
