// The images: the service's, built once per state of its sources and named after its content, and the database's.
import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { revisionOf, sourcesOf, versionOf } from '../build.ts';
import type { Context } from '../context.ts';
import type { Host } from '../host.ts';
import type { Outcome } from '../platform.ts';
import { Trouble, attempt, lastWords, linesOf } from './engine.ts';
import { digestOf } from './facts.ts';
import type { Images, WantedImages } from './options.ts';
import { readEnv } from './stack/env-file.ts';

/**
 * Where an image is built: `sources` is the folder with the Dockerfile on `host`; `memory` a file here, of names by
 * state of the sources.
 */
export type Builder = { host: Host; sources: string; memory: string };
type Bases = { build: string; runtime: string; database: string };

/**
 * Both images of a node. The service's is in this machine's engine then, built if its sources changed; the database's
 * may have to be fetched. A failure says what could not be built.
 */
export function imagesHere(context: Context): Promise<Outcome<Images>> {
  const { local, settings } = context;
  return imagesOn(context, { host: local, sources: settings.root, memory: join(settings.state, 'image') });
}

/** The same in the engine of a host that was sent the sources. What the image depends on is read from this checkout. */
export function imagesOn(context: Context, builder: Builder): Promise<Outcome<Images>> {
  return attempt(async () => {
    const bases = await readBases(context);
    return { service: await serviceImage(context, builder, bases), database: bases.database };
  });
}

/** The names of both images, without a look at any engine. `memories` are files as in Builder. */
export async function imagesWanted(context: Context, memories: readonly string[]): Promise<WantedImages> {
  const bases = await readBases(context);
  const { root, given } = context.settings;
  const key = await keyOf(root, await revisionOf(context), bases);
  const lines = (await Promise.all(memories.map(remembered))).flat();
  const built = lines.findLast(line => line.key === key)?.name;
  return { service: given.ORDERS_IMAGE ?? built, database: bases.database };
}

/** The stand-ins of infra/images/build, unless the environment says otherwise. Empty: what the Dockerfile pins. */
async function readBases({ local, settings }: Context): Promise<Bases> {
  const { ORDERS_BUILD_IMAGE, ORDERS_RUNTIME_IMAGE, ORDERS_DB_IMAGE } = settings.given;
  const remembered = await local.read(join(settings.state, 'images.env')) ?? '';
  const standIn = (name: string) => new RegExp(`^${name}=(.+)$`, 'm').exec(remembered)?.[1];
  return {
    build: ORDERS_BUILD_IMAGE ?? standIn('ORDERS_BUILD_IMAGE') ?? '',
    runtime: ORDERS_RUNTIME_IMAGE ?? standIn('ORDERS_RUNTIME_IMAGE') ?? '',
    database: ORDERS_DB_IMAGE ?? standIn('ORDERS_DB_IMAGE') ?? await pinnedDatabase(settings.infra),
  };
}

async function pinnedDatabase(infra: string): Promise<string> {
  const file = join(infra, 'docker-compose.yml');
  const pinned = /^ *image: \$\{ORDERS_DB_IMAGE:-(.+)\}$/m.exec(await readFile(file, 'utf8'))?.[1];
  if (pinned === undefined) throw new Trouble(`${file} pins no image of the database`);
  return pinned;
}

async function serviceImage(context: Context, builder: Builder, bases: Bases): Promise<string> {
  const given = context.settings.given.ORDERS_IMAGE;
  if (given !== undefined) {
    if (await isThere(context, builder, given)) return given;
    throw new Trouble(`the image ${given} is not in this engine: docker load it first`);
  }
  const revision = await revisionOf(context);
  const key = await keyOf(context.settings.root, revision, bases);
  const name = (await remembered(builder.memory)).findLast(line => line.key === key)?.name;
  if (name !== undefined && await isThere(context, builder, name)) return name;
  return build(context, builder, { bases, revision, key });
}

type Line = { key: string; name: string };

