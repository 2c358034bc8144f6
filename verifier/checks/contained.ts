// The rungs `listening`, `published` and `contained`: what the platform tells of the containers, held to the rules.
import type { ContainerFacts, Facts, Outcome, SwarmFacts, Target } from '#infra/platform';
import { addressOf } from '../client/address.ts';
import { probe } from '../client/tcp.ts';
import type { Expect } from '../options.ts';
import { broken } from './climb.ts';
import type { Check } from './climb.ts';
import { isOwnAddress, neverRestarted, rules, standIn } from './container-rules.ts';
import type { BoxRung, Finding, Rule } from './container-rules.ts';
import { fleetRules, reachDatabase, sameTasks } from './fleet-rules.ts';

/**
 * `at` names target and rung. `facts` is asked when the climb gets here, and once more at the end: `impossible` is
 * a skip with its reason, `failed` is red. `standIns`: bases that were built here are what was asked for.
 */
export type Contained = {
  at: (rung: BoxRung) => string;
  target: Target;
  expect: Expect;
  standIns: boolean;
  /** The facts are of a fleet, and so are the claims. */
  fleet: boolean;
  scaled: (ms: number) => number;
  facts: () => Promise<Outcome<Facts>>;
};
type Say = (line: string) => void;
/** `skip` is asked where there is something to look at; `fleet` is the same of every task of a fleet. */
type Look = Pick<Rule, 'rung' | 'id' | 'claim' | 'needs'> & Act<ContainerFacts> & {
  fleet: { claim: string } & Act<SwarmFacts>;
};
type Act<F> = {
  skip?: (facts: F) => string | undefined;
  run: (facts: F, say: Say) => Promise<void> | void;
};

/** The checks of these rungs; they share the first look, which is handed on. */
export function boxChecks(contained: Contained): Record<BoxRung, Check[]> & { look: () => Promise<Outcome<Facts>> } {
  const { at, expect, fleet: isFleet } = contained;
  let first: Promise<Outcome<Facts>> | undefined;
  const look = () => (first ??= lookOnce(contained));
  const check = ({ rung, id, claim, needs, skip, run, fleet }: Look): Check => ({
    id,
    claim: isFleet ? fleet.claim : claim,
    skip: async () => {
      const seen = await look();
      const reason = reasonToSkip(seen, needs, expect);
      if (reason !== undefined || !('done' in seen)) return reason;
      if (seen.done.containers === 'tasks') return fleet.skip?.(seen.done);
      return seen.done.containers ? skip?.(seen.done) : undefined;
    },
    run: async say => {
      const seen = await look();
      return isFleet ? fleet.run(fleetIn(seen, at(rung)), say) : run(factsIn(seen, at(rung)), say);
    },
  });
  const looks = [...rules.map(rule => ruled(rule, contained)), ...acts(contained)];
  const of = (rung: BoxRung) => looks.filter(one => one.rung === rung).map(check);
  return { look, listening: of('listening'), published: of('published'), contained: of('contained') };
}

function ruled({ judge, ...rule }: Rule, contained: Contained): Look {
  const { at, target, standIns } = contained;
  const run: Look['run'] = facts => hold(at(rule.rung), judge(facts, target));
  const fleet = ruledOfFleet(rule, contained);
  const [, which] = /^(api|db)-base$/.exec(rule.id) ?? [];
  if (which !== 'api' && which !== 'db') return { ...rule, run, fleet };
  return {
    ...rule, fleet,
    // one that is not even pinned is red, whatever it stands in for
    skip: facts => standIns || judge(facts, target) !== null ? undefined : standIn(facts[which]),
    run: async (facts, say) => {
      await run(facts, say);
      const told = standIn(facts[which]);
      if (told !== undefined) say(`${at(rule.rung)}: ${told}, as asked for`);
    },
  };
}

/** Every rule has its form for a fleet: one that has none is a fault of ours, not a pass. */
function ruledOfFleet({ id, rung }: Pick<Rule, 'id' | 'rung'>, { at, target, standIns }: Contained): Look['fleet'] {
  const rule = fleetRules[id];
  if (rule === undefined) throw new Error(`no rule ${id} for a fleet`);
  const { claim, judge, standIn: told = () => undefined } = rule;
  return {
    claim,
    skip: facts => standIns || judge(facts, target) !== null ? undefined : told(facts),
    run: (facts, say) => {
      hold(at(rung), judge(facts, target));
      const what = told(facts);
      if (what !== undefined) say(`${at(rung)}: ${what}, as asked for`);
    },
  };
}

