// A database's own disk: a loop file with ext4, whose power can be cut and which can be filled. Linux and root only.
import { dirname } from 'node:path';
import type { Host, Run } from './host.ts';

export type DiskOptions = {
  host: Host;
  scaled: (ms: number) => number;
  /** The loop file: it is there or not, never half. */
  file: string;
  /** The folder on which it is mounted. */
  at: () => string | Promise<string>;
};
export type LoopDisk = {
  /** In MB; null when there is none. */
  size: () => Promise<number | null>;
  /** Makes the file, for a user who owns what is on it. Throws with what is missing here. */
  make: (mb: number, user: { uid: number; gid: number }) => Promise<void>;
  /** Mounted, and its power is on. */
  isOn: () => Promise<boolean>;
  /** Mounts it; one whose power was cut, or that lost its mount with its host, reads its journal first. */
  mount: () => Promise<void>;
  unmount: () => Promise<void>;
  /** From now on nothing reaches it, not even what is waiting in memory. Throws when it is not mounted. */
  cut: () => Promise<void>;
  /** Leaves no byte free, and none that is freed later. */
  fill: () => Promise<void>;
  /** Takes away what filled it. */
  free: () => Promise<void>;
  isFull: () => Promise<boolean>;
  /** Unmounts it and removes it, half made ones too; the folder on which it was mounted goes if it is empty. */
  remove: () => Promise<void>;
};

const ACT_MS = 60_000;
/** The refusal of an `up` that asks for something else than there is. */
export const otherSize = (is: number, asked: number): string =>
  `the disk of the database has ${is} MB, not ${asked}: leave ORDERS_DISK_MB away, or make destroy first`;
export const withoutDisk = 'the database is there already, without a disk of its own, and is not moved: '
  + 'leave ORDERS_DISK_MB away, or make destroy first';
/** Why `power-cut` is not possible. */
export const noDisk = 'power-cut needs a disk of the database\'s own: make destroy, then make up ORDERS_DISK_MB=256';

/** Looks at nothing yet. */
export function openLoopDisk({ host, scaled, file, at }: DiskOptions): LoopDisk {
  const run = async (script: string, ...args: string[]): Promise<Run> => {
    const argv = ['sh', '-c', `set -eu; file=$1 at=$2; shift 2\n${script}`, 'sh', file, await at(), ...args];
    return host.run(argv, { deadlineMs: scaled(ACT_MS) });
  };
  const must = async (script: string, ...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await run(script, ...args);
    if (code === 0) return stdout;
    throw new Error(`the disk ${file}: ${stderr.trim().split('\n').at(-1) || `a command ended with ${code}`}`);
  };
  const holds = async (condition: string): Promise<boolean> =>
    await size() !== null && (await must(`if ${condition}; then echo yes; fi`)) !== '';
  const size = async (): Promise<number | null> => {
    const argv = ['sh', '-c', '[ ! -e "$1" ] || exec stat -c %s "$1"', 'sh', file];
    const { code, stdout, stderr } = await host.run(argv, { deadlineMs: scaled(ACT_MS) });
    if (code !== 0) throw new Error(`whether there is a disk ${file} cannot be seen: ${stderr.trim()}`);
    return stdout === '' ? null : Math.round(Number(stdout) / 1_048_576);
  };
  return {
    size,
    make: async (mb, { uid, gid }) => {
      await needRoot(host, scaled(ACT_MS));
      const argv = ['sh', '-c', making, 'sh', file, String(mb), `${uid}:${gid}`, dirname(file)];
      const { code, stderr } = await host.run(argv, { deadlineMs: scaled(ACT_MS) });
      if (code !== 0) throw new Error(`a disk of ${mb} MB cannot be made: ${stderr.trim().split('\n').at(-1)}`);
    },
    isOn: () => holds(isOn),
    mount: async () => {
      await needRoot(host, scaled(ACT_MS));
      await must(mounting);
    },
    unmount: async () => { await must(unmounting); },
    cut: async () => { await must(cutting); },
    fill: async () => { await must(filling); },
    free: async () => { await must(freeing); },
    isFull: () => holds('mountpoint -q "$at" && [ -e "$at/ballast" ]'),
    remove: async () => { await must(`${unmounting}${removing}`); },
  };
}

