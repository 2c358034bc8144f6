// What a person types first, and mistypes: --help, --version, the name of a drill.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { nearest } from '../programs/help.ts';
import { root } from '../programs/program.ts';
import { start } from './program.ts';
import type { Ended } from './program.ts';

const env = { PATH: process.env['PATH'] ?? '' };
const run = (program: string, ...args: string[]): Promise<Ended> =>
  start(fileURLToPath(new URL(`../${program}`, import.meta.url)), args, env).ended;

test('every program answers --help and --version on stdout, with 0', async () => {
  const names = ['verify', 'drill', 'prove', 'status', 'acceptance', 'report', 'guarantees'];
  const programs = names.map(name => ({ name, file: `${name}.js` }));
  const all = [...programs, { name: 'infra/control', file: '../../infra/dist/cli.js' }];
  await Promise.all(all.map(async ({ name, file }) => {
    const [help, version] = await Promise.all([run(file, '--help'), run(file, '--version')]);
    assert.deepEqual([help.code, help.stderr, version.code, version.stderr], [0, '', 0, ''], name);
    assert.match(help.stdout, /(^usage: |^infra\/control VERB)(.|\n)*Exit 0/, name);
    assert.match(version.stdout, new RegExp(`^${name} \\d+\\.\\d+\\.\\d+.*\\n$`), name);
  }));
});

test('a name that is misspelt is answered with the one that is meant, if it is like any', async () => {
  const known = ['db-down', 'db-hung', 'mid-flight', 'drain'];
  const typed = { 'db-donw': 'db-down', 'midflight': 'mid-flight', 'drian': 'drain', 'dbhung': 'db-hung' };
  for (const [name, meant] of Object.entries(typed)) assert.equal(nearest(name, known), meant);
  assert.equal(nearest('explode', known), undefined);
  const wrong = await run('drill.js', 'db-donw');
  assert.equal(wrong.code, 2);
  assert.match(wrong.stdout, /^Bail out! no drill db-donw, perhaps db-down$/m);
});

test('a list takes no name: whoever gives one is not answered with the list', async () => {
  const end = await run('drill.js', '--list', 'db-down');
  assert.deepEqual([end.code, end.stdout], [2, '']);
});

test('make help has its groups, names what most targets take, and fits on a terminal', async () => {
  const { stdout } = await make('help');
  const lines = stdout.split('\n');
  assert.deepEqual(lines.filter(line => line.length > 100), []);
  for (const title of ['Every day', 'Drills', 'Development']) assert.ok(lines.includes(title), title);
  const taken = ['PLATFORM', 'NODE', 'SCALE', 'KILLS', 'STRICT', 'ORDERS_PORT', 'ORDERS_DB_PORT', 'ORDERS_STATE'];
  for (const name of taken) assert.match(stdout, new RegExp(`^  ${name}=`, 'm'));
});

test('make takes the names of drills behind the word drill, and nothing else is run with them', async () => {
  assert.match((await make('-n', 'drill', 'mid-flight')).stdout, /^node verifier\/dist\/drill\.js mid-flight$/m);
  assert.match((await make('-n', 'drill', 'db-down', 'drain')).stdout, /drill\.js db-down drain$/m);
  assert.match((await make('-n', 'drill')).stdout, /drill\.js db-down$/m);
  assert.notEqual((await make('-n', 'mid-flight')).code, 0);
});

function make(...args: string[]): Promise<{ code: unknown; stdout: string }> {
  return new Promise(resolve => {
    const end = (error: { code?: unknown } | null, stdout: string) => resolve({ code: error?.code ?? 0, stdout });
    execFile('make', ['-s', ...args], { cwd: root, env }, end);
  });
}
