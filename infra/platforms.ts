// The three platforms: how each is opened, and whether it can be used on this machine.
import type { Context } from './context.ts';
import { openDocker } from './docker/platform.ts';
import { openProcess } from './process/platform.ts';
import { openVagrant } from './vagrant/platform.ts';
import { platformNames } from './platform.ts';
import type { Platform, PlatformName } from './platform.ts';

/** Opens a platform; nothing is looked at or started yet. */
export function openPlatform(name: PlatformName, context: Context): Platform {
  const say = (line: string) => context.say(`${name}: ${line}`);
  return openers[name]({ ...context, say });
}

const openers: Record<PlatformName, (context: Context) => Platform> = {
  vagrant: openVagrant, docker: openDocker, process: openProcess,
};

const realThing = 'this is a rehearsal: the specified runtime needs Docker with Compose v2 (Debian, Ubuntu: '
  + 'sudo infra/engine install && sudo infra/engine start), then make destroy && make up';

/** The best that is usable on this machine; says which and why. */
export async function bestPlatform(context: Context): Promise<PlatformName> {
  const reasons: string[] = [];
  for (const name of platformNames) {
    const why = await whyUnusable(name, context);
    if (why === undefined) {
      const others = reasons.map(reason => `${reason}; `).join('');
      context.say(`infra/control: platform ${name} (${others}PLATFORM= chooses another)`);
      if (name === 'process') context.say(`infra/control: ${realThing}`);
      return name;
    }
    reasons.push(why);
  }
  return 'process';
}

/** Why a platform cannot be used here, or undefined. Plain processes can always be tried. */
async function whyUnusable(name: PlatformName, { local, settings }: Context): Promise<string | undefined> {
  const deadlineMs = settings.scaled(20_000);
  const works = async (...argv: string[]) => (await local.run(argv, { deadlineMs })).code === 0;
  if (name === 'vagrant') {
    if (!await works('vagrant', '--version')) return 'no vagrant';
    const provider = await works('VBoxManage', '--version') || await works('virsh', '-c', 'qemu:///system', 'version');
    return provider ? undefined : 'vagrant has neither VirtualBox nor a running libvirt';
  }
  if (name === 'docker') {
    if (!await works('docker', 'version', '--format', '{{.Server.Version}}')) return 'no Docker engine answers';
    return await works('docker', 'compose', 'version') ? undefined : 'docker has no Compose v2';
  }
  return undefined;
}
