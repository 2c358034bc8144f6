// What a machine is sent: the files of its stack, and images as archives named after their content. No secret travels.
import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Context } from '../context.ts';
import type { Host, Run } from '../host.ts';
import type { Outcome } from '../platform.ts';
import { quoted, writingScript } from './ssh.ts';

/** What the stack of a machine consists of, beside images: all else of infra/ stays here. */
const shipped = [{ file: 'docker-compose.yml', mode: 0o644 }, { file: 'role.sh', mode: 0o755 }];

/**
 * Replaces `infra` in the guest's home but for its settings, and gives those of the images that its engine does not
 * have: in one call, since an emulated machine takes half a second for each.
 */
export async function ship(context: Context, host: Host, images: readonly string[]): Promise<Outcome<string[]>> {
  const { infra, scaled } = context.settings;
  const files = await Promise.all(shipped.map(async ({ file, mode }) => (
    { path: `.arriving/${file}`, text: await readFile(join(infra, file), 'utf8'), mode }
  )));
  const script = `rm -rf .arriving\n${writingScript(files)}
    if [ -f infra/.env ]; then mv infra/.env .arriving/; fi
    rm -rf infra
    mv .arriving infra
    echo arrived
    docker image inspect --format there ${images.map(quoted).join(' ')}`;
  const ended = await host.run(['sh'], { input: script, deadlineMs: scaled(60_000) });
  if (!ended.stdout.startsWith('arrived\n')) return { failed: `infra/ could not be sent: ${reasonOf(ended)}` };
  return parseLacking(ended, images);
}

/** The engine answers a line for each image that it has, and a complaint for each other. Anything else is no answer. */
export function parseLacking({ stdout, stderr, code }: Run, images: readonly string[]): Outcome<string[]> {
  const there = stdout.split('\n').filter(line => line === 'there').length;
  const complaints = stderr.split('\n').map(line => /No such image: (\S+)$/.exec(line.trim())?.[1]);
  const lacking = images.filter(image => complaints.includes(image));
  if (there + lacking.length === images.length && (code === 0) === (lacking.length === 0)) return { done: lacking };
  const seen = JSON.stringify(`${stdout}${stderr}`.slice(0, 500));
  return { failed: `its engine does not say which images it has: ${seen}` };
}

/** Sends an image and has the engine there take it in. */
export async function load(host: Host, archive: string, deadlineMs: number): Promise<Outcome> {
  const ended = await host.run(['docker', 'load', '-q'], { input: { file: archive }, deadlineMs });
  if (ended.code === 0) return { done: undefined };
  return { failed: `an image could not be loaded; is the disk full (df -h there)? ${reasonOf(ended)}` };
}

const sources = ['Dockerfile', '.dockerignore', 'package.json', 'package-lock.json', 'tsconfig.json', 'service'];
const without = ['dist', 'test', 'bench'].flatMap(name => ['--exclude', `service/${name}`]);

/** The sources of the service's image, for a machine that builds it because there is no engine here. */
export async function shipSources({ local, settings }: Context, host: Host, folder: string): Promise<Outcome> {
  const archive = join(settings.state, 'vagrant', 'sources.tar');
  const deadlineMs = settings.scaled(120_000);
  // a Mac would add files of its own to the archive
  const packing = { cwd: settings.root, env: { COPYFILE_DISABLE: '1' }, deadlineMs };
  const packed = await local.run(['tar', '-cf', archive, ...without, ...sources], packing);
  try {
    if (packed.code !== 0) return { failed: `the sources could not be packed: ${reasonOf(packed)}` };
    const script = 'rm -rf "$1" && mkdir "$1" && tar -xf - -C "$1"';
    const sent = await host.run(['sh', '-c', script, 'sh', folder], { input: { file: archive }, deadlineMs });
    return sent.code === 0 ? { done: undefined } : { failed: `the sources could not be sent: ${reasonOf(sent)}` };
  } finally {
    await rm(archive, { force: true });
  }
}

/** Gives the archive of an image, made when it is not there yet; undefined when a node is to fetch the image itself. */
export type Archives = (image: string) => Promise<Outcome<string | undefined>>;

/** Archives of images in the engine of `from`, kept in `folder`. However many nodes ask for one, it is made once. */
export function openArchives({ local, settings, say }: Context, from: Host, folder: string): Archives {
  const made = new Map<string, Promise<Outcome<string | undefined>>>();
  const make = async (image: string): Promise<Outcome<string | undefined>> => {
    // a registry's digest: the node can fetch exactly this image, and an archive would lose that name
    if (image.includes('@')) return { done: undefined };
    const archive = join(folder, `${image.replace(/[/:]/g, '-')}.tar.gz`);
    if (existsSync(archive)) return { done: archive };
    say(`archiving ${short(image)}`);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    // Under another name until it is known to be whole: a failed save was once taken for an archive, for good.
    const beside = join(folder, `${basename(archive, '.gz')}.${process.pid}`);
    const deadlineMs = settings.scaled(600_000);
    const steps = [
      () => from.run(['docker', 'save', image], { into: { file: beside }, deadlineMs }),
      () => local.run(['gzip', '-1f', beside], { deadlineMs }),
      () => local.run(['gzip', '-t', `${beside}.gz`], { deadlineMs }),
    ];
    for (const step of steps) {
      const ended = await step();
      if (ended.code === 0) continue;
      await forget(beside);
      return { failed: `the image ${short(image)} could not be archived: ${reasonOf(ended)}` };
    }
    await rename(`${beside}.gz`, archive);
    await keepLast(folder, basename(archive));
    return { done: archive };
  };
  return image => {
    const already = made.get(image) ?? make(image);
    made.set(image, already);
    return already;
  };
}

async function forget(beside: string): Promise<void> {
  for (const path of [beside, `${beside}.gz`]) await rm(path, { force: true });
}

/** Of every kind of image the last one is kept, and nothing of an archiving that was cut off. */
async function keepLast(folder: string, name: string): Promise<void> {
  const kind = name.replace(/sha256-.*/s, 'sha256-');
  for (const other of await readdir(folder)) {
    if (other !== name && other.startsWith(kind)) await rm(join(folder, other), { force: true });
  }
}

/** A file's size in MiB, rounded down. */
export async function mebibytes(file: string): Promise<number> {
  return Math.floor((await stat(file)).size / 1_048_576);
}

/** An image's name with the beginning of its digest only. */
export function short(image: string): string {
  return image.replace(/(sha256[:-].{12}).*/s, '$1');
}

function reasonOf({ stderr, code, late }: Run): string {
  return stderr.trim().split('\n').slice(-3).join(' ') || (late ? 'it did not end in time' : `exit ${code}`);
}
