// The image: what is in it, what it is built from, and that one commit gives one application layer.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import type { TestContext } from 'node:test';
import { imagesHere } from '../docker/image.ts';
import type { Host } from '../host.ts';
import { openLocal } from '../local.ts';
import { readSettings } from '../settings.ts';
import { missing, openContainers, succeeded } from './docker-stack.ts';
import type { Containers } from './docker-stack.ts';
import { root, runIn } from './stack.ts';

test('bases are digests, and the label repeats that of the runtime base', async () => {
  const text = await readFile(join(root, 'Dockerfile'), 'utf8');
  const pins = [...text.matchAll(/^ARG (?:BUILD|RUNTIME)_IMAGE=(\S+)$/gm)].map(([, pin]) => pin ?? '');
  assert.equal(pins.length, 2);
  for (const pin of pins) assert.match(pin, /@sha256:[0-9a-f]{64}$/);
  assert.equal(/^ARG RUNTIME_DIGEST=(\S+)$/m.exec(text)?.[1], pins[1]?.split('@')[1]);
  assert.deepEqual([...text.matchAll(/^FROM (\S+)/gm)].map(([, from]) => from), ['${BUILD_IMAGE}', '${RUNTIME_IMAGE}']);
  assert.doesNotMatch(text, /^ADD /m);
  const compose = await readFile(join(root, 'infra/docker-compose.yml'), 'utf8');
  assert.match(compose, /image: \$\{ORDERS_DB_IMAGE:-postgres:[\w.-]+@sha256:[0-9a-f]{64}\}/);
  assert.doesNotMatch(`${text}${compose}`, /:latest/);
});

test('a new build removes what nothing uses, never the image that a node served last', async t => {
  const state = await mkdtemp(join(tmpdir(), 'orders-images-'));
  t.after(() => rm(state, { recursive: true }));
  const read = readSettings({ ORDERS_STATE: state, PATH: process.env['PATH'] }, root.replace(/\/$/, ''));
  assert.ok('settings' in read);
  await mkdir(join(state, 'docker/control'), { recursive: true });
  await writeFile(join(state, 'docker/control/served'), 'ORDERS_IMAGE=orders:served\n');
  await writeFile(join(state, 'image'), 'key orders:served\nkey orders:unused\n');
  const ran: string[] = [];
  const run: Host['run'] = async argv => {
    ran.push(argv.join(' '));
    return { code: argv[0] === 'git' ? 1 : 0, stdout: '', stderr: '', late: false };
  };
  const local: Host = { ...openLocal({}), run, read: async () => 'sha256:new' };
  const images = await imagesHere({ settings: read.settings, local, say: () => undefined });
  assert.ok('done' in images && images.done.service === 'orders:sha256-new');
  assert.deepEqual(ran.filter(line => line.includes('image rm')), ['docker image rm orders:unused']);
});

test('the Compose file is valid and says what is missing', { skip: missing }, async t => {
  const { env } = await openContainers(t);
  const config = (more: NodeJS.ProcessEnv) => runIn({ ...env, ORDERS_IMAGE: '', ...more }, 'docker',
    ['compose', '--env-file', '/dev/null', '-f', join(root, 'infra/docker-compose.yml'), 'config', '--quiet']);
  assert.match((await config({})).stderr, /ORDERS_(IMAGE|ADDRESS|SECRETS|OWNER)/);
  const needed = { ORDERS_IMAGE: 'orders', ORDERS_ADDRESS: '127.0.0.1' };
  const given = { ...needed, ORDERS_SECRETS: '/secrets', ORDERS_OWNER: '/state' };
  succeeded(await config(given), 'config');
});

const programs = /(^|\/)(sh|bash|dash|busybox|apt|dpkg|npm|npx|tsc|curl|wget)$|\.(ts|map)$/;
const ours = new RegExp([
  'app/package\\.json', 'app/service/([a-z]+/)?[a-z-]+\\.js',
  'app/node_modules/postgres/(package\\.json|README\\.md|LICENSE|UNLICENSE|src/[\\w/-]+\\.js)',
].map(pattern => `^${pattern}$`).join('|'));