/** One line that names what is missing; the first that is. */
async function needRoot(host: Host, deadlineMs: number): Promise<void> {
  const missing = async (why: string, ...argv: string[]): Promise<string | undefined> =>
    (await host.run(argv, { deadlineMs })).code === 0 ? undefined : why;
  const why = process.platform !== 'linux' ? 'Linux'
    : await missing('root: run this with sudo', 'sh', '-c', '[ "$(id -u)" = 0 ]')
      ?? await missing('loop devices (/dev/loop-control)', 'test', '-e', '/dev/loop-control')
      ?? await missing('mkfs.ext4 (Debian: apt-get install e2fsprogs)', 'mkfs.ext4', '-V')
      ?? await missing('mountpoint (Debian: apt-get install util-linux)', 'mountpoint', '-q', '/');
  if (why !== undefined) throw new Error(`ORDERS_DISK_MB, a disk of the database's own, needs ${why}`);
}

// all of its room is taken from the host at once, so that the host's disk cannot become full beneath it
const making = `
set -eu
file=$1
umask 077
mkdir -p "$4"
rm -f "$file.new"
fallocate -l "$2M" "$file.new" 2>/dev/null || head -c "$(($2 * 1048576))" /dev/zero > "$file.new"
mkfs.ext4 -q -F -b 4096 -i 16384 -m 0 -E "nodiscard,root_owner=$3" "$file.new"
sync "$file.new"
mv "$file.new" "$file"
`;

// one without power still gives out what is in memory, but syncs nothing
const isOn = 'mountpoint -q "$at" && sync "$at" 2>/dev/null';

const removing = `
[ -z "$at" ] || { rm -f "$at/not-mounted"; rmdir "$at" 2>/dev/null || true; }
rm -f "$file" "$file.new"
`;

// what was just killed may hold it for a moment
const unmounting = `
tries=100
while mountpoint -q "$at" 2>/dev/null && ! said=$(umount "$at" 2>&1); do
  tries=$((tries - 1))
  [ $tries -gt 0 ] || { echo "$said" >&2; exit 1; }
  sleep 0.1
done
`;

// The bare folder beneath is root's and not empty: a server that finds it in place of the disk cannot begin in it.
// A container that begins has a copy of all mounts for a moment, and keeps one without power as it is.
const mounting = `
[ -d "$at" ] || { echo "$at is no folder of this machine" >&2; exit 1; }
if ${isOn}; then exit 0; fi
${unmounting}
chown 0:0 "$at"
chmod 0700 "$at"
echo 'The disk of the database is not mounted: make up mounts it.' > "$at/not-mounted"
mount -o loop "$file" "$at"
tries=100
until sync "$at" 2>/dev/null; do
  umount "$at"
  tries=$((tries - 1))
  [ $tries -gt 0 ] || { echo 'it stays without power, for a process with mounts of its own holds it' >&2; exit 1; }
  sleep 0.1
  mount -o loop "$file" "$at"
done
rmdir "$at/lost+found" 2>/dev/null || true
`;

// EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH: not even the journal is written
const cutting = `
mountpoint -q "$at" || { echo 'it is not mounted' >&2; exit 1; }
perl -e 'open(my $at, "<", $ARGV[0]) or die "$!\\n"; my $how = pack("L", 2);
  ioctl($at, 0x8004587d, $how) or die "its power cannot be cut: $!\\n"' "$at"
`;

// how many blocks the kernel keeps back from everybody's data, for its own
const keptBack = `
device=$(readlink -f "/sys/dev/block/$(mountpoint -d "$at")")
kept=/sys/fs/ext4/\${device##*/}/reserved_clusters
`;

// As root, who may take the last byte; fallocate takes nearly all at once, dd what is left. Then the kernel keeps back
// whatever else may be freed. The ballast begins with how much it kept before.
const filling = `
mountpoint -q "$at" || { echo 'it is not mounted' >&2; exit 1; }${keptBack}
[ -e "$at/ballast" ] || install -m 0644 "$kept" "$at/ballast"
free=$(stat -f -c '%a * %S' "$at")
fallocate -o "$(stat -c %s "$at/ballast")" -l "$(($free))" "$at/ballast" 2>/dev/null || true
dd if=/dev/zero bs=4k oflag=append conv=notrunc,fsync of="$at/ballast" 2>/dev/null || true
stat -f -c %b "$at" > "$kept"
`;

// one that is not mounted, or not full, has nothing to be taken away
const freeing = `
[ -e "$at/ballast" ] || exit 0${keptBack}
head -n 1 "$at/ballast" > "$kept"
rm -f "$at/ballast"
`;
