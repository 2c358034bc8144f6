// The rung `contained`: the rules held against what the platform tells.
import { neverRestarted, rules, standIns } from './contained.ts';
import type { Facts, FactsLook, Finding, Rule } from './contained.ts';
import { broken } from './ladder.ts';
import type { Check } from './ladder.ts';
import type { Expect, Target } from './options.ts';
import { probe } from './tcp.ts';

/** `at` names target and rung; `facts` is asked when the climb gets here, and once more at the end. */
export type Containment = {
  at: string; target: Target; expect: Expect; scaled: (ms: number) => number; facts: () => Promise<FactsLook>;
};
type Say = (line: string) => void;

export function containment(containment: Containment): Check[] {
  const { at, target, expect } = containment;
  let first: Promise<FactsLook> | undefined;
  const look = () => (first ??= lookOnce(containment));
  const check = (claim: string, needs: Rule['needs'], run: (facts: Facts, say: Say) => Promise<void> | void): Check => ({
    claim,
    skip: async () => reasonToSkip(await look(), needs, expect),
    run: async say => run(factsIn(await look(), at), say),
  });
  return [
    ...rules.map(({ claim, needs, judge }) => check(claim, needs, facts => hold(at, judge(facts, target)))),
    check('the database does not answer where the service was reached', 'db', (facts, say) => databaseIsClosed(containment, facts, say)),
    check('neither container restarts', 'db', async (before, say) => {
      const after = factsIn(await lookOnce(containment), at);
      for (const needs of ['api', 'db'] as const) hold(`${at} (${needs})`, neverRestarted(before[needs], after[needs]));
      for (const line of standIns(before)) say(`${at}: ${line}`);
    }),
  ];
}

async function lookOnce({ facts }: Containment): Promise<FactsLook> {
  try {
    return await facts();
  } catch (error) {
    return { trouble: error instanceof Error ? error.message : String(error) };
  }
}

// A database that is away on purpose has no process to look at: that is not looked at, neither good nor bad.
function reasonToSkip(seen: FactsLook, needs: Rule['needs'], expect: Expect): string | undefined {
  if ('skip' in seen) return seen.skip;
  if (!('facts' in seen) || expect === 'ready' || needs === 'api') return undefined;
  const { state } = seen.facts.db;
  return state === 'running' ? undefined : `the database is ${String(state)}`;
}

function factsIn(seen: FactsLook, at: string): Facts {
  if ('facts' in seen) return seen.facts;
  throw broken(at, 'facts', 'trouble' in seen ? seen.trouble : seen.skip);
}

async function databaseIsClosed({ at, target, scaled }: Containment, { db }: Facts, say: Say): Promise<void> {
  const door = { host: target.host, port: typeof db['port'] === 'number' ? db['port'] : 5432 };
  const { state, ms } = await probe(door, scaled(1_000));
  if (state !== 'held') return;
  // On a loopback address the port may be another program's; that ours is published nowhere was checked above.
  if (!/^(127\.|::1$|localhost$)/.test(door.host)) throw broken(at, `${door.host}:${door.port} closed`, `held after ${ms} ms`);
  say(`${at}: ${door.host}:${door.port} is held by another program`);
}

function hold(at: string, finding: Finding): void {
  if (finding) throw broken(at, finding.wanted, finding.saw);
}
