// Whether a database can get a disk of its own on this machine.
import { execFileSync } from 'node:child_process';

const attaching = `
folder=$(mktemp -d)
trap 'umount "$folder/at" 2>/dev/null; rm -rf "$folder"' EXIT
mkdir "$folder/at"
truncate -s 8M "$folder/file"
mkfs.ext4 -q -F "$folder/file"
mount -o loop "$folder/file" "$folder/at"
`;

/** Why not, for tests that need one; false when it can. */
export const diskless: string | false = reasonToSkip();

function reasonToSkip(): string | false {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'a disk of its own needs Linux and root';
  try {
    // an image of a few MB is attached and let go again, for in a sandbox root may not
    execFileSync('sh', ['-ec', attaching], { stdio: 'pipe', timeout: 20_000 });
    return false;
  } catch (error) {
    return `no disk can be mounted here: ${String((error as { stderr?: Buffer }).stderr ?? error).trim()}`;
  }
}
