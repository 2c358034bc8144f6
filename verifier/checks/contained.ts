// The rung `contained`: what the facts about the two containers must say. Every rule is a pure function.
import type { Box, ContainerFacts, Facts, Outcome, Target } from '#infra/platform';
import { addressOf } from '../client/address.ts';
import { probe } from '../client/tcp.ts';
import type { Expect } from '../options.ts';
import { broken } from './climb.ts';
import type { Check } from './climb.ts';

/**
 * `at` names target and rung. `facts` is asked when the climb gets here, and once more at the end: `impossible` is
 * a skip with its reason, `failed` is red.
 */
export type Contained = {
  at: string; target: Target; expect: Expect; scaled: (ms: number) => number; facts: () => Promise<Outcome<Facts>>;
};
/** null: it holds. */
export type Finding = { wanted: string; saw: string } | null;
type Which = 'api' | 'db';
export type Rule = {
  id: string;
  claim: string;
  needs: Which;
  judge: (facts: ContainerFacts, target: Pick<Target, 'host' | 'port'>) => Finding;
};
type Say = (line: string) => void;

/** The checks of this rung. */
export function boxesAreContained(contained: Contained): Check[] {
  const { at, target, expect } = contained;
  let first: Promise<Outcome<Facts>> | undefined;
  const look = () => (first ??= lookOnce(contained));
  type Run = (facts: ContainerFacts, say: Say) => Promise<void> | void;
  const check = (id: string, claim: string, needs: Which, run: Run): Check => ({
    id,
    claim,
    skip: async () => reasonToSkip(await look(), needs, expect),
    run: async say => run(factsIn(await look(), at), say),
  });
  return [
    ...rules.map(({ id, claim, needs, judge }) => check(id, claim, needs, facts => hold(at, judge(facts, target)))),
    check('db-closed', 'the database does not answer where the service was reached', 'db', (facts, say) =>
      databaseIsClosed(contained, facts, say)),
    check('no-restart', 'neither container restarts', 'db', async (before, say) => {
      const after = factsIn(await lookOnce(contained), at);
      for (const which of ['api', 'db'] as const) hold(`${at} (${which})`, neverRestarted(before[which], after[which]));
      for (const line of standIns(before)) say(`${at}: ${line}`);
    }),
  ];
}

export const rules: Rule[] = [
  { id: 'api-listening', claim: 'the api listens on 0.0.0.0 inside', needs: 'api',
    judge: ({ api }) => listensEverywhere(api) },
  { id: 'api-published', claim: 'the api is published where it was reached, and nowhere else', needs: 'api',
    judge: ({ api }, target) => isPublished(api, [addressOf(target)]) },
  { id: 'db-published', claim: 'the database is published nowhere', needs: 'db',
    judge: ({ db }) => isPublished(db, []) },
  ...(['api', 'db'] as const).flatMap(boxRules),
];

/** A restart between two looks is a crash loop, whatever the count was before. */
export function neverRestarted(before: Box, after: Box): Finding {
  const tell = (box: Box) => `state ${box.state}, restart ${box.restart_count}, since ${box.started_at}`;
  const steady = before.restart_count === after.restart_count && before.started_at === after.started_at;
  if (steady && after.state === 'running') return null;
  return { wanted: `state running and no restart, as before: ${tell(before)}`, saw: tell(after) };
}

/** What runs on a node; undefined is what was not seen. */
export type Build = { node: string; image: string | undefined; commit: string | undefined };

/** One image and one commit everywhere; a platform without images is held to the commit. Not seen is never equal. */
export function sameEverywhere(nodes: readonly Build[]): Finding {
  const wanted = 'one image and one commit on every node';
  const seen = nodes.every(({ image, commit }) => image !== undefined && commit !== undefined);
  if (seen && new Set(nodes.map(({ image, commit }) => `${image} ${commit}`)).size === 1) return null;
  const tell = ({ node, image = 'image not seen', commit = 'commit not seen' }: Build) => `${node}: ${image} ${commit}`;
  return { wanted, saw: nodes.map(tell).join(', ') };
}

/** Not red, but worth a line: a base image built here in place of the pinned one. */
export function standIns({ api, db }: ContainerFacts): string[] {
  const bases = [api, db].map(({ base }) => base).filter(base => base.stand_in);
  return bases.map(({ name, made_of }) => `base ${name} is a stand-in, made of ${made_of || 'something unknown'}`);
}

