// Where the swarm of a state folder lives on this machine: names and addresses that no other state folder has.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Node } from '../platform.ts';

/** `link` is this machine's end of the cable to a node; `group` holds the processes of its containers. */
export type Place = { node: Node; address: string; link: string; folder: string; group: string };
export type Places = { bridge: string; gateway: string; subnet: string; places: Place[] };

/** Where the service is published on every node's own address: the addresses are the swarm's, so the port may be. */
export const PORT = 8000;

/**
 * 198.18.0.0/15 is set aside for tests of devices (RFC 2544) and routed nowhere: each state folder has one of its 512
 * networks. The names of devices may have 15 letters.
 */
export function placesOf(state: string, nodes: readonly Node[]): Places {
  const hash = createHash('sha256').update(state).digest();
  const id = hash.toString('hex').slice(0, 8);
  const prefix = `198.${18 + ((hash[8] ?? 0) & 1)}.${hash[9] ?? 0}`;
  return {
    bridge: `orders-${id}`, gateway: `${prefix}.1`, subnet: `${prefix}.0/24`,
    places: nodes.map((node, i) => ({
      node, address: `${prefix}.${10 + i}`, link: `o-${id}-${i}`,
      folder: join(state, 'swarm', node.name), group: `orders-${id}-${node.name}`,
    })),
  };
}
