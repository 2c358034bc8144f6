// Climbs rungs in order; above a broken one nothing runs. node:test alone goes on after a failed step.
import type { Id } from '../results/point.ts';
import type { Registered, Stage } from '../results/registry.ts';

/**
 * `id` is what results go by, unique in its rung; `claim` is its sentence. `say` adds a comment line to the report.
 * A check is broken when `run` throws. `skip` gives the reason for not looking; as a function it is asked only when the
 * climb gets there.
 */
export type Check = {
  id: string;
  claim: string;
  skip?: string | (() => Promise<string | undefined>);
  run: (say: (line: string) => void) => Promise<void>;
};
/** The checks of one rung do not depend on each other: all of them run, one broken check breaks the rung. */
export type Rung = { name: string; checks: Check[] };
/**
 * `label` stands before each sentence, `id` has what is common to all. `strict` makes a skip for any reason but
 * a broken rung red. `blockedBy`: a rung that was broken before this climb began.
 */
export type Climb = { id: Id; label?: string; strict?: boolean; blockedBy?: string | null };

/** The sight that breaks a check, without a stack: it is a finding, not a bug of ours. */
export class Broken extends Error {
  constructor(message: string) {
    super(message);
    this.stack = '';
  }
}

/** Our own trouble (a ledger that cannot be written), which says nothing of the system. Thrown, it ends the climb. */
export class OwnTrouble extends Error {}

/** `127.0.0.1:8000 ready: wanted 503, saw 200`: at names target and rung. */
export function broken(at: string, wanted: string, saw: string): Broken {
  return new Broken(`${at}: wanted ${wanted}, saw ${saw}`);
}

/**
 * Points are named `LABEL RUNG: CLAIM`. Returns the name of the rung that broke, or null. A skip that `strict` does not
 * take is red, but blocks nothing: what was not looked at is not known to be broken.
 */
export async function climb(stage: Stage, rungs: readonly Rung[], climbing: Climb): Promise<string | null> {
  const { id, label = id.node, strict = false } = climbing;
  let blockedBy = climbing.blockedBy ?? null;
  for (const { name: rung, checks } of rungs) {
    let held = true;
    for (const { id: check, claim, skip, run } of checks) {
      const name = `${label}${label === '' ? '' : ' '}${rung}: ${claim}`;
      const registered = { id: { ...id, rung, check } };
      if (blockedBy !== null) {
        await stage.test(name, { ...registered, blockedBy, skip: `blocked by ${blockedBy}` }, async () => {});
        continue;
      }
      const reason = typeof skip === 'function' ? await skip() : skip;
      // An empty reason would be printed as a failure that readers take for a skip.
      if (!reason) {
        held = await holds(stage, name, registered, run) && held;
      } else if (!strict) {
        await stage.test(name, { ...registered, skip: reason }, async () => {});
      } else {
        await stage.test(name, registered, () => refuseToSkip(reason));
      }
    }
    if (!held) blockedBy ??= rung;
  }
  return blockedBy;
}

function refuseToSkip(reason: string): Promise<void> {
  return Promise.reject(new Broken(`not checked: ${reason} (STRICT=1 takes no skip)`));
}

// node:test tells nobody but its reporter whether a test held, and goes on whatever was thrown.
async function holds(stage: Stage, name: string, registered: Registered, run: Check['run']): Promise<boolean> {
  let held = false;
  let own: OwnTrouble | undefined;
  await stage.test(name, registered, async t => {
    try {
      await run(line => t.diagnostic(line));
      held = true;
    } catch (error) {
      if (error instanceof OwnTrouble) own = error;
      if (own === undefined || t.skip === undefined) throw error;
      t.skip(`could not be looked at: ${own.message}`);
    }
  });
  if (own !== undefined) throw own;
  return held;
}
