// What each platform needs: one list, by which `up` chooses, and which `doctor` shows.
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import type { Context } from '../context.ts';
import type { PlatformName } from '../platform.ts';
import { findPrograms } from '../process/database/programs.ts';
import { ask, missing, ok, see, unknown, warn } from './finding.ts';
import type { Check, Finding, Seen } from './finding.ts';
import { installing } from './install.ts';

type Look = Check['look'];
type Told = Awaited<ReturnType<typeof ask>>;
const LEAST_POSTGRES = 14;

const vagrant: Look = async context => {
  const told = await ask(context, ['vagrant', '--version']);
  if ('said' in told) return ok(told.said);
  return missing('no vagrant', await installing('vagrant', context.local), told.why);
};

const provider: Look = async context => {
  const wanted = context.settings.env['VAGRANT_DEFAULT_PROVIDER'];
  const box: Told | { version: string } = wanted === 'libvirt' ? {} : await virtualBox(context);
  if ('version' in box) return ok(`VirtualBox ${box.version}`);
  const virsh: Told = wanted === 'virtualbox' ? {} : await ask(context, ['virsh', '-c', 'qemu:///system', 'version']);
  if ('said' in virsh) return plugin(context, /libvirt (\d\S*)/.exec(virsh.said)?.[1] ?? '');
  const fix = virsh.why === undefined ? await installing('vagrant', context.local) : 'sudo systemctl start libvirtd';
  return missing('vagrant has neither VirtualBox nor a running libvirt', fix, box.why ?? virsh.why);
};

/** Its first lines may be warnings. */
async function virtualBox(context: Context): Promise<{ version: string } | { why?: string }> {
  const told = await ask(context, ['VBoxManage', '--version']);
  if (!('said' in told)) return told;
  const version = /^\d+\.\d+\.\S+$/m.exec(told.said)?.[0];
  return version === undefined ? { why: `VBoxManage says ${JSON.stringify(told.said.slice(0, 120))}` } : { version };
}

/** By the files in which it is entered: Vagrant itself would make its folder to tell. */
async function plugin({ local, settings }: Context, version: string): Promise<Finding> {
  const home = settings.env['VAGRANT_HOME'] ?? join(settings.env['HOME'] ?? '/', '.vagrant.d');
  const files = [join(home, 'plugins.json'), '/usr/share/vagrant-plugins/plugins.d/vagrant-libvirt.json'];
  const texts = await Promise.all(files.map(file => local.read(file)));
  if (texts.some(text => text?.includes('vagrant-libvirt'))) return ok(`libvirt ${version} with its plugin`);
  return warn(`libvirt ${version}, its plugin is not in ${files.join(' or ')}`, 'vagrant plugin list shows it');
}

/** Whether this processor can run guests, as far as it can be seen without starting one. */
const hardware: Look = async context => {
  const { local, settings } = context;
  if (settings.env['ORDERS_EMULATE'] === '1') return ok('not needed: ORDERS_EMULATE=1, about ten times slower');
  if (process.platform !== 'linux') return unknown('not looked at on this system');
  const fix = 'switch it on in the firmware; ORDERS_EMULATE=1 does without, on libvirt and slowly (SCALE=10)';
  if (!/^flags\s*:.*\b(vmx|svm)\b/m.test(await local.read('/proc/cpuinfo') ?? '') && process.arch === 'x64') {
    return missing('no hardware virtualisation: the processor has neither vmx nor svm', fix);
  }
  if (settings.env['VAGRANT_DEFAULT_PROVIDER'] === 'virtualbox' || 'version' in await virtualBox(context)) {
    return ok('the processor has it');
  }
  const code = codeOf(() => closeSync(openSync('/dev/kvm', 'r+')));
  if (code === undefined) return ok('/dev/kvm can be opened; no guest was started');
  if (code === 'EACCES') return ok('/dev/kvm is there, for the daemon of libvirt');
  return missing(`no hardware virtualisation: /dev/kvm cannot be used (${code})`, fix);
};

const engine: Look = async context => {
  const told = await ask(context, ['docker', 'version', '--format', '{{.Server.Version}}']);
  if ('said' in told && told.said !== '') return ok(`engine ${told.said}`);
  const why = 'said' in told ? 'docker names no version of it' : told.why;
  const isDenied = /permission denied/i.test(why ?? '');
  const install = await installing('docker', context.local);
  const fix = isDenied ? 'sudo usermod -aG docker "$USER", and log in again' : install;
  return missing('no Docker engine answers', fix, why ?? 'there is no docker command');
};

const compose: Look = async context => {
  const told = await ask(context, ['docker', 'compose', 'version', '--short']);
  const said = 'said' in told ? told.said : '';
  if (/^v?([2-9]|[1-9]\d+)\./.test(said)) return ok(`Compose ${said}`);
  const old = said === '' ? await ask(context, ['docker-compose', 'version', '--short']) : { said };
  const have = 'said' in old ? `${old.said.slice(0, 60)} is not v2` : 'why' in told ? told.why : undefined;
  return missing('docker has no Compose v2', await installing('docker', context.local), have);
};

const buildx: Look = async context => {
  const told = await ask(context, ['docker', 'buildx', 'version']);
  if ('said' in told) return ok(told.said.split(' ').slice(0, 2).join(' '));
  const fix = await installing('docker', context.local);
  return warn('no buildx, without which newer engines build no image', fix, told.why);
};

const setpriv: Look = async context => {
  if (process.platform !== 'linux') return missing('plain processes need Linux', 'another platform');
  const told = await ask(context, ['setpriv', '--version']);
  if ('said' in told) return ok(told.said);
  return missing('no setpriv', await installing('setpriv', context.local), told.why);
};

const postgres: Look = async context => {
  const { local, settings } = context;
  const fix = await installing('postgres', local);
  const found = await findPrograms({
    data: undefined, pgBin: settings.given.PG_BIN, local, scaled: settings.scaled, say: () => undefined,
  }).catch((error: Error) => error.message);
  if (typeof found === 'string') return missing('no PostgreSQL server programs', fix, found.split('. Install')[0]);
  const says = `PostgreSQL ${found.major}, ${found.postgres}`;
  return found.major >= LEAST_POSTGRES ? ok(says) : missing(`${says}: ${LEAST_POSTGRES} or later is needed`, fix);
};

/** Of what namespaces, bridges and mounts are made with. */
const root: Look = () => process.platform !== 'linux' ? missing('a swarm of engines needs Linux', 'another platform')
  : process.getuid?.() === 0 ? ok('root')
    : missing('not root, which engines of their own need', 'sudo make up PLATFORM=swarm');

const dockerd: Look = async context => {
  for (const program of ['dockerd', 'nsenter', 'ip']) {
    const told = await ask(context, [program, program === 'ip' ? '-V' : '--version']);
    if (!('said' in told)) return missing(`no ${program}`, await installing('swarm', context.local), told.why);
  }
  return ok('dockerd nsenter ip');
};

const looks: Record<PlatformName, Record<string, Look>> = {
  vagrant: { vagrant, provider, hardware }, docker: { engine, compose, buildx }, process: { setpriv, postgres },
  swarm: { root, engine, dockerd },
};

export function needsOf(of: PlatformName): Check[] {
  return Object.entries(looks[of]).map(([name, look]) => ({ of, name, look }));
}

/** What a platform lacks here; none when it can be used, as far as that can be seen without starting anything. */
export async function lacksOf(of: PlatformName, context: Context): Promise<Seen[]> {
  return (await see(needsOf(of), context)).filter(({ state }) => state === 'missing');
}

function codeOf(act: () => void): string | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}
