// Which commit and version this checkout is, read from its files: no program is started for it.
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

/** The commit is null where there is no git folder, or one of a kind that is not understood. */
export async function readCheckout(root: string): Promise<{ commit: string | null; version: string }> {
  const text = await readFile(join(root, 'package.json'), 'utf8');
  const { version = 'unknown' } = JSON.parse(text) as { version?: string };
  return { version, commit: await readCommit(root).catch(() => null) };
}

async function readCommit(root: string): Promise<string | null> {
  const [, elsewhere] = /^gitdir: (.+)/.exec(await textOf(join(root, '.git'))) ?? [];
  const folder = resolve(root, elsewhere ?? '.git');
  const head = await textOf(join(folder, 'HEAD'));
  const [, ref] = /^ref: (.+)/.exec(head) ?? [];
  if (ref === undefined) return commitIn(head);
  // a worktree has its HEAD to itself, its branches where the others are
  const common = resolve(folder, (await textOf(join(folder, 'commondir'))) || '.');
  const loose = commitIn(await textOf(join(common, ref)));
  const packed = (await textOf(join(common, 'packed-refs'))).split('\n').find(line => line.endsWith(` ${ref}`));
  return loose ?? commitIn(packed ?? '');
}

async function textOf(path: string): Promise<string> {
  return (await readFile(path, 'utf8').catch(() => '')).trim();
}

function commitIn(text: string): string | null {
  return /^[0-9a-f]{40}\b/.exec(text)?.[0] ?? null;
}
