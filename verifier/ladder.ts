// Climbs rungs in order; above a broken one nothing runs. node:test alone goes on after a failed step.
import type { TestContext } from 'node:test';

/** `say` adds a comment line to the report. A check is broken when `run` throws. */
export type Check = { claim: string; skip?: string; run: (say: (line: string) => void) => Promise<void> };
/** The checks of one rung do not depend on each other: all of them run, one broken check breaks the rung. */
export type Rung = { name: string; checks: Check[] };
/** `{ test }` of node:test, or a TestContext. */
export type Stage = { test: (name: string, options: { skip?: string }, run: (t: Stage & Pick<TestContext, 'diagnostic'>) => Promise<void>) => Promise<void> };
/** `label` stands before each point's name; `strict` makes a skip for any reason but a broken rung red. */
export type Climb = { label?: string; strict?: boolean };

/** The sight that breaks a check, without a stack: it is a finding, not a bug of ours. */
export class Broken extends Error {
  constructor(message: string) {
    super(message);
    this.stack = '';
  }
}

/** Points are named `LABEL RUNG: CLAIM`. Returns the name of the rung that broke, or null when all held. */
export async function climb(stage: Stage, rungs: Rung[], { label = '', strict = false }: Climb = {}): Promise<string | null> {
  let broken: string | null = null;
  for (const rung of rungs) {
    const below = broken;
    for (const check of rung.checks) {
      const name = `${label}${label && ' '}${rung.name}: ${check.claim}`;
      // An empty reason would be printed as a failure that readers take for a skip.
      const skip = below !== null ? `blocked by ${below}` : strict ? '' : check.skip;
      if (skip) {
        await stage.test(name, { skip }, async () => {});
        continue;
      }
      await stage.test(name, {}, async t => {
        try {
          if (check.skip) throw new Broken(`not checked: ${check.skip} (STRICT=1 takes no skip)`);
          await check.run(line => t.diagnostic(line));
        } catch (error) {
          broken ??= rung.name;
          throw error;
        }
      });
    }
  }
  return broken;
}