async function remembered(memory: string): Promise<Line[]> {
  const text = await readFile(memory, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  return linesOf(text).map(line => {
    const [key = '', name = ''] = line.split(' ');
    return { key, name };
  });
}

/** What the image depends on; the commit too, because /version shows it. */
async function keyOf(root: string, revision: string, bases: Bases): Promise<string> {
  const hash = createHash('sha256').update(`${revision} ${bases.build} ${bases.runtime}\n`);
  for (const [path, content] of await sourcesOf(root)) hash.update(`${path}\n`).update(content);
  return hash.digest('hex');
}

async function isThere({ settings }: Context, { host }: Builder, image: string): Promise<boolean> {
  const argv = ['docker', 'image', 'inspect', '--format', '{{.Id}}', image];
  const run = await host.run(argv, { deadlineMs: settings.scaled(60_000) });
  if (run.code === 0) return true;
  if (/no such image/i.test(run.stderr)) return false;
  throw new Trouble(`whether the image ${image} is there cannot be seen: ${lastWords(run.stderr)}`);
}

type Recipe = { bases: Bases; revision: string; key: string };

async function build(context: Context, builder: Builder, recipe: Recipe): Promise<string> {
  const { say, settings, local } = context;
  const { host, sources, memory } = builder;
  say(`building the image from ${recipe.bases.runtime || 'the pinned bases'}`);
  const idFile = host === local ? `${memory}.${process.pid}` : `${sources}/image.id`;
  const args = (await argsOf(context, recipe)).flatMap(arg => ['--build-arg', arg]);
  const argv = ['docker', 'build', '--iidfile', idFile, ...args, sources];
  await host.write([{ path: idFile, text: '' }]);
  // an attestation would give every build another id
  const env = { BUILDX_NO_DEFAULT_ATTESTATIONS: '1' };
  const run = await host.run(argv, { deadlineMs: settings.scaled(900_000), env });
  await local.write([{ path: `${memory}.log`, text: run.stdout + run.stderr }]);
  if (run.code !== 0) {
    throw new Trouble(`the image could not be built; the whole output is in ${memory}.log; `
      + `on a machine without a registry: make images OFFLINE=1\n${lastWords(run.stdout + run.stderr, 20)}`);
  }
  const id = (await host.read(idFile) ?? '').trim();
  await host.run(['rm', '-f', idFile]);
  const name = `orders:${id.replace(':', '-')}`;
  const tag = await host.run(['docker', 'tag', id, name]);
  if (tag.code !== 0) throw new Trouble(`the image ${id} could not be given its name: ${lastWords(tag.stderr)}`);
  const kept = [...await forgetUnused(context, builder), { key: recipe.key, name }];
  await local.write([{ path: memory, text: kept.map(line => `${line.key} ${line.name}\n`).join('') }]);
  return name;
}

async function argsOf({ local, settings }: Context, { bases, revision }: Recipe): Promise<string[]> {
  const argv = ['git', '-C', settings.root, 'log', '-1', '--format=%ct'];
  const commit = await local.run(argv, { deadlineMs: settings.scaled(20_000) });
  const version = await versionOf(settings.root);
  return [
    `GIT_SHA=${revision}`, `BUILD_TIME=${new Date().toISOString().slice(0, 19)}Z`, `VERSION=${version}`,
    `SOURCE_DATE_EPOCH=${commit.code === 0 ? commit.stdout.trim() : '0'}`,
    ...bases.build === '' ? [] : [`BUILD_IMAGE=${bases.build}`],
    ...bases.runtime === '' ? [] : [`RUNTIME_IMAGE=${bases.runtime}`, `RUNTIME_DIGEST=${digestOf(bases.runtime)}`],
  ];
}

/**
 * What we built before and no container uses goes; the engine refuses to remove the others, which stay remembered. What
 * served last stays too: after an `up` that was killed no container uses it, and it is the way back.
 */
async function forgetUnused(context: Context, builder: Builder): Promise<Line[]> {
  const lines = await remembered(builder.memory);
  const served = await servedHere(context.settings.state);
  const deadlineMs = context.settings.scaled(60_000);
  const left: Line[] = [];
  for (const line of lines) {
    if (!await isThere(context, builder, line.name)) continue;
    if (served.includes(line.name)) {
      left.push(line);
      continue;
    }
    const run = await builder.host.run(['docker', 'image', 'rm', line.name], { deadlineMs });
    if (run.code !== 0) left.push(line);
  }
  return left;
}

/** The images of the service that were ready last, on each node of this machine's engine. */
async function servedHere(state: string): Promise<(string | undefined)[]> {
  const nodes = await readdir(join(state, 'docker')).catch(() => []);
  const texts = nodes.map(node => readFile(join(state, 'docker', node, 'served'), 'utf8').catch(() => ''));
  return (await Promise.all(texts)).map(text => readEnv(text)['ORDERS_IMAGE']);
}
