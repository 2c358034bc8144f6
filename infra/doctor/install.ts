// How what is missing is installed, and where all of this was ever run: on Debian. The rest is written down unseen.
import { arch } from 'node:os';
import type { Host } from '../host.ts';
import type { PlatformName } from '../platform.ts';

export type System = 'debian' | 'fedora' | 'darwin' | 'other';

/** What CI runs; what it does not run, and nobody else has: README says the same. */
export const inCi = 'Debian 12 on amd64, base images and a box made from Debian packages, software emulation, '
  + 'a swarm of three engines on one machine';
export const neverRun = [
  'a swarm over real machines', 'VirtualBox', 'hardware virtualisation', 'the pinned boxes',
  'the pinned image digests', 'arm64', 'Ubuntu', 'Fedora', 'macOS', 'the Kubernetes manifests on a cluster',
] as const;

type Way = Partial<Record<System, string>>;
const ways: Record<PlatformName | 'setpriv' | 'postgres', Way> = {
  vagrant: {
    debian: 'sudo apt-get install vagrant vagrant-libvirt libvirt-daemon-system qemu-system-x86 dnsmasq-base',
    fedora: 'sudo dnf install vagrant vagrant-libvirt libvirt qemu-kvm && sudo systemctl enable --now libvirtd',
    darwin: 'brew install --cask vagrant virtualbox',
  },
  docker: {
    debian: 'sudo infra/engine install && sudo infra/engine start',
    fedora: 'sudo dnf install moby-engine docker-compose docker-buildx && sudo systemctl enable --now docker',
    darwin: 'brew install --cask docker-desktop, and start it once',
  },
  swarm: { debian: 'sudo infra/engine install && sudo infra/engine start' },
  process: { debian: 'sudo infra/prerequisites', fedora: 'sudo dnf install postgresql-server util-linux' },
  setpriv: { debian: 'sudo apt-get install util-linux', fedora: 'sudo dnf install util-linux' },
  postgres: { debian: 'sudo infra/prerequisites', fedora: 'sudo dnf install postgresql-server' },
};

/** The command for this system, or each that is known; those that were never tried say so. */
export async function installing(what: keyof typeof ways, local: Pick<Host, 'read'>): Promise<string> {
  const system = await systemOf(local);
  const way = ways[what];
  const tell = (one: System): string => `${way[one]}${one === 'debian' ? '' : ' (never tried)'}`;
  if (way[system] !== undefined) return tell(system);
  if (system === 'darwin') return 'it needs Linux';
  return `Debian: ${tell('debian')}; Fedora: ${tell('fedora')}`;
}

export async function systemOf({ read }: Pick<Host, 'read'>): Promise<System> {
  if (process.platform === 'darwin') return 'darwin';
  const ids = idsIn(await read('/etc/os-release') ?? '');
  if (ids.some(id => id === 'debian' || id === 'ubuntu')) return 'debian';
  return ids.some(id => id === 'fedora' || id === 'rhel') ? 'fedora' : 'other';
}

/** What of this host was never run, as far as its system and processor tell. */
export async function firstHere({ read }: Pick<Host, 'read'>): Promise<string[]> {
  const [id = process.platform] = idsIn(await read('/etc/os-release') ?? '');
  const own = { darwin: 'macOS', fedora: 'Fedora', ubuntu: 'Ubuntu' }[id] ?? (id === 'debian' ? [] : id);
  return [...[own].flat(), ...arch() === 'x64' ? [] : [arch()]];
}

/** ID, then those of ID_LIKE. */
function idsIn(text: string): string[] {
  const value = (name: string) => new RegExp(`^${name}="?([^"\n]*)"?$`, 'm').exec(text)?.[1] ?? '';
  return `${value('ID')} ${value('ID_LIKE')}`.split(/\s+/).filter(word => word !== '');
}
