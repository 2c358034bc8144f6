// The rules of the rung `contained`: what facts must say about the two containers. Every rule is a pure function.
import type { Target } from './options.ts';
import { addressOf } from './options.ts';

/** What is told about one container; each rule reads what it needs and takes nothing missing for good. */
export type Box = Record<string, unknown>;
export type Facts = { node: string; api: Box; db: Box };
/** What the platform tells: facts, why it has none, or what went wrong. */
export type FactsLook = { facts: Facts } | { skip: string } | { trouble: string };
/** null: it holds. */
export type Finding = { wanted: string; saw: string } | null;
export type Rule = { claim: string; needs: 'api' | 'db'; judge: (facts: Facts, target: Pick<Target, 'host' | 'port'>) => Finding };

/** What `control facts` told, one line a node; of several lines the one of this node. */
export function parseFacts(text: string, node?: string): FactsLook {
  const lines = text.split('\n').map(parsed).filter(isBox);
  const told = node === undefined ? lines[0] : lines.find(line => line['node'] === node);
  if (!told) return { trouble: `no facts${node ? ` of ${node}` : ''} in ${show(text.slice(0, 80))}` };
  const { api, db, containers, reason } = told;
  if (containers === false) return { skip: typeof reason === 'string' && reason ? reason : 'nothing contains it on this platform' };
  if (!isBox(api) || !isBox(db)) return { trouble: `facts without api and db: ${show(told).slice(0, 80)}` };
  return { facts: { node: String(told['node']), api, db } };
}

export const rules: Rule[] = [
  { claim: 'the api listens on 0.0.0.0 inside', needs: 'api', judge: ({ api }) => listensEverywhere(api) },
  { claim: 'the api is published where it was reached, and nowhere else', needs: 'api',
    judge: ({ api }, target) => isExactly(api, 'published', [addressOf(target)]) },
  { claim: 'the database is published nowhere', needs: 'db', judge: ({ db }) => isExactly(db, 'published', []) },
  ...(['api', 'db'] as const).flatMap(boxRules),
];

/** A restart between two looks is a crash loop, whatever the count was before. */
export function neverRestarted(before: Box, after: Box): Finding {
  const tell = (box: Box) => `state ${show(box['state'])}, restart ${show(box['restart_count'])}, since ${show(box['started_at'])}`;
  const steady = before['restart_count'] === after['restart_count'] && before['started_at'] === after['started_at'];
  if (steady && after['state'] === 'running' && typeof after['restart_count'] === 'number') return null;
  return { wanted: `state "running" and no restart, as before: ${tell(before)}`, saw: tell(after) };
}

/** One image and one commit on every node; a platform without images is held to the commit. */
export function sameEverywhere(nodes: { node: string; image: string; commit: string }[]): Finding {
  const kinds = new Set(nodes.map(({ image, commit }) => `${image} ${commit}`));
  if (kinds.size === 1) return null;
  return { wanted: 'one image and one commit on every node', saw: nodes.map(({ node, image, commit }) => `${node}: ${image} ${commit}`).join(', ') };
}

/** Not red, but told: a base image built here in place of the pinned one. */
export function standIns({ api, db }: Facts): string[] {
  const bases = [api, db].map(box => box['base']).filter(isBox).filter(base => base['stand_in'] === true);
  return bases.map(({ name, made_of }) => `base ${String(name)} is a stand-in, made of ${String(made_of ?? 'what nobody told')}`);
}

function boxRules(needs: 'api' | 'db'): Rule[] {
  const rule = (claim: string, judge: (box: Box) => Finding): Rule => ({ claim, needs, judge: facts => judge(facts[needs]) });
  const who = needs === 'api' ? 'the api' : 'the database';
  return [
    rule(`${who} runs as an ordinary user`, isOrdinaryUser),
    rule(`${who} has a read-only root`, box => is(box, 'read_only', true)),
    rule(`${who} has no capability`, hasNoCapability),
    rule(`${who} can gain no new privileges`, box => is(box, 'no_new_privileges', true)),
    rule(`${who} is built on a base pinned by digest`, isPinned),
  ];
}

function listensEverywhere(box: Box): Finding {
  // Docker's own name server listens on 127.0.0.11 in every container.
  const listening = textsOf(box['listening'])?.filter(address => !address.startsWith('127.0.0.11:'));
  if (listening && listening.length > 0 && listening.every(address => address.startsWith('0.0.0.0:'))) return null;
  return { wanted: 'listening on 0.0.0.0', saw: show(box['listening']) };
}

function isExactly(box: Box, field: string, wanted: string[]): Finding {
  const saw = textsOf(box[field]);
  if (saw && saw.length === wanted.length && wanted.every(text => saw.includes(text))) return null;
  return { wanted: `${field} ${show(wanted)}`, saw: show(box[field]) };
}

function is(box: Box, field: string, wanted: unknown): Finding {
  return box[field] === wanted ? null : { wanted: `${field} ${show(wanted)}`, saw: show(box[field]) };
}

function isOrdinaryUser(box: Box): Finding {
  const { user, uid } = box;
  const ordinary = typeof user === 'string' && user !== '' && !/^(root|0)(:|$)/.test(user) && typeof uid === 'number' && uid > 0;
  return ordinary ? null : { wanted: 'a user that is not root, by configuration and in fact', saw: `user ${show(user)}, uid ${show(uid)}` };
}

// What a process has now is no proof: an ordinary user has none even in a privileged container, whose bound is still full.
function hasNoCapability(box: Box): Finding {
  const { cap_eff, cap_bnd, cap_add, privileged } = box;
  const zero = [cap_eff, cap_bnd].every(set => typeof set === 'string' && /^0+$/.test(set));
  if (zero && textsOf(cap_add)?.length === 0 && privileged === false) return null;
  const saw = `cap_eff ${show(cap_eff)}, cap_bnd ${show(cap_bnd)}, cap_add ${show(cap_add)}, privileged ${show(privileged)}`;
  return { wanted: 'cap_eff and cap_bnd 0, nothing added, not privileged', saw };
}

function isPinned(box: Box): Finding {
  const base = isBox(box['base']) ? box['base'] : {};
  const pinned = typeof base['name'] === 'string' && base['name'] !== '' && /^sha256:[0-9a-f]{64}$/.test(String(base['digest']));
  return pinned ? null : { wanted: 'a base with its sha256 digest', saw: `base ${show(base['name'])}, digest ${show(base['digest'])}` };
}

function textsOf(value: unknown): string[] | undefined {
  return Array.isArray(value) && value.every(item => typeof item === 'string') ? value : undefined;
}

function isBox(value: unknown): value is Box {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function show(value: unknown): string {
  return value === undefined ? 'not told' : JSON.stringify(value);
}
