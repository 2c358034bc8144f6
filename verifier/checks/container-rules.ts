// What the facts about containers must say on the rungs listening, published and contained: each rule is pure.
import type { Access, Box, ContainerFacts, InspectedContainer, Target } from '#infra/platform';
import { addressOf } from '../client/address.ts';
import { containerTable, differences, named, networkTable, volumeTable } from './expected.ts';
import type { Member, Service } from './expected.ts';

/** The rungs that are about containers. */
export type BoxRung = 'listening' | 'published' | 'contained';
/** null: it holds. */
export type Finding = { wanted: string; saw: string } | null;
export type Rule = {
  rung: BoxRung;
  id: string;
  claim: string;
  /** A database that is away on purpose leaves nothing to look at (`db`), or cannot be asked (`answer`). */
  needs: Service | 'answer';
  judge: (facts: ContainerFacts, target: Pick<Target, 'host' | 'port'>) => Finding;
};

export const rules: Rule[] = [
  { rung: 'listening', id: 'api-listening', claim: 'the api listens on 0.0.0.0:8000 inside, and on nothing else',
    needs: 'api', judge: ({ api }) => listens(api) },
  { rung: 'published', id: 'api-published', needs: 'api',
    claim: 'the api is published where it was reached, and nowhere else',
    judge: ({ api }, target) => isPublished(api, [addressOf(target)]) },
  { rung: 'published', id: 'db-published', claim: 'the database is published nowhere', needs: 'db',
    judge: ({ db }) => isPublished(db, []) },
  { rung: 'published', id: 'others-published', claim: 'nothing else of the project is published', needs: 'api',
    judge: othersPublishNothing },
  { rung: 'published', id: 'no-way-out', claim: 'the api has no way out of its networks', needs: 'api',
    judge: hasNoWayOut },
  { rung: 'contained', id: 'known-containers',
    claim: 'the project has an api, its preflight, a database and nothing else', needs: 'api', judge: areKnown },
  ...(['api', 'db'] as const).flatMap(boxRules),
  { rung: 'contained', id: 'preflight-settings', claim: 'the preflight is set up as expected in every value',
    needs: 'api', judge: facts => isExpected(settingsOf(facts, 'preflight')) },
  { rung: 'contained', id: 'networks', claim: 'both networks are as expected, with no stranger on them', needs: 'api',
    judge: facts => isExpected([
      ...differencesOf(facts, 'front'), ...differencesOf(facts, 'private'),
    ]) },
  { rung: 'contained', id: 'data-volume', claim: 'the data is in a volume of its own on this disk', needs: 'api',
    judge: facts => isExpected(differences(named(facts, facts.stack.volumes, 'data'), volumeTable(facts))) },
  { rung: 'contained', id: 'superuser', claim: 'the superuser cannot log in over the network', needs: 'answer',
    judge: ({ stack }) => onlyInside(stack.access) },
  { rung: 'contained', id: 'durability', claim: 'the database keeps what it has committed, and notices damage',
    needs: 'answer', judge: isDurable },
];

/** A restart between two looks is a crash loop, whatever the count was before. What cannot be read is no count. */
export function neverRestarted(before: Box, after: Box): Finding {
  const tell = (box: Box) => `state ${box.state}, restart ${box.restart_count}, since ${box.started_at}`;
  const steady = before.restart_count === after.restart_count && before.started_at === after.started_at;
  const isCount = Number.isInteger(after.restart_count) && after.restart_count >= 0;
  if (steady && isCount && Number.isFinite(Date.parse(after.started_at)) && after.state === 'running') return null;
  return { wanted: `state running and no restart, as before: ${tell(before)}`, saw: tell(after) };
}

/** What runs on a node: undefined is what was not seen, `without` why there is no image that could be. */
export type Build = { node: string; image: string | undefined; commit: string | undefined; without?: string };

/** Why there is nothing to compare: no node has an image. That their commits differ would be a finding all the same. */
export function nothingToCompare(nodes: readonly Build[]): string | undefined {
  const reasons = nodes.flatMap(({ without }) => without ?? []);
  const commits = new Set(nodes.flatMap(({ commit }) => commit ?? []));
  return reasons.length < nodes.length || commits.size > 1 ? undefined : [...new Set(reasons)].join('; ');
}

export function sameEverywhere(nodes: readonly Build[]): Finding {
  const wanted = 'one image and one commit on every node';
  const seen = nodes.every(({ image, commit }) => image !== undefined && commit !== undefined);
  if (seen && new Set(nodes.map(({ image, commit }) => `${image} ${commit}`)).size === 1) return null;
  const tell = ({ node, image = 'image not seen', commit = 'commit not seen' }: Build) => `${node}: ${image} ${commit}`;
  return { wanted, saw: nodes.map(tell).join(', ') };
}