/** The checks that do more than look at the facts. */
function acts(contained: Contained): Look[] {
  const { at, expect } = contained;
  return [
    { rung: 'published', id: 'db-closed', claim: 'the database does not answer where the service was reached',
      needs: 'db', run: ({ db }, say) => databaseIsClosed(contained, db.listening, say),
      fleet: { claim: 'the database does not answer where the service was reached',
        run: (_, say) => databaseIsClosed(contained, null, say) } },
    { rung: 'published', id: 'db-reached', claim: 'the api reaches db:5432 from inside its container', needs: 'api',
      skip: ({ api, db }) => {
        if (expect === 'unready') return mayBeAway;
        if (!['running', 'paused'].includes(db.state)) return `the database is ${db.state}`;
        return api.state === 'paused' ? 'nothing can be run in a paused container' : undefined;
      },
      fleet: { claim: 'each replica reaches db:5432 from inside its container',
        skip: () => expect === 'unready' ? mayBeAway : undefined,
        run: facts => hold(at('published'), reachDatabase(facts, contained.target)) },
      run: ({ stack }) => {
        if (stack.way_to_database === 'connected') return;
        throw broken(at('published'), 'db:5432 connected', stack.way_to_database ?? 'nothing that could be run there');
      } },
    { rung: 'contained', id: 'no-restart', claim: 'neither container restarts', needs: 'db', run: async before => {
      const where = at('contained');
      const after = factsIn(await lookOnce(contained), where);
      for (const one of ['api', 'db'] as const) hold(`${where} (${one})`, neverRestarted(before[one], after[one]));
    }, fleet: { claim: 'no task is replaced, restarts or stands still', run: async before => {
      const where = at('contained');
      hold(where, sameTasks(before, fleetIn(await lookOnce(contained), where)));
    } } },
  ];
}

const mayBeAway = 'the database may be out of reach: EXPECT=unready';

async function lookOnce({ facts }: Contained): Promise<Outcome<Facts>> {
  try {
    return await facts();
  } catch (error) {
    return { failed: error instanceof Error ? error.message : String(error) };
  }
}

// A database that is away on purpose has no process to look at: that is not looked at, neither good nor bad.
function reasonToSkip(seen: Outcome<Facts>, needs: Rule['needs'], expect: Expect): string | undefined {
  if ('impossible' in seen) return seen.impossible;
  if ('failed' in seen) return undefined;
  if (!seen.done.containers) return seen.done.reason;
  const { db: { state }, durability } = seen.done;
  if (expect === 'ready' || needs === 'api') return undefined;
  if (state !== 'running') return `the database is ${state}`;
  return needs === 'answer' && durability === null ? 'the database does not answer' : undefined;
}

function factsIn(seen: Outcome<Facts>, at: string): ContainerFacts {
  if ('done' in seen && seen.done.containers === true) return seen.done;
  throw broken(at, 'facts', tellOther(seen));
}

function fleetIn(seen: Outcome<Facts>, at: string): SwarmFacts {
  if ('done' in seen && seen.done.containers === 'tasks') return seen.done;
  throw broken(at, 'facts of a fleet', tellOther(seen));
}

function tellOther(seen: Outcome<Facts>): string {
  if ('failed' in seen) return seen.failed;
  return 'impossible' in seen ? seen.impossible : 'nothing that contains it';
}

async function databaseIsClosed(
  { at, target, scaled }: Contained, listening: readonly string[] | null, say: Say,
): Promise<void> {
  const port = Number(listening?.find(isOwnAddress)?.split(':').at(-1) ?? 5432);
  const { state, ms } = await probe({ host: target.host, port }, scaled(1_000));
  if (state !== 'held') return;
  const door = addressOf({ host: target.host, port });
  // On a loopback address the port may be another program's; that ours is published nowhere was checked above.
  const where = at('published');
  if (!/^(127\.|::1$|localhost$)/.test(target.host)) throw broken(where, `${door} closed`, `held after ${ms} ms`);
  say(`${where}: ${door} is held by another program`);
}

function hold(at: string, finding: Finding): void {
  if (finding !== null) throw broken(at, finding.wanted, finding.saw);
}
