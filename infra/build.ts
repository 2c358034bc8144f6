// Which build of the service this checkout makes: by the commit of its sources, or by what they are without one.
import { createHash } from 'node:crypto';
import { readFile, readdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import type { Context } from './context.ts';
import { openLocal } from './local.ts';
import type { Settings } from './settings.ts';

/** `commit` and `version` as /version tells them. */
export type Build = { commit: string; version: string };

/** What the service on a node of this checkout must say that it is. */
export async function buildHere(settings: Settings): Promise<Build> {
  const context = { settings, local: openLocal(settings.env) };
  return { commit: await revisionOf(context), version: await versionOf(settings.root) };
}

/**
 * The last commit that changed what the build depends on, so that another page of the manual makes no other build;
 * COMMIT-dirty.FINGERPRINT when sources of the service differ from it; tree.FINGERPRINT where git knows no commit of
 * this folder (an unpacked archive, also inside of another repository).
 */
export async function revisionOf({ local, settings: { root, scaled } }: Omit<Context, 'say'>): Promise<string> {
  const git = (...args: string[]) => local.run(['git', '-C', root, ...args], { deadlineMs: scaled(20_000) });
  const sources = ['--', ...settled, 'service', ...left.map(path => `:!${path}`)];
  const top = await git('rev-parse', '--show-toplevel');
  const isOwn = top.code === 0 && await realpath(top.stdout.trim()) === await realpath(root);
  const commit = isOwn ? (await git('log', '-1', '--format=%H', ...sources)).stdout.trim() : '';
  if (commit === '') return `tree.${await fingerprint(root)}`;
  const changes = await git('status', '--porcelain', ...sources);
  return changes.code === 0 && changes.stdout === '' ? commit : `${commit}-dirty.${await fingerprint(root)}`;
}

export async function versionOf(root: string): Promise<string> {
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
  return version;
}

/** What the build depends on beside the sources in service/. */
const settled = ['Dockerfile', '.dockerignore', 'package.json', 'package-lock.json', 'tsconfig.json'];
/** What .dockerignore keeps from the build. */
const left = ['service/test', 'service/bench', 'service/dist'];

/** Every file that the build depends on, by its path in the checkout, with its content. */
export async function sourcesOf(root: string): Promise<[path: string, content: Buffer][]> {
  const paths = [...settled, 'service/tsconfig.json', ...await sourcesIn(root, 'service')];
  return Promise.all(paths.map(async path => [path, await readFile(join(root, path))]));
}

async function sourcesIn(root: string, folder: string): Promise<string[]> {
  const entries = await readdir(join(root, folder), { withFileTypes: true });
  const lists = entries.map(async entry => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return left.includes(path) ? [] : sourcesIn(root, path);
    return entry.name.endsWith('.ts') ? [path] : [];
  });
  return (await Promise.all(lists)).flat().sort();
}

async function fingerprint(root: string): Promise<string> {
  const hash = createHash('sha256');
  for (const [path, content] of await sourcesOf(root)) hash.update(`${path} ${content.length}\n`).update(content);
  return hash.digest('hex').slice(0, 12);
}
