// The disk of a stack's own, mounted over its volume's folder: Compose's file and the container know nothing of it.
import { join } from 'node:path';
import { openLoopDisk, otherSize, withoutDisk } from '../../loop-disk.ts';
import type { LoopDisk } from '../../loop-disk.ts';
import { messageOf } from '../../platform.ts';
import { Trouble, lastWords } from '../engine.ts';
import type { Engine, Sight, Survey } from '../engine.ts';
import type { Container } from '../inspect.ts';

/** The user that the database runs as, in its container. */
const user = { uid: 999, gid: 999 };
const LOOK_MS = 30_000;
const volumeOf = ({ options: { project } }: Engine): string => `${project}_data`;

/** Of an engine on this machine. In a VM there is none: there the whole machine's power is cut. */
export function diskOf(engine: Engine): LoopDisk {
  const { host, folder, settings, node } = engine.options;
  const at = () => folderOf(engine);
  const disk = openLoopDisk({ host, scaled: settings.scaled, file: join(folder, 'disk.ext4'), at });
  const told = <A extends unknown[], T>(act: (...args: A) => Promise<T>) => (...args: A): Promise<T> =>
    act(...args).catch((error: unknown) => { throw new Trouble(`${node.name}: ${messageOf(error)}`); });
  return {
    size: told(disk.size), make: told(disk.make), isOn: told(disk.isOn), mount: told(disk.mount),
    unmount: told(disk.unmount), cut: told(disk.cut), fill: told(disk.fill), free: told(disk.free),
    isFull: told(disk.isFull), remove: told(disk.remove),
  };
}

/** Where the engine has the volume; empty when it has none. */
async function folderOf(engine: Engine): Promise<string> {
  const { host, settings } = engine.options;
  const argv = ['docker', 'volume', 'inspect', '-f', '{{.Mountpoint}}', volumeOf(engine)];
  const { code, stdout, stderr } = await host.run(argv, { deadlineMs: settings.scaled(LOOK_MS) });
  if (code === 0) return stdout.trim();
  if (/no such volume/i.test(stderr)) return '';
  throw new Error(`where the volume of the database is cannot be seen: ${lastWords(stderr)}`);
}

/** Sends nothing where there can be none. */
export async function hasDisk(engine: Engine): Promise<boolean> {
  return engine.options.platform === 'docker' && await diskOf(engine).size() !== null;
}

/**
 * Before anything is started: the disk that is there is mounted and has room; a new stack gets one when its size is
 * given. What still runs on one that was lost is killed.
 */
export async function readyDisk(engine: Engine, before: Survey): Promise<Survey> {
  const { options: { folder, host, node, owner, platform, project, settings: { diskMb } } } = engine;
  if (platform !== 'docker') return before;
  const disk = diskOf(engine);
  const is = await disk.size();
  if (is === null && diskMb === undefined) return before;
  const refuse = (why: string): never => { throw new Trouble(`${node.name}: ${why}`); };
  if (is !== null && diskMb !== undefined && is !== diskMb) refuse(otherSize(is, diskMb));
  const isThere = before.volumes.includes(volumeOf(engine));
  if (is === null && isThere) refuse(withoutDisk);
  if (is === null && diskMb !== undefined) {
    // the mark of a first start is there from before the database is
    await host.write([{ path: join(folder, 'first-start'), text: '' }]);
    await disk.make(diskMb, user);
  }
  if (!isThere) {
    const labels = [`com.docker.compose.project=${project}`, 'com.docker.compose.volume=data', `orders.owner=${owner}`];
    await engine.docker('volume', 'create', ...labels.flatMap(label => ['--label', label]), volumeOf(engine));
  }
  await powerOn(engine, before);
  await disk.free();
  return is === null ? before : { ...before, volumes: [...new Set([...before.volumes, volumeOf(engine)])] };
}

/** Mounts the disk if it is not. A container that has begun without it, or was left by it, is killed. */
export async function powerOn(engine: Engine, { db }: Sight): Promise<void> {
  const disk = diskOf(engine);
  if (await disk.isOn()) return;
  if (db !== undefined) await kill(engine, [db.id]);
  await disk.mount();
}

/** An engine elsewhere, or one with mounts of its own, may have a folder of the same name without the disk. */
export async function proveDisk(engine: Engine, db: Container): Promise<void> {
  if (await hasDisk(engine)) await engine.sh(proving, [db.id, await folderOf(engine)]);
}

/** Nothing more reaches the disk, then nothing runs any more: as when the power of all of it goes. */
export async function cutPower(engine: Engine, { api, db }: Sight): Promise<void> {
  const disk = diskOf(engine);
  // without power already, when neither its disk nor a server is there
  const runs = db !== undefined && ['running', 'paused', 'restarting'].includes(db.status);
  if (runs || await disk.isOn()) await disk.cut();
  await kill(engine, [api, db].flatMap(box => box === undefined ? [] : [box.id]));
  await disk.unmount();
}

const proving = `
inside=$(docker exec "$1" stat -c %d /var/lib/postgresql/data) || exit
here=$(stat -c %d "$2") || exit
[ "$inside" = "$here" ] || {
  echo "the database does not work on the disk that is mounted at $2: is its engine on this machine?" >&2
  exit 1
}
`;

/** The engine takes that for a stop by hand, and starts none of them again. */
async function kill({ sh }: Engine, ids: string[]): Promise<void> {
  await sh(killing, ids);
}

// all at once, or one would hear of the other's end; what waits to be started again does not run, and is stopped
const killing = `
for id; do docker unpause "$id" >/dev/null 2>&1 || true; done
docker kill "$@" >/dev/null 2>&1 || true
for id; do
  [ "$(docker inspect -f '{{.State.Running}}' "$id")" = false ] || docker stop -t 0 "$id" >/dev/null || exit
done
`;
