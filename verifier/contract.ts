// The contract of the service, bottom rung first. What "working" means stands here and nowhere else.
import { Broken, climb } from './ladder.ts';
import type { Rung, Stage } from './ladder.ts';
import { addressOf } from './options.ts';
import type { Expect, Target } from './options.ts';
import { probe } from './tcp.ts';

export type Contract = {
  expect: Expect;
  strict: boolean;
  scaled: (ms: number) => number;
  /** The file that remembers which orders this target has promised to keep. */
  ledger: string;
  /** What the platform tells about the target's containers, or why it tells nothing. */
  facts: () => Promise<{ facts: unknown } | { skip: string }>;
};

/** Climbs the whole contract for one target. Returns the name of the rung that broke, or null when all held. */
export function climbContract(stage: Stage, target: Target, contract: Contract): Promise<string | null> {
  return climb(stage, rungsOf(target, contract), { label: target.node, strict: contract.strict });
}

function rungsOf(target: Target, { scaled }: Contract): Rung[] {
  return [{ name: 'reachable', checks: [{ claim: 'TCP is accepted and held', run: async () => {
    const sight = await probe(target, scaled(2000));
    if (sight.state !== 'held') throw new Broken(`${addressOf(target)} reachable: wanted held, saw ${sight.state} after ${sight.ms} ms`);
  } }] }];
}
