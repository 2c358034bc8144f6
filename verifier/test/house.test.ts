// The house style, where a machine can see it: shape of files, direction of imports, edges of the world, dependencies, addresses.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const files = walk(root);
const sources = files.filter(file => file.endsWith('.ts'));
const inside = (folder: string) => sources.filter(file => file.startsWith(`${folder}/`) && !/^[a-z]+\/(test|bench)\//.test(file));
const read = (file: string) => readFileSync(join(root, file), 'utf8');

/** Who may touch which edge of the world; whoever is not listed may not. Tests may. */
const edges: { edge: string; sign: RegExp; service: string[]; verifier: string[] }[] = [
  { edge: 'the environment', sign: /\bprocess\.env\b/, service: ['main.ts'], verifier: ['verify.ts', 'drill.ts', 'status.ts', 'acceptance.ts', 'programs.ts', 'control.ts'] },
  { edge: 'signals', sign: /\bprocess\.(on|once)\((?!'(uncaught|unhandled|warning))/, service: ['main.ts'], verifier: ['tap.ts', 'undo.ts'] },
  { edge: 'a socket', sign: /import (?!type)\{[^}]*\b(connect|createConnection|createServer|Socket)\b[^}]*\} from 'node:(net|tls)'/, service: ['database/connection.ts'], verifier: ['tcp.ts'] },
  { edge: 'an HTTP server', sign: /import (?!type|\{ STATUS_CODES \}).* from 'node:https?'/, service: ['http/server.ts'], verifier: [] },
  { edge: 'fetch', sign: /\bfetch\(/, service: [], verifier: ['http.ts'] },
  { edge: 'other programs', sign: /from 'node:child_process'/, service: [], verifier: ['control.ts', 'programs.ts', 'tap.ts'] },
  { edge: 'the disk', sign: /from 'node:fs(\/promises)?'/, service: ['main.ts', 'telemetry/metrics.ts'], verifier: ['ledger.ts', 'writers.ts', 'writing.ts', 'undo.ts', 'acceptance.ts'] },
  { edge: 'the database client', sign: /import (?!type).* from 'postgres'/, service: ['database/connection.ts'], verifier: [] },
  { edge: 'SQL', sign: /\bsql`|\.unsafe\(/, service: ['database/store.ts', 'database/schema.ts'], verifier: [] },
];

/** Nothing on the left may reach anything on the right, not even through others. */
const apart: [from: string[], to: string[], why: string][] = [
  [['service/database/store.ts', 'service/database/readiness.ts'], ['service/http/server.ts', 'service/http/router.ts', 'service/orders/endpoints.ts', 'service/config.ts'], 'the database side knows no HTTP and no configuration'],
  [['service/http/server.ts', 'service/http/router.ts', 'service/orders/order.ts', 'service/config.ts'], ['service/database/store.ts', 'service/database/connection.ts'], 'the HTTP side knows no database'],
  [['verifier/contract.ts', 'verifier/api.ts'], ['verifier/control.ts', 'verifier/tap.ts', 'verifier/drill.ts'], 'the contract reaches the service over TCP and HTTP only'],
  [['verifier/verify.ts'], ['verifier/drills.ts', 'verifier/undo.ts'], 'verify breaks nothing'],
];

test('every source has a caption, and no file or line is too long', () => {
  assert.ok(sources.length > 40, `${sources.length} files`);
  assert.deepEqual(sources.filter(file => !/^\/\/ \S.{14,}\n/.test(read(file))), [], 'without a caption in line 1');
  const scripts = files.filter(file => /^infra\/|^vagrant\/|^\.ci\//.test(file) && read(file).startsWith('#!'));
  assert.deepEqual(scripts.filter(file => !/^#!.*\n# \S/.test(read(file))), [], 'without a caption in line 2');
  assert.deepEqual(sources.filter(file => read(file).split('\n').length > 301), [], 'longer than 300 lines');
  const wide = inside('service').filter(file => read(file).split('\n').some(line => line.length > 120));
  assert.deepEqual(wide, [], 'a line of more than 120 columns');
});

test('no any, no non-null assertion, no enum, no namespace, no unwatched compiler comment', () => {
  const signs = /[:<|(,]\s*any\b(?!\??:)|\bas any\b|\bany\[\]|[\w)\]]!(?=[.;,)\]]|\s*$)|^\s*(export )?(const |declare )?(enum|namespace) |@ts-(ignore|nocheck|expect-error)/m;
  assert.deepEqual(sources.flatMap(file => code(read(file)).split('\n').filter(line => signs.test(line)).map(line => `${file}: ${line.trim()}`)), []);
});

test('imports of ours end in .ts, stay in their folder, and go round in no circle', () => {
  for (const file of sources) {
    for (const target of importsOf(file)) {
      assert.match(target, /\.ts$/, `${file} imports ${target}`);
      assert.equal(target.split('/')[0], file.split('/')[0], `${file} imports ${target}: service, verifier and infra never import each other`);
      assert.ok(file.includes('/test/') || !target.includes('/test/'), `${file} imports ${target} from tests`);
      assert.ok(sources.includes(target), `${file} imports ${target}, which is not there`);
      assert.ok(!reach(target).has(file), `${file} and ${target} import each other, perhaps through others`);
    }
  }
  assert.deepEqual(sources.filter(file => /\/(utils?|common|helpers?|index|misc)\.ts$/.test(file)), []);
});

test('who may not reach whom does not', () => {
  for (const [from, to, why] of apart) {
    for (const file of from) {
      assert.ok(sources.includes(file), `${file} is named in this table and is not there`);
      assert.deepEqual(to.filter(target => reach(file).has(target)), [], `${file}: ${why}`);
    }
  }
});

for (const { edge, sign, ...allowed } of edges) {
  test(`${edge}: touched where it should be and nowhere else`, () => {
    for (const folder of ['service', 'verifier'] as const) {
      const touching = inside(folder).filter(file => sign.test(code(read(file)))).map(file => relative(folder, file));
      assert.deepEqual(touching.filter(file => !allowed[folder].includes(file)), [], folder);
    }
  });
}

test('the packages are the fixed ones, by integrity, and none runs a script when it is installed', () => {
  const own = JSON.parse(read('package.json')) as Record<string, Record<string, string> | undefined>;
  assert.deepEqual(own['dependencies'], { postgres: '3.4.9' });
  assert.deepEqual(Object.keys(own['devDependencies'] ?? {}), ['@types/node', 'typescript']);
  assert.ok(Object.values(own['devDependencies'] ?? {}).every(version => /^\d+\.\d+\.\d+$/.test(version)), 'exact versions only');
  for (const more of ['scripts', 'optionalDependencies', 'peerDependencies', 'overrides', 'bundleDependencies']) assert.equal(own[more], undefined, more);
  const { packages } = JSON.parse(read('package-lock.json')) as { packages: Record<string, { integrity?: string; hasInstallScript?: boolean; dev?: boolean }> };
  const { '': _own, ...locked } = packages;
  const names = Object.keys(locked).map(path => path.replace(/^node_modules\//, '').replace(/^@typescript\/typescript-[a-z0-9-]+$/, 'typescript'));
  assert.deepEqual([...new Set(names)].sort(), ['@types/node', 'postgres', 'typescript', 'undici-types']);
  assert.deepEqual(Object.entries(locked).filter(([, { integrity }]) => !/^sha512-[A-Za-z0-9+/]{86}==$/.test(integrity ?? '')), []);
  assert.deepEqual(Object.entries(locked).filter(([, { hasInstallScript }]) => hasInstallScript), []);
  assert.deepEqual(Object.entries(locked).filter(([, { dev }]) => !dev).map(([path]) => path), ['node_modules/postgres']);
});

test('an address of a machine stands in vagrant/nodes.txt and in the manuals, and nowhere else', () => {
  const address = /\b192\.168\.\d{1,3}\.\d{1,3}\b/;
  const holders = files.filter(file => address.test(read(file)));
  assert.ok(holders.includes('vagrant/nodes.txt'));
  assert.deepEqual(holders.filter(file => !['vagrant/nodes.txt', 'README.md', 'RUNBOOK.md'].includes(file)), []);
});

function walk(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap(entry => {
    const path = join(folder, entry.name);
    // What a build, a run or a tool leaves behind is not ours to judge.
    if (entry.isDirectory()) return /^(node_modules|dist|\.(?!ci$).*)$/.test(entry.name) ? [] : walk(path);
    return entry.isFile() ? [relative(root, path)] : [];
  });
}

/** Without comments, regular expressions and the text of strings, so that a word in them is no sign; imports keep theirs. */
function code(text: string): string {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .split('\n')
    .map(line => (/^(import|export)\b.*\bfrom '/.test(line) ? line : line
      .replace(/\/(?![/*])(?:[^/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[dgimsuvy]*(?=[.,;)\s]|$)/g, '/r/')
      .replace(/'(?:[^'\\]|\\.)*'/g, "''")
      .replace(/(^|\s)\/\/.*$/, '$1')))
    .join('\n');
}

function importsOf(file: string): string[] {
  return [...read(file).matchAll(/^(?:import|export)\b[^;]*? from '(\.[^']*)';/gm)].map(([, path = '']) => normalize(join(dirname(file), path)));
}

function reach(file: string, seen = new Set<string>()): Set<string> {
  for (const target of importsOf(file)) if (!seen.has(target) && sources.includes(target)) reach(target, seen.add(target));
  return seen;
}
