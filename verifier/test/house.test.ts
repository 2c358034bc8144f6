// The house style, where a machine can see it: shape of files, direction of imports, edges of the world, dependencies.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const files = walk(root);
const sources = files.filter(file => file.endsWith('.ts'));
const programs = ['service', 'verifier', 'infra'] as const;
const inside = (program: string) =>
  sources.filter(file => file.startsWith(`${program}/`) && !/^[a-z]+\/(test|bench)\//.test(file));
const read = (file: string) => readFileSync(join(root, file), 'utf8');
const breaking = (rule: (file: string) => boolean, among = sources) => among.filter(file => !rule(file));

/** What the verifier may know of infra: what it builds, its verbs, its types, how documented variables are read. */
const seam = ['build', 'control', 'platform', 'settings'];

/** Who may touch which edge of the world; whoever is not listed may not. `room/` is all of a folder. Tests may. */
const edges: { edge: string; sign: RegExp; service: string[]; verifier: string[]; infra: string[] }[] = [
  {
    edge: 'the environment', sign: /\bprocess\.env\b|\{[^}]*\benv\b[^}]*\} = process\b/,
    service: ['main.ts'],
    verifier: ['verify.ts', 'drill.ts', 'prove.ts', 'status.ts', 'acceptance.ts', 'report.ts', 'guarantees.ts'],
    infra: [
      'cli.ts', 'process/database/cluster-program.ts', 'docker/stack/start.ts', 'docker/stack/faults/derived.ts',
    ],
  },
  {
    edge: 'signals', sign: /\bprocess\.(on|once)\((?!'(uncaught|unhandled|warning))/,
    service: ['main.ts'], verifier: ['results/signals.ts'], infra: ['process/supervisor.ts'],
  },
  {
    edge: 'a socket',
    sign: /import (?!type)\{[^}]*\b(connect|createConnection|createServer|Socket)\b[^}]*\} from 'node:(net|tls)'/,
    service: ['database/connection.ts'],
    verifier: ['client/tcp.ts', 'client/http.ts'],
    infra: ['process/place.ts', 'process/supervision.ts', 'process/supervisor.ts'],
  },
  {
    edge: 'HTTP', sign: /import (?!type|\{ STATUS_CODES \}).* from 'node:https?'/,
    service: ['http/server.ts'], verifier: [], infra: ['process/service.ts', 'docker/stack/network.ts'],
  },
  { edge: 'fetch', sign: /\bfetch\(/, service: [], verifier: ['client/ordinary.ts'], infra: [] },
  {
    edge: 'other programs', sign: /from 'node:child_process'/,
    service: [],
    verifier: ['results/run.ts', 'programs/report.ts'],
    infra: [
      'local.ts', 'lock.ts', 'process/database/cluster-program.ts', 'process/supervision.ts', 'process/supervisor.ts',
    ],
  },
  {
    edge: 'the disk', sign: /from 'node:fs(\/promises)?'/,
    service: ['main.ts', 'watchdog-thread.ts', 'telemetry/metrics.ts'],
    verifier: [
      'checks/ledger.ts', 'experiment/load.ts', 'experiment/reckoning.ts', 'evidence/folder.ts', 'evidence/checkout.ts',
      'report/run-page.ts',
    ],
    infra: [
      'build.ts', 'control.ts', 'files.ts', 'journal.ts', 'local.ts', 'lock.ts', 'memory.ts', 'nodes.ts', 'settings.ts',
      'database/', 'process/', 'docker/image.ts', 'doctor/', 'swarm/fleet.ts', 'vagrant/',
    ],
  },
  {
    edge: 'the database client', sign: /import (?!type).* from 'postgres'/,
    service: ['database/connection.ts'], verifier: [], infra: [],
  },
  {
    edge: 'SQL', sign: /\bsql`|\.unsafe\(/,
    service: ['database/store.ts', 'database/schema.ts'], verifier: [], infra: [],
  },
];

/** Rooms that may have more files than nine: one file each of the catalogue, of a platform's parts. */
const roomy: Record<string, number> = {
  'verifier/checks': 12, 'verifier/drills': 34, 'verifier/experiment': 14, 'verifier/programs': 11,
  infra: 19, 'infra/process': 12, 'infra/swarm': 13,
};

/** Nothing on the left may reach anything on the right, not even through others. A folder is all that is in it. */
const apart: { from: string[]; to: string[]; why: string }[] = [
  {
    from: ['service/database/store.ts', 'service/database/readiness.ts'],
    to: ['service/http/server.ts', 'service/http/router.ts', 'service/orders/endpoints.ts', 'service/config.ts'],
    why: 'the database side knows no HTTP and no configuration',
  },
  {
    from: ['service/http/server.ts', 'service/http/router.ts', 'service/orders/order.ts', 'service/config.ts'],
    to: ['service/database/store.ts', 'service/database/connection.ts'],
    why: 'the HTTP side knows no database',
  },
  {
    from: ['verifier/client/'],
    to: ['verifier/checks/', 'verifier/results/', 'verifier/experiment/', 'verifier/programs/'],
    why: 'a client knows nothing of what is made of its answers',
  },
  {
    from: ['verifier/checks/contract.ts'],
    to: ['verifier/results/run.ts', 'verifier/experiment/', 'verifier/drills/', 'verifier/programs/'],
    why: 'the contract reaches the service over TCP and HTTP only',
  },
  {
    from: ['verifier/results/'], to: ['verifier/checks/contract.ts', 'verifier/experiment/', 'verifier/programs/'],
    why: 'results are the same whatever was looked at',
  },
  {
    from: ['verifier/verify.ts', 'verifier/status.ts'], to: ['verifier/drills/', 'verifier/experiment/'],
    why: 'verify and status break nothing',
  },
  {
    from: ['verifier/evidence/', 'verifier/report/'], to: ['verifier/experiment/', 'verifier/programs/'],
    why: 'evidence and its pages are the same whatever was run',
  },
  { from: ['verifier/experiment/'], to: ['verifier/drills/'], why: 'experiments serve every drill' },
  {
    from: ['infra/process/', 'infra/docker/', 'infra/vagrant/', 'infra/swarm/'],
    to: ['infra/control.ts', 'infra/cli.ts', 'infra/journal.ts'],
    why: 'a platform knows nothing of turns, memory and the journal around it',
  },
  {
    from: ['infra/platform.ts', 'infra/host.ts'], to: ['infra/control.ts', 'infra/settings.ts'],
    why: 'the contract of the platforms stands alone',
  },
];

test('every source has a caption, and no file or line is too long', () => {
  assert.ok(sources.length > 40, `${sources.length} files`);
  assert.deepEqual(breaking(file => /^\/\/ \S.{14,}\n/.test(read(file))), [], 'without a caption in line 1');
  const scripts = files.filter(file => /^infra\/|^vagrant\/|^\.ci\//.test(file) && read(file).startsWith('#!'));
  assert.deepEqual(breaking(file => /^#!.*\n# \S/.test(read(file)), scripts), [], 'without a caption in line 2');
  assert.deepEqual(breaking(file => read(file).split('\n').length <= 301), [], 'longer than 300 lines');
  const lines = sources.flatMap(file => read(file).split('\n').map((line, i) => ({ at: `${file}:${i + 1}`, line })));
  const wide = lines.filter(({ line }) => line.length > 120).map(({ at }) => at);
  assert.deepEqual(wide, [], 'a line of more than 120 columns');
});

test('no any, no non-null assertion, no enum, no namespace, no unwatched compiler comment', () => {
  const signs = [
    /[:<|(,]\s*any\b(?!\??:)|\bas any\b|\bany\[\]/, /[\w)\]]!(?=[.;,)\]]|\s*$)/,
    /^\s*(export )?(const |declare )?(enum|namespace) /, /@ts-(ignore|nocheck|expect-error)/,
  ];
  const signed = (line: string) => signs.some(sign => sign.test(line));
  const signedIn = (file: string) => code(read(file)).split('\n').filter(signed).map(line => `${file}: ${line.trim()}`);
  assert.deepEqual(sources.flatMap(signedIn), []);
});

test('imports of ours end in .ts, stay in their program, and go round in no circle', () => {
  for (const file of sources) {
    for (const target of importsOf(file)) {
      assert.match(target, /\.ts$/, `${file} imports ${target}`);
      const same = target.split('/')[0] === file.split('/')[0];
      assert.ok(same, `${file} imports ${target}: service, verifier and infra never import each other by path`);
      assert.ok(file.includes('/test/') || !target.includes('/test/'), `${file} imports ${target} from tests`);
      assert.ok(sources.includes(target), `${file} imports ${target}, which is not there`);
      assert.ok(!reach(target).has(file), `${file} and ${target} import each other, perhaps through others`);
    }
  }
  assert.deepEqual(sources.filter(file => /\/(utils?|common|helpers?|index|misc)\.ts$/.test(file)), []);
});

test('of infra the verifier knows its seam only, and the service nothing', () => {
  const names = (file: string) => [...read(file).matchAll(/from '#infra\/([^']*)'/g)].map(([, name = '']) => name);
  assert.deepEqual([...inside('service'), ...inside('infra')].flatMap(names), []);
  const known = inside('verifier').flatMap(names);
  assert.deepEqual(known.filter(name => !seam.includes(name)), []);
  assert.deepEqual([...new Set(known)].sort(), seam, 'a name that nobody uses has no place in this table');
});

test('a room has at most about eight files', () => {
  const all = programs.flatMap(inside);
  const rooms = [...new Set(all.map(file => dirname(file)))];
  const sizes = rooms.map(room => ({ room, size: all.filter(file => dirname(file) === room).length }));
  assert.deepEqual(sizes.filter(({ room, size }) => size > (roomy[room] ?? 9)), []);
});

test('who may not reach whom does not', () => {
  const named = (path: string) => sources.filter(file => path.endsWith('/') ? file.startsWith(path) : file === path);
  for (const { from, to, why } of apart) {
    for (const path of [...from, ...to]) assert.ok(named(path).length > 0, `${path} is in this table and is not there`);
    for (const file of from.flatMap(named)) {
      const reached = reach(file);
      assert.deepEqual(to.flatMap(named).filter(target => reached.has(target)), [], `${file}: ${why}`);
    }
  }
});

for (const { edge, sign, ...allowed } of edges) {
  test(`${edge}: touched where it should be and nowhere else`, () => {
    for (const program of programs) {
      const touching = inside(program).filter(file => sign.test(code(read(file)))).map(file => relative(program, file));
      const may = (file: string) => (one: string) => one.endsWith('/') ? file.startsWith(one) : file === one;
      assert.deepEqual(touching.filter(file => !allowed[program].some(may(file))), [], program);
      const idle = allowed[program].filter(one => !touching.some(file => file.startsWith(one)));
      assert.deepEqual(idle, [], `${program}: named in this table, and touches it no more`);
    }
  });
}

test('the packages are the fixed ones, by integrity, and none runs a script when it is installed', () => {
  const own = JSON.parse(read('package.json')) as Record<string, Record<string, string> | undefined>;
  assert.deepEqual(own['dependencies'], { postgres: '3.4.9' });
  const versions = Object.values(own['devDependencies'] ?? {});
  assert.deepEqual(Object.keys(own['devDependencies'] ?? {}), ['@types/node', 'typescript']);
  assert.ok(versions.every(version => /^\d+\.\d+\.\d+$/.test(version)), 'exact versions only');
  for (const more of ['scripts', 'optionalDependencies', 'peerDependencies', 'overrides', 'bundleDependencies']) {
    assert.equal(own[more], undefined, more);
  }
  type Locked = { integrity?: string; hasInstallScript?: boolean; dev?: boolean };
  const { packages } = JSON.parse(read('package-lock.json')) as { packages: Record<string, Locked> };
  const locked = Object.entries(packages).filter(([path]) => path !== '').map(([path, one]) => ({ path, ...one }));
  const names = locked.map(({ path }) => path.replace(/^node_modules\//, ''))
    .map(name => name.replace(/^@typescript\/typescript-[a-z0-9-]+$/, 'typescript'));
  assert.deepEqual([...new Set(names)].sort(), ['@types/node', 'postgres', 'typescript', 'undici-types']);
  const integral = ({ integrity = '' }: Locked) => /^sha512-[A-Za-z0-9+/]{86}==$/.test(integrity);
  assert.deepEqual(locked.filter(one => !integral(one)), []);
  assert.deepEqual(locked.filter(({ hasInstallScript }) => hasInstallScript), []);
  assert.deepEqual(locked.filter(({ dev }) => !dev).map(({ path }) => path), ['node_modules/postgres']);
});

test('an address of a machine is defined in vagrant/nodes.txt and named in the manuals, and nowhere else', () => {
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

/** Without comments, regular expressions and the text of strings: a word in them is no sign. Imports keep theirs. */
function code(text: string): string {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .split('\n')
    .map(line => (/^(import\b|export\b|} ).*\bfrom '/.test(line) ? line : line
      .replace(/\/(?![/*])(?:[^/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[dgimsuvy]*(?=[.,;)\s]|$)/g, '/r/')
      .replace(/'(?:[^'\\]|\\.)*'/g, "''")
      .replace(/(^|\s)\/\/.*$/, '$1')))
    .join('\n');
}

function importsOf(file: string): string[] {
  const imports = read(file).matchAll(/^(?:import|export)\b[^;]*? from '(\.[^']*)';/gm);
  return [...imports].map(([, path = '']) => normalize(join(dirname(file), path)));
}

function reach(file: string, seen = new Set<string>()): Set<string> {
  for (const target of importsOf(file)) {
    if (!seen.has(target) && sources.includes(target)) reach(target, seen.add(target));
  }
  return seen;
}
