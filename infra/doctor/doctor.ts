// What this host can run: every check, by platform, and which platform `up` would take. Looks only.
import type { Context } from '../context.ts';
import type { Memory } from '../memory.ts';
import { messageOf, platformNames } from '../platform.ts';
import type { PlatformName, Target } from '../platform.ts';
import { see, tellFinding, unknown } from './finding.ts';
import type { Seen } from './finding.ts';
import { hostChecks } from './host.ts';
import { needsOf } from './needs.ts';
import { networkChecks } from './network.ts';

export type Report = {
  usable: Record<PlatformName, boolean>;
  /** What `up` would take, and why. */
  takes: { platform: PlatformName; why: string };
  /** Whether that can be used. */
  good: boolean;
  checks: Seen[];
};
/** What is remembered; both may throw, for a state folder that cannot be read. */
export type Remembered = { memory: () => Promise<Memory | undefined>; targets: () => Promise<Target[]> };

export async function examine(context: Context, { memory, targets }: Remembered): Promise<Report> {
  const remembered = await memory().catch((error: unknown) => messageOf(error));
  const checks = await see([...hostChecks, ...platformNames.flatMap(needsOf), ...networkChecks(targets)], context);
  const lacks = (name: PlatformName) => checks.filter(({ of, state }) => of === name && state === 'missing');
  const usable = Object.fromEntries(platformNames.map(name => [name, lacks(name).length === 0])) as Report['usable'];
  const best = platformNames.find(name => usable[name]) ?? 'process';
  const reasons = platformNames.slice(0, platformNames.indexOf(best)).map(name => lacks(name)[0]?.says ?? '');
  const { settings } = context;
  const known = typeof remembered === 'string' ? undefined : remembered?.platform;
  const takes = settings.platform !== undefined ? { platform: settings.platform, why: 'PLATFORM says so' }
    : known !== undefined ? { platform: known, why: 'remembered since make up' }
      : { platform: best, why: reasons.join('; ') || 'the best there is' };
  const first: Seen[] = typeof remembered !== 'string' ? [] : [
    { of: 'host', name: 'memory of up', ...unknown(remembered) },
  ];
  const sorted = (['host', ...platformNames] as const).flatMap(name => checks.filter(({ of }) => of === name));
  const good = usable[takes.platform];
  return { usable, takes, good, checks: [...first, ...sorted] };
}

/** A line for each check, one for each platform, and what `up` would take. */
export function linesOf({ usable, takes, checks }: Report): string[] {
  const width = Math.max(...checks.map(({ name }) => name.length));
  return [
    ...checks.map(check =>
      `${check.state.padEnd(7)}  ${check.of.padEnd(7)}  ${check.name.padEnd(width)}  ${tellFinding(check)}`),
    ...platformNames.map(name => `${name} ${usable[name] ? 'can be used' : 'cannot be used'}`),
    `make up takes ${takes.platform} (${takes.why})`,
  ];
}
