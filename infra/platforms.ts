// The four platforms: how each is opened, and whether it can be used on this machine.
import type { Context } from './context.ts';
import { lacksOf } from './doctor/needs.ts';
import { openDocker } from './docker/platform.ts';
import { openProcess } from './process/platform.ts';
import { openVagrant } from './vagrant/platform.ts';
import { platformNames } from './platform.ts';
import type { Platform, PlatformName } from './platform.ts';
import { openSwarm } from './swarm/platform.ts';

/** Opens a platform; nothing is looked at or started yet. */
export function openPlatform(name: PlatformName, context: Context): Platform {
  const say = (line: string) => context.say(`${name}: ${line}`);
  return openers[name]({ ...context, say });
}

const openers: Record<PlatformName, (context: Context) => Platform> = {
  vagrant: openVagrant, docker: openDocker, process: openProcess, swarm: openSwarm,
};

const realThing = 'this is a rehearsal: the specified runtime needs Docker with Compose v2 (Debian, Ubuntu: '
  + 'sudo infra/engine install && sudo infra/engine start), then make destroy && make up';

/** The best that is usable on this machine; says which and why. Plain processes can always be tried. */
export async function bestPlatform(context: Context): Promise<PlatformName> {
  const reasons: string[] = [];
  for (const name of platformNames) {
    const [lack] = name === 'process' ? [] : await lacksOf(name, context);
    if (lack === undefined) {
      const others = reasons.map(reason => `${reason}; `).join('');
      context.say(`infra/control: platform ${name} (${others}PLATFORM= chooses another)`);
      if (name === 'process') context.say(`infra/control: ${realThing}`);
      return name;
    }
    reasons.push(lack.says);
  }
  return 'process';
}

/** Says what a platform that did not come up lacks here. */
export async function tellLacks(name: PlatformName, context: Context): Promise<void> {
  const lacks = (await lacksOf(name, context)).map(({ says }) => says);
  if (lacks.length === 0) return;
  context.say(`infra/control: ${name} cannot be used here (${lacks.join('; ')}); make doctor tells what is missing`);
}
