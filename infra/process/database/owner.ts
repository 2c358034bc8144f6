// Who runs the server of a cluster, and where its data is: PostgreSQL refuses root, and users cannot go everywhere.
import { createHash } from 'node:crypto';
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import type { Host } from '../../host.ts';

/** The server's user. `root`: we are root, and hand the server to that user. */
export type Owner = { name: string; uid: number; gid: number; root: boolean };

/** We ourselves; for root the user postgres, else nobody. */
export async function findOwner(local: Host): Promise<Owner> {
  const { uid, gid, username } = userInfo();
  if (uid !== 0) return { name: username, uid, gid, root: false };
  const { stdout } = await local.run(['getent', 'passwd', 'postgres', 'nobody']);
  const [name = '', , user = '', group = ''] = stdout.split('\n')[0]?.split(':') ?? [];
  if (!/^\d+$/.test(user) || !/^\d+$/.test(group)) {
    throw new Error(`there is no user postgres or nobody for the server: getent said "${stdout}"`);
  }
  return { name, uid: Number(user), gid: Number(group), root: true };
}

/** What is put before a command that the owner is to run. */
export function as({ uid, gid, root }: Owner): string[] {
  return root ? ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--'] : [];
}

/** In the cluster's folder: the file of its own disk, when it has one. */
export const diskFile = 'disk.ext4';

/** Where data and socket are: in the cluster's place, or on the disk that is mounted there. */
export function homeOf(folder: string): string {
  return existsSync(join(folder, diskFile)) ? diskOf(folder) : placeOf(folder);
}

/** Where its disk is mounted, when it has one. */
export function diskOf(folder: string): string {
  return join(placeOf(folder), 'disk');
}

/** The folder itself, or what its file `home` names. */
function placeOf(folder: string): string {
  const other = readHome(folder);
  // what belongs to the folder that this one was copied from is never touched
  return other === undefined || other.original !== undefined ? folder : other.path;
}

type Voice = { local: Host; say: (line: string) => void };

/** Finds a place for a new cluster, when the owner cannot work in its folder. */
export async function chooseHome(folder: string, owner: Owner, { local, say }: Voice): Promise<void> {
  const { path, original } = readHome(folder) ?? {};
  if (original !== undefined) {
    const way = 'make destroy to begin without data';
    throw new Error(`${folder} was copied from ${original}, to which the data in ${path} belongs; ${way}`);
  }
  if (path !== undefined) writeFileSync(join(path, 'owner'), folder);
  if (path !== undefined || existsSync(join(folder, 'data')) || !owner.root) return;
  chmodSync(folder, 0o711);
  chownSync(folder, owner.uid, -1);
  if ((await local.run([...as(owner), 'test', '-w', folder], { cwd: '/' })).code === 0) return;
  const other = `/var/tmp/orders-${createHash('sha256').update(folder).digest('hex').slice(0, 12)}`;
  const holder = textOf(join(other, 'owner'));
  if (holder !== '' && holder !== folder && textOf(join(holder, 'home')) === other) {
    throw new Error(`${other} belongs to ${holder}`);
  }
  say(`data goes to ${other}: the server's user ${owner.name} cannot work in ${folder}`);
  mkdirSync(other, { recursive: true, mode: 0o700 });
  chownSync(other, owner.uid, -1);
  writeFileSync(join(other, 'owner'), folder);
  writeFileSync(join(folder, 'home'), other);
}

/** A short text file, trimmed; empty when there is none. */
export function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return '';
    throw error;
  }
}

/** `original`: the folder that this one was copied from. One that was moved still owns its data. */
function readHome(folder: string): { path: string; original?: string } | undefined {
  const path = textOf(join(folder, 'home'));
  if (path === '') return undefined;
  const holder = textOf(join(path, 'owner'));
  const isOurs = holder === '' || holder === folder || textOf(join(holder, 'home')) !== path;
  return isOurs ? { path } : { path, original: holder };
}