function boxRules(needs: Which): Rule[] {
  const who = needs === 'api' ? 'the api' : 'the database';
  const rule = (id: string, claim: string, judge: (box: Box) => Finding): Rule => ({
    id: `${needs}-${id}`, claim: `${who} ${claim}`, needs, judge: facts => judge(facts[needs]),
  });
  return [
    rule('user', 'runs as an ordinary user', isOrdinaryUser),
    rule('root', 'has a read-only root', ({ read_only }) => isTrue('read_only', read_only)),
    rule('capabilities', 'has no capability', hasNoCapability),
    rule('privileges', 'can gain no new privileges', box => isTrue('no_new_privileges', box.no_new_privileges)),
    rule('base', 'is built on a base pinned by digest', isPinned),
  ];
}

function listensEverywhere({ listening }: Box): Finding {
  const own = listening?.filter(isOwnAddress) ?? [];
  if (own.length > 0 && own.every(address => address.startsWith('0.0.0.0:'))) return null;
  return { wanted: 'listening on 0.0.0.0', saw: show(listening) };
}

// Docker's own name server listens on 127.0.0.11 in every container.
function isOwnAddress(address: string): boolean {
  return !address.startsWith('127.0.0.11:');
}

function isPublished({ published }: Box, wanted: string[]): Finding {
  if (published.length === wanted.length && wanted.every(address => published.includes(address))) return null;
  return { wanted: `published ${show(wanted)}`, saw: show(published) };
}

function isTrue(field: string, value: boolean | null): Finding {
  return value === true ? null : { wanted: `${field} true`, saw: show(value) };
}

function isOrdinaryUser({ user, uid }: Box): Finding {
  if (user !== '' && !/^(root|0)(:|$)/.test(user) && uid !== null && uid > 0) return null;
  const wanted = 'a user that is not root, by configuration and in fact';
  return { wanted, saw: `user ${show(user)}, uid ${show(uid)}` };
}

// What a process has now is no proof: an ordinary user has none even in a privileged container, whose bound is full.
function hasNoCapability({ cap_eff, cap_bnd, cap_add, privileged }: Box): Finding {
  const none = [cap_eff, cap_bnd].every(set => set !== null && /^0+$/.test(set));
  if (none && cap_add.length === 0 && !privileged) return null;
  return {
    wanted: 'cap_eff and cap_bnd 0, nothing added, not privileged',
    saw: `cap_eff ${show(cap_eff)}, cap_bnd ${show(cap_bnd)}, cap_add ${show(cap_add)}, privileged ${privileged}`,
  };
}

function isPinned({ base: { name, digest } }: Box): Finding {
  if (name !== '' && /^sha256:[0-9a-f]{64}$/.test(digest)) return null;
  return { wanted: 'a base with its sha256 digest', saw: `base ${show(name)}, digest ${show(digest)}` };
}

async function lookOnce({ facts }: Contained): Promise<Outcome<Facts>> {
  try {
    return await facts();
  } catch (error) {
    return { failed: error instanceof Error ? error.message : String(error) };
  }
}

// A database that is away on purpose has no process to look at: that is not looked at, neither good nor bad.
function reasonToSkip(seen: Outcome<Facts>, needs: Which, expect: Expect): string | undefined {
  if ('impossible' in seen) return seen.impossible;
  if ('failed' in seen) return undefined;
  if (!seen.done.containers) return seen.done.reason;
  const { state } = seen.done.db;
  return expect === 'ready' || needs === 'api' || state === 'running' ? undefined : `the database is ${state}`;
}

function factsIn(seen: Outcome<Facts>, at: string): ContainerFacts {
  if ('done' in seen && seen.done.containers) return seen.done;
  const saw = 'failed' in seen ? seen.failed : 'impossible' in seen ? seen.impossible : 'nothing that contains it';
  throw broken(at, 'facts', saw);
}

async function databaseIsClosed({ at, target, scaled }: Contained, { db }: ContainerFacts, say: Say): Promise<void> {
  const port = Number(db.listening?.find(isOwnAddress)?.split(':').at(-1) ?? 5432);
  const { state, ms } = await probe({ host: target.host, port }, scaled(1_000));
  if (state !== 'held') return;
  const door = addressOf({ host: target.host, port });
  // On a loopback address the port may be another program's; that ours is published nowhere was checked above.
  if (!/^(127\.|::1$|localhost$)/.test(target.host)) throw broken(at, `${door} closed`, `held after ${ms} ms`);
  say(`${at}: ${door} is held by another program`);
}

function hold(at: string, finding: Finding): void {
  if (finding !== null) throw broken(at, finding.wanted, finding.saw);
}

function show(value: unknown): string {
  return value === undefined || value === null ? 'not seen' : JSON.stringify(value);
}
