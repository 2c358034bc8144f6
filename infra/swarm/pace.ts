// Times of the stack that a slow machine has to have wider: they follow SCALE, up to five times.
import { join } from 'node:path';
import type { Context } from '../context.ts';

/** An emulated processor is ten times slower and more, but what it waits for (a disk, a network) is not. */
const MOST = 5;

/** A whole number; with SCALE=1 the files are what they are. */
export function paceOf(scale: number): number {
  return Math.min(MOST, Math.max(1, Math.floor(scale)));
}

/** In lines that say so, each time is multiplied: `inter 200ms`, `ttl: 20`, `ETCD_ELECTION_TIMEOUT: "2000"`. */
export function paced(text: string, by: number): string {
  const times = (number: string) => String(Number(number) * by);
  return text.replace(/^.*# follows SCALE$/gm, line => line.replace(/\d+(?=m?s\b)|(?<=: "?)\d+(?="? +#)/g, times));
}

/** The files of the stack as they are deployed, the stack's own first; gives their paths. */
export async function writePaced({ local, settings }: Context): Promise<string[]> {
  const files = await Promise.all(['stack.yml', 'cluster.yml', 'patroni.yml', 'haproxy.cfg'].map(async name => ({
    path: join(settings.state, 'swarm', 'stack', name),
    text: paced(await local.read(join(settings.infra, 'swarm', name)) ?? '', paceOf(settings.scale)),
  })));
  await local.write(files);
  return files.map(({ path }) => path);
}