/** Why a base image cannot be judged: it was built here in place of the pinned one. */
export function standIn({ base }: Box): string | undefined {
  const { name, stand_in, made_of } = base;
  return stand_in ? `base ${name} is a stand-in, made of ${made_of || 'something unknown'}` : undefined;
}

/** Docker's own name server listens on 127.0.0.11 in every container. */
export function isOwnAddress(address: string): boolean {
  return !address.startsWith('127.0.0.11:');
}

function boxRules(service: Service): Rule[] {
  const who = service === 'api' ? 'the api' : 'the database';
  const rule = (id: string, claim: string, judge: (box: Box, facts: ContainerFacts) => Finding): Rule => ({
    rung: 'contained', id: `${service}-${id}`, claim: `${who} ${claim}`, needs: service,
    judge: facts => judge(facts[service], facts),
  });
  return [
    rule('user', 'runs as an ordinary user', isOrdinaryUser),
    rule('root', 'has a read-only root', ({ read_only }) => isTrue('read_only', read_only)),
    rule('capabilities', 'has no capability', hasNoCapability),
    rule('privileges', 'can gain no new privileges, and its system calls are filtered', isConfined),
    rule('image', 'runs the image of this checkout', (box, { stack: { wanted } }) =>
      isImage(box, service === 'api' ? wanted.service : wanted.database)),
    rule('base', 'is built on a base pinned by digest', isPinned),
    { rung: 'contained', id: `${service}-settings`, claim: `${who} is set up as expected in every value`, needs: 'api',
      judge: facts => isExpected(settingsOf(facts, service)) },
  ];
}

function listens({ listening, state }: Box): Finding {
  const own = listening?.filter(isOwnAddress);
  if (own?.length === 1 && own[0] === '0.0.0.0:8000') return null;
  const saw = listening === null || listening === undefined ? `nothing of a container that is ${state}` : show(own);
  return { wanted: 'listening on ["0.0.0.0:8000"]', saw };
}

function isPublished({ published }: Box, wanted: string[]): Finding {
  if (published.length === wanted.length && wanted.every(address => published.includes(address))) return null;
  return { wanted: `published ${show(wanted)}`, saw: show(published) };
}

export function isTrue(field: string, value: boolean | null): Finding {
  return value === true ? null : { wanted: `${field} true`, saw: show(value) };
}

function othersPublishNothing({ stack }: ContainerFacts): Finding {
  const published = strangers(stack).flatMap(({ name, values }) => Object.keys(values)
    .filter(path => /^(NetworkSettings\.Ports|HostConfig\.(PortBindings|PublishAllPorts))/.test(path))
    .map(path => `${name}: ${path} is ${show(values[path])}`));
  return published.length === 0 ? null : { wanted: 'nothing published', saw: published.join(', ') };
}

function hasNoWayOut(facts: ContainerFacts): Finding {
  const { project, networks } = facts.stack;
  const ways = facts.api.networks.flatMap(network => {
    const values = networks.find(({ name }) => name === network)?.values;
    if (values?.['Internal'] === true) return [];
    const masquerade = values?.['Options.com.docker.network.bridge.enable_ip_masquerade'];
    if (network === `${project}_front` && masquerade === 'false') return [];
    return [`the network ${network}, ${values === undefined ? 'which is another\'s' : 'which leads out'}`];
  });
  return ways.length === 0 ? null : { wanted: 'only networks that lead nowhere', saw: ways.join(', ') };
}

/** What is worth a word of a container that should not be there. */
const telling = /^Config\.(User|Image)$|^HostConfig\.(Privileged|PidMode|PortBindings)|^Mounts\..*\.Source$/;

function areKnown(facts: ContainerFacts): Finding {
  const saw = strangers(facts.stack).map(({ name, state, values }) => {
    const told = Object.keys(values).filter(path => telling.test(path));
    return `${name} (${state}), ${told.map(path => `${path} ${show(values[path])}`).join(', ')}`;
  });
  const missing = members.filter(service => boxOf(facts, service) === undefined);
  if (saw.length === 0 && missing.length === 0) return null;
  const found = [...saw, ...missing.map(service => `no ${service}`)];
  return { wanted: 'one api, one preflight, one db', saw: found.join('; ') };
}

const members: readonly Member[] = ['api', 'preflight', 'db'];

/** Every container of the project, running or not, but those that are expected. */
function strangers({ containers, project }: ContainerFacts['stack']): InspectedContainer[] {
  const known = members.map(service => `${project}-${service}-1`);
  return containers.filter(({ name }) => !known.includes(name));
}

