// The nodes of vagrant/nodes.txt, the only place where an address is defined.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Misunderstood } from './platform.ts';
import type { Node } from './platform.ts';

/**
 * Every node, in the order of the file: the first lives on 127.0.0.1 where there are no VMs, the second on 127.0.0.2,
 * and so on.
 */
export function readNodes(root: string): Node[] {
  return linesOf(root).map((line, i) => {
    const [name = '', address = ''] = line.split(/\s+/);
    const good = /^[a-z][a-z0-9-]*$/.test(name) && address !== '';
    if (!good) throw new Error(`vagrant/nodes.txt: "${line}" is no node with an address`);
    return { name, address, local: `127.0.0.${i + 1}` };
  });
}

/** What all the machines take, in MiB: the last column, or `each`. */
export function readMemoryMb(root: string, each?: number): number {
  return linesOf(root).map(line => {
    const mb = each ?? Number(line.split(/\s+/)[3]);
    if (!(mb > 0)) throw new Error(`vagrant/nodes.txt: "${line}" says no memory in MiB`);
    return mb;
  }).reduce((sum, mb) => sum + mb, 0);
}

function linesOf(root: string): string[] {
  const text = readFileSync(join(root, 'vagrant/nodes.txt'), 'utf8');
  return text.split('\n').map(line => line.replace(/#.*/, '').trim()).filter(line => line !== '');
}

/** Those of the names (or `all`), each once, in the order of the file; an unknown one throws Misunderstood. */
export function pickNodes(all: readonly Node[], names: readonly string[] | 'all'): Node[] {
  if (names === 'all' || names.includes('all')) return [...all];
  const known = all.map(({ name }) => name);
  const unknown = names.filter(name => !known.includes(name));
  if (unknown.length > 0) {
    const which = unknown.join('", "');
    throw new Misunderstood(`no node "${which}" in vagrant/nodes.txt; known: ${known.join(', ')}, or all`);
  }
  return all.filter(({ name }) => names.includes(name));
}

/** The node of this name; an unknown one throws Misunderstood. */
export function pickNode(all: readonly Node[], name: string): Node {
  const [node] = pickNodes(all, [name]);
  if (node === undefined || node.name !== name) throw new Misunderstood(`one node is needed, not "${name}"`);
  return node;
}
