// What `up` remembers until `destroy`: the platform, the nodes that were asked for, and every address they had.
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readText, writeWhole } from './files.ts';
import { messageOf, platformNames } from './platform.ts';
import type { NodeState, PlatformName, Target } from './platform.ts';

/** `targets` are the addresses that `up` gave, also of nodes that are halted now. */
export type Memory = { platform: PlatformName; nodes: string[]; targets: Target[] };

/**
 * What is remembered in a state folder; undefined when nothing was started. Throws when it cannot be read, unless
 * somebody has said which platform it is.
 */
export async function readMemory(state: string, said?: PlatformName): Promise<Memory | undefined> {
  const text = (await readText(join(state, 'platform')))?.trim();
  if (text === undefined) return undefined;
  const platform = platformNames.find(name => name === text) ?? said;
  if (platform === undefined) {
    const way = `PLATFORM= one of ${platformNames.join(', ')} goes on`;
    throw new Error(`${join(state, 'platform')} names no platform: ${JSON.stringify(text)}; ${way}`);
  }
  const lines = ((await readText(join(state, 'nodes'))) ?? '').split('\n').filter(line => line !== '');
  const targets = lines.flatMap(line => {
    const [, node = '', host = '', port = ''] = /^(\S+) (\S+):(\d+)$/.exec(line) ?? [];
    return node === '' ? [] : [{ node, host, port: Number(port) }];
  });
  return { platform, nodes: [...new Set(lines.map(line => line.split(' ')[0] ?? ''))], targets };
}

/** Without any node left nothing is remembered. */
export async function writeMemory(state: string, { platform, nodes, targets }: Memory): Promise<void> {
  if (nodes.length === 0) {
    for (const name of ['platform', 'nodes']) await rm(join(state, name), { force: true });
    return;
  }
  await mkdir(state, { recursive: true });
  await remember(join(state, 'platform'), `${platform}\n`);
  const lines = nodes.flatMap(node => {
    const own = targets.filter(target => target.node === node);
    return own.length === 0 ? [node] : own.map(({ host, port }) => `${node} ${host}:${port}`);
  });
  await remember(join(state, 'nodes'), lines.map(line => `${line}\n`).join(''));
}

/** What is the same already is not written: a full disk, and a memory that needs no change, keep nobody from acting. */
async function remember(path: string, text: string): Promise<void> {
  if (await readText(path).catch(() => undefined) === text) return;
  try {
    await writeWhole({ path, text, mode: 0o644 });
  } catch (error) {
    throw new Error(`${path} cannot be written: ${messageOf(error)}`);
  }
}

/** `wanted`: it was asked for at `up`, and then it runs only if it is up as well. */
export type Judged = NodeState & { wanted: boolean };

export function judgeStates(
  states: readonly NodeState[], asked: readonly string[], up: readonly Target[],
): Judged[] {
  return states.map(({ node, line, runs }) => {
    const wanted = asked.includes(node);
    return { node, line, wanted, runs: runs && (!wanted || up.some(target => target.node === node)) };
  });
}
