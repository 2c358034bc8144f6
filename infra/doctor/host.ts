// This host itself: its Node, memory and disk against what each platform takes, and what a disk of one's own needs.
import { existsSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { freemem } from 'node:os';
import { dirname, join } from 'node:path';
import type { Context } from '../context.ts';
import { readMemoryMb } from '../nodes.ts';
import { ask, missing, ok, unknown, warn } from './finding.ts';
import type { Check, Finding } from './finding.ts';
import { firstHere, inCi, neverRun } from './install.ts';

const MIB = 1024 * 1024;
/** Evidence and logs; images and what their build keeps, a third of it measured with the stand-ins, which are small. */
const room = { state: 1_024, images: 3_072 };

const tried: Check['look'] = async ({ local }) => {
  const first = await firstHere(local);
  const says = `run in CI: ${inCi}; never run: ${neverRun.join(', ')}`;
  return first.length === 0 ? ok(says) : warn(`this would be the first run on ${first.join(', ')}; ${says}`);
};

const node: Check['look'] = () => {
  const { node: version } = process.versions;
  const isNew = Number(version.split('.')[0]) >= 20;
  return isNew ? ok(version) : missing(`${version}, and 20 or later is needed`, 'README.md says how');
};

const registry: Check['look'] = () => unknown('not looked at; make images OFFLINE=1 if none can be reached');

const machines: Check['look'] = async ({ local, settings }) => {
  const each = settings.env['ORDERS_VM_MEMORY'];
  const needMb = readMemoryMb(settings.root, each === undefined ? undefined : Number(each));
  return memory(needMb, 'the machines', await freeMb(local));
};

const containers: Check['look'] = async ({ local, settings }) => {
  const text = await local.read(join(settings.infra, 'docker-compose.yml')) ?? '';
  const limits = [...text.matchAll(/^ +mem_limit: (\d+)m$/gm)].map(([, mb]) => Number(mb));
  if (limits.length !== 2) throw new Error('infra/docker-compose.yml has not the two limits of service and database');
  return memory(limits.reduce((sum, mb) => sum + mb, 0), 'the containers of a node', await freeMb(local));
};

const stateFolder: Check['look'] = ({ settings }) => disk(settings.state, room.state);

const images: Check['look'] = async context => {
  const told = await ask(context, ['docker', 'info', '--format', '{{.DockerRootDir}}']);
  if (!('said' in told) || !told.said.startsWith('/')) return unknown('where the engine keeps images is not known');
  return disk(told.said, room.images);
};

const ownDisk: Check['look'] = async context => {
  const fix = 'only power-cut and a disk that is really full need it: run as root, with mkfs.ext4 and loop devices';
  if (process.platform !== 'linux') return warn('cannot be had: it needs Linux', fix);
  if (process.getuid?.() !== 0) return warn('cannot be had: it needs root', fix);
  if (!existsSync('/dev/loop-control')) return warn('cannot be had: there is no /dev/loop-control', fix);
  const told = await ask(context, ['mkfs.ext4', '-V']);
  return 'said' in told ? ok('can be had') : warn('cannot be had: no mkfs.ext4', fix, told.why);
};

const looks: readonly [Check['of'], string, Check['look']][] = [
  ['host', 'tried', tried], ['host', 'node', node], ['host', 'state folder', stateFolder],
  ['host', 'ORDERS_DISK_MB', ownDisk],
  ['vagrant', 'memory', machines], ['docker', 'memory', containers], ['docker', 'disk', images],
  ['docker', 'registry', registry],
];
export const hostChecks: readonly Check[] = looks.map(([of, name, look]) => ({ of, name, look }));

function memory(needMb: number, whose: string, free: number): Finding {
  const says = `${needMb} MiB for ${whose}, ${free} MiB free`;
  return free >= needMb ? ok(says) : warn(says, 'end other programs, or give less in vagrant/nodes.txt');
}

/** What programs could still have, caches included. */
async function freeMb(local: Context['local']): Promise<number> {
  const [, kib] = /^MemAvailable: +(\d+) kB$/m.exec(await local.read('/proc/meminfo') ?? '') ?? [];
  return Math.floor(kib === undefined ? freemem() / MIB : Number(kib) / 1_024);
}

async function disk(path: string, needMb: number): Promise<Finding> {
  const { bavail, bsize } = await nearest(path);
  const free = Math.floor(bavail * bsize / MIB);
  const says = `${needMb} MiB wanted in ${path}, ${free} MiB free`;
  return free >= needMb ? ok(says) : warn(says, 'make room');
}

/** The file system of a folder, or of that in which it would be made. */
async function nearest(path: string): Promise<{ bavail: number; bsize: number }> {
  try {
    return await statfs(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(path) === path) throw error;
    return nearest(dirname(path));
  }
}
