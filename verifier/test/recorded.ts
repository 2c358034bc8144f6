// Facts as they were recorded from a stack of containers that verify found sound.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ContainerFacts, SwarmFacts, Target } from '#infra/platform';

function read<F = ContainerFacts>(name: string): F {
  const text = readFileSync(fileURLToPath(new URL(`../../test/samples/${name}`, import.meta.url)), 'utf8');
  return JSON.parse(text) as F;
}

/** By engine 20.10. */
export const recorded = read('facts.json');
/** By engine 26.1, whose defaults are others. */
export const recordedBy26 = read('facts-26.json');
/** By three engines 20.10, of a swarm. */
export const recordedFleet = read<SwarmFacts>('facts-swarm.json');

/** Where it was reached. */
export function targetOf({ node, api }: ContainerFacts): Target {
  const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(api.published[0] ?? '') ?? [];
  return { node, host, port: Number(port) };
}
export const target = targetOf(recorded);

/** The same with something changed. */
export function changed(change: (facts: ContainerFacts) => void): ContainerFacts {
  const facts = structuredClone(recorded);
  change(facts);
  return facts;
}