function boxOf({ stack }: ContainerFacts, service: Member): InspectedContainer | undefined {
  return stack.containers.find(({ name }) => name === `${stack.project}-${service}-1`);
}

function settingsOf(facts: ContainerFacts, service: Member): string[] {
  const box = boxOf(facts, service);
  return box === undefined ? [`${service} is not there`]
    : differences(box.values, containerTable(facts, service, box));
}

function differencesOf(facts: ContainerFacts, network: 'front' | 'private'): string[] {
  const { project, networks } = facts.stack;
  const boxes = (network === 'front' ? ['api'] : ['api', 'db']).map(service => `${project}-${service}-1`);
  return differences(named(facts, networks, network), networkTable(facts, network, boxes))
    .map(difference => `${network} ${difference}`);
}

const MOST_TOLD = 20;

export function isExpected(found: string[]): Finding {
  if (found.length === 0) return null;
  const more = found.length > MOST_TOLD ? [`and ${found.length - MOST_TOLD} more`] : [];
  return { wanted: 'every value as expected', saw: [...found.slice(0, MOST_TOLD), ...more].join('; ') };
}

// A tag may be moved: the name has to hold the content's own digest, and the container to run that content.
export function isImage({ image, image_id, repo_digests }: Box, wanted: string | undefined): Finding {
  if (wanted === undefined) {
    return { wanted: 'an image of these sources', saw: `${image}, and these sources were never built (make up)` };
  }
  const digest = /[@:]sha256[:-]([0-9a-f]{64})$/.exec(wanted)?.[1] ?? 'none';
  const isContent = image_id === `sha256:${digest}` || repo_digests.some(name => name.endsWith(`@sha256:${digest}`));
  return image === wanted && isContent ? null : { wanted, saw: `${image} with the content ${image_id}` };
}

export function onlyInside(access: Access | null): Finding {
  const wanted = 'one superuser without a password, and passwords for every host';
  if (access === null) return { wanted, saw: 'a database that does not answer' };
  const { superusers, with_password: passwords, network_rules: lines } = access;
  const open = lines.filter(line => !/ (scram-sha-256|reject)$/.test(line));
  if (superusers.join() === 'postgres' && passwords.length === 0 && open.length === 0) return null;
  return { wanted, saw: `superusers ${show(superusers)}, with a password ${show(passwords)}, open ${show(open)}` };
}

export function isDurable({ durability }: Pick<ContainerFacts, 'durability'>): Finding {
  const wanted = 'fsync, full_page_writes, synchronous_commit and data_checksums on';
  if (durability === null) return { wanted, saw: 'a database that does not answer' };
  const { fsync, full_page_writes, synchronous_commit, data_checksums } = durability;
  const isOn = [fsync, full_page_writes, synchronous_commit, data_checksums].every(value => value === 'on');
  return isOn ? null : { wanted, saw: show(durability) };
}

export function isOrdinaryUser({ user, uid }: Box): Finding {
  if (user !== '' && !/^(root|0)(:|$)/.test(user) && uid !== null && uid > 0) return null;
  const wanted = 'a user that is not root, by configuration and in fact';
  return { wanted, saw: `user ${show(user)}, uid ${show(uid)}` };
}

// What a process has now is no proof: an ordinary user has none even in a privileged container, whose bound is full.
export function hasNoCapability({ cap_eff, cap_bnd, cap_add, privileged }: Box): Finding {
  const none = [cap_eff, cap_bnd].every(set => set !== null && /^0+$/.test(set));
  if (none && cap_add.length === 0 && !privileged) return null;
  return {
    wanted: 'cap_eff and cap_bnd 0, nothing added, not privileged',
    saw: `cap_eff ${show(cap_eff)}, cap_bnd ${show(cap_bnd)}, cap_add ${show(cap_add)}, privileged ${privileged}`,
  };
}

export function isConfined({ no_new_privileges, seccomp }: Box): Finding {
  if (no_new_privileges === true && seccomp === 2) return null;
  const saw = `no_new_privileges ${show(no_new_privileges)}, seccomp ${show(seccomp)}`;
  return { wanted: 'no_new_privileges true, seccomp 2', saw };
}

export function isPinned({ base: { name, digest } }: Box): Finding {
  if (name !== '' && /^sha256:[0-9a-f]{64}$/.test(digest)) return null;
  return { wanted: 'a base with its sha256 digest', saw: `base ${show(name)}, digest ${show(digest)}` };
}

export function show(value: unknown): string {
  return value === undefined || value === null ? 'not seen' : JSON.stringify(value);
}
