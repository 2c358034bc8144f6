// Climbs rungs in order; above a broken one nothing runs. node:test alone goes on after a failed step.
import type { TestContext } from 'node:test';

/**
 * `say` adds a comment line to the report. A check is broken when `run` throws. `skip` gives the reason for not looking;
 * as a function it is asked only when the climb gets there.
 */
export type Check = { claim: string; skip?: string | (() => Promise<string | undefined>); run: (say: (line: string) => void) => Promise<void> };
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

/** `127.0.0.1:8000 ready: wanted 503, saw 200`: at names target and rung. */
export function broken(at: string, wanted: string, saw: string): Broken {
  return new Broken(`${at}: wanted ${wanted}, saw ${saw}`);
}

/** Points are named `LABEL RUNG: CLAIM`. Returns the name of the rung that broke, or null when all held. */
export async function climb(stage: Stage, rungs: Rung[], { label = '', strict = false }: Climb = {}): Promise<string | null> {
  let brokenRung: string | null = null;
  for (const rung of rungs) {
    let held = true;
    for (const check of rung.checks) {
      const name = `${label}${label && ' '}${rung.name}: ${check.claim}`;
      const reason = brokenRung === null ? await reasonOf(check) : `blocked by ${brokenRung}`;
      // An empty reason would be printed as a failure that readers take for a skip.
      if (reason && (brokenRung !== null || !strict)) await stage.test(name, { skip: reason }, async () => {});
      else held = await holds(stage, name, reason ? { ...check, run: refuseToSkip(reason) } : check) && held;
    }
    if (!held) brokenRung ??= rung.name;
  }
  return brokenRung;
}

async function reasonOf({ skip }: Check): Promise<string | undefined> {
  return typeof skip === 'function' ? skip() : skip;
}

function refuseToSkip(reason: string): Check['run'] {
  return () => Promise.reject(new Broken(`not checked: ${reason} (STRICT=1 takes no skip)`));
}

// node:test tells nobody but its reporter whether a test held.
async function holds(stage: Stage, name: string, check: Check): Promise<boolean> {
  let held = false;
  await stage.test(name, {}, async t => {
    await check.run(line => t.diagnostic(line));
    held = true;
  });
  return held;
}