test('the image holds compiled JavaScript, one package, Node, and nothing to log into', { skip: missing }, async t => {
  const stack = await openContainers(t);
  const image = stack.env['ORDERS_IMAGE'] ?? '';
  const box = (await stack.docker('create', image)).trim();
  t.after(() => stack.docker('rm', box));
  // names and modes only: the archive itself never passes through this process
  const archive = await runIn(stack.env, 'sh', ['-c', `docker export ${box} | tar -tv`]);
  const listing = succeeded(archive, 'export').trim().split('\n');
  const nameOf = (line: string) => line.replace(/ (->|link to) .*$/, '').split(/\s+/).slice(5).join(' ');
  const files = listing.filter(line => !line.startsWith('d')).map(nameOf);
  const app = files.filter(name => name.startsWith('app/'));
  assert.ok(app.includes('app/service/main.js'));
  for (const name of app) assert.match(name, ours);
  assert.deepEqual(files.filter(name => programs.test(name)), []);
  assert.deepEqual(listing.filter(line => /^-..[sS]|^-.{5}[sS]/.test(line)), [], 'programs that run as somebody else');
  const [told] = JSON.parse(await stack.docker('image', 'inspect', image));
  assert.equal(told.Config.User, '65532:65532');
  assert.deepEqual(told.Config.Healthcheck.Test.slice(0, 2), ['CMD', '/nodejs/bin/node']);
  const names = ['title', 'version', 'revision', 'created', 'base.name', 'base.digest'];
  const labels = names.map(name => told.Config.Labels[`org.opencontainers.image.${name}`]);
  for (const label of labels) assert.match(label, /^(?!unknown$).+$/);
  assert.match(labels[5], /^sha256:[0-9a-f]{64}$/);
});

test('builds of one commit, by BuildKit and by the classic builder, share a layer', { skip: missing }, async t => {
  const stack = await openContainers(t);
  const build = await builder(t, stack);
  const first = await build('1', '1700000000', 'one');
  assert.equal(await build('1', '1700000000', 'two'), first);
  assert.equal(await build('0', '1700000000', 'three'), first);
  // another time of the commit, another layer: the comparison can fail
  assert.notEqual(await build('0', '1700000001', 'three'), first);
});

/** Builds without any cache and gives the digest of the last layer. */
type Build = (buildkit: string, epoch: string, revision: string) => Promise<string>;

async function builder(t: TestContext, stack: Containers): Promise<Build> {
  const standIns = await readFile(join(stack.state, 'images.env'), 'utf8').catch(() => '');
  const bases = ['BUILD', 'RUNTIME'].flatMap(name => {
    const standIn = new RegExp(`^ORDERS_${name}_IMAGE=(.*)$`, 'm').exec(standIns)?.[1];
    const base = stack.env[`ORDERS_${name}_IMAGE`] ?? standIn;
    return base === undefined ? [] : ['--build-arg', `${name}_IMAGE=${base}`];
  });
  return async (buildkit, epoch, revision) => {
    const times = ['--build-arg', `SOURCE_DATE_EPOCH=${epoch}`, '--build-arg', `GIT_SHA=${revision}`];
    const args = ['build', '--no-cache', '--quiet', ...bases, ...times, root];
    const env = { ...stack.env, DOCKER_BUILDKIT: buildkit, BUILDX_NO_DEFAULT_ATTESTATIONS: '1' };
    const id = succeeded(await runIn(env, 'docker', args), 'build').trim();
    t.after(() => runIn(stack.env, 'docker', ['image', 'rm', id]));
    const format = '{{range .RootFS.Layers}}{{println .}}{{end}}';
    const layers = await stack.docker('image', 'inspect', '--format', format, id);
    return layers.trim().split('\n').at(-1) ?? '';
  };
}
