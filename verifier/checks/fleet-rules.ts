// The same rules for a fleet: each holds for every task that it is about, on whatever node that runs.
import type { SwarmFacts, Target, Task } from '#infra/platform';
import { addressOf } from '../client/address.ts';
import {
  hasNoCapability, isConfined, isDurable, isExpected, isImage, isOrdinaryUser, isOwnAddress, isPinned, isTrue,
  onlyInside, show, standIn,
} from './container-rules.ts';
import type { Finding } from './container-rules.ts';
import { differences } from './expected.ts';
import { fleetNetworkTable, networksOf, taskTable } from './fleet-expected.ts';

type Judge = (facts: SwarmFacts, target: Pick<Target, 'host' | 'port'>) => Finding;
/** `standIn`: what was built here in place of something pinned, so that it was not judged. */
export type FleetRule = { claim: string; judge: Judge; standIn?: (facts: SwarmFacts) => string | undefined };

const isReplica = ({ service }: Task) => service === 'api';
const isRouter = ({ service }: Task) => service === 'router';
const isMember = ({ service }: Task) => service.startsWith('db-');
const isEtcd = ({ service }: Task) => service.startsWith('etcd-');
/** What the rules about the api are about, and those about the database. */
const isFront = (task: Task) => isReplica(task) || isRouter(task);
const isBack = (task: Task) => isMember(task) || isEtcd(task);

/** By the id of the rule for containers of a stack that it stands for. */
export const fleetRules: Readonly<Record<string, FleetRule>> = {
  'api-listening': { claim: 'each replica listens on 0.0.0.0:8000 inside, and on nothing else',
    judge: each(isReplica, ({ box: { listening } }) => {
      const own = listening?.filter(isOwnAddress);
      return own?.join() === '0.0.0.0:8000' ? null : { wanted: 'listening on ["0.0.0.0:8000"]', saw: show(own) };
    }) },
  'api-published': { claim: 'each router is published on the port where it was reached, and on no other',
    judge: each(isRouter, ({ box: { published } }, target) => {
      const wanted = [`0.0.0.0:${target.port}`];
      const others = published.filter(address => !wanted.includes(address) && address !== `:::${target.port}`);
      return others.length === 0 && published.includes(wanted.join()) ? null
        : { wanted: `published ${show(wanted)}, which is ${addressOf(target)}`, saw: show(published) };
    }) },
  'db-published': { claim: 'no member of the database and no etcd is published',
    judge: each(isBack, publishesNothing) },
  'others-published': { claim: 'nothing else of the stack is published, no replica either',
    judge: each(task => !isRouter(task) && !isBack(task), publishesNothing) },
  'no-way-out': { claim: 'replicas, the database and etcd have no way out of their networks',
    judge: each(task => isReplica(task) || isBack(task), leadsNowhere) },
  'known-containers': {
    claim: 'each machine runs a replica, a router, a member of the database and of etcd; the stack has no more',
    judge: areComplete },
  ...confined('api', 'replicas and routers', isFront),
  ...confined('db', 'the database and etcd', isBack),
  'api-image': { claim: 'replicas and routers run the images of this checkout',
    judge: each(isFront, ({ service, box }, _, { wanted }) => (
      isImage(box, service === 'api' ? wanted.service : wanted.router)
    )) },
  'db-image': { claim: 'the database and etcd run the images of this checkout',
    judge: each(isBack, (task, _, { wanted }) => isImage(task.box, isEtcd(task) ? wanted.etcd : wanted.database)) },
  'api-base': { claim: 'replicas are built on a base pinned by digest',
    standIn: facts => facts.tasks.filter(isReplica).flatMap(({ box }) => standIn(box) ?? [])[0],
    judge: each(isReplica, ({ box }) => isPinned(box)) },
  'db-base': { claim: 'routers, the database and etcd have no base: they say of which Debian packages they are made',
    judge: each(task => !isReplica(task), ({ box: { base } }) => (
      /^[a-z0-9-]+ \d\S*, .*Debian/.test(base.made_of) ? null
        : { wanted: 'an image that names its packages and their versions', saw: show(base.made_of) }
    )) },
  'preflight-settings': { claim: 'each replica is healthy by its own health check',
    judge: each(isReplica, ({ box: { health } }) => (
      health === 'healthy' ? null : { wanted: 'health healthy', saw: show(health) }
    )) },
  networks: { claim: 'the four networks are as expected on each machine, with no stranger on them',
    judge: areNetworks },
  'data-volume': { claim: 'the data of each member and each etcd is in a volume of its own on its machine\'s disk',
    judge: each(isBack, ({ service, values }) => {
      const at = `Mounts./var/lib/${service.startsWith('db-') ? 'postgresql/data' : 'etcd'}`;
      const saw = ['Type', 'Name', 'Driver'].map(name => values[`${at}.${name}`]);
      return saw.join() === `volume,orders_${service},local` ? null
        : { wanted: `${at} a local volume orders_${service}`, saw: saw.map(show).join(' ') };
    }) },
  superuser: { claim: 'the superuser cannot log in over the network, by the rules of the leader',
    judge: ({ access }) => onlyInside(access) },
  durability: { claim: 'one member leads, one confirms each commit, the third follows; damage is noticed',
    judge: isReplicated },
};

/** A task that was replaced between two looks is a crash loop, whoever took its place. */
export function sameTasks(before: SwarmFacts, after: SwarmFacts): Finding {
  const tell = ({ service, node, id, box }: Task) => `${service} ${id} on ${node} since ${box.started_at}`;
  const [was, is] = [before.tasks.map(tell).sort(), after.tasks.map(tell).sort()];
  const [gone, come] = [was.filter(one => !is.includes(one)), is.filter(one => !was.includes(one))];
  const still = after.tasks.filter(({ box }) => box.state !== 'running').map(task => `${tell(task)} ${task.box.state}`);
  if (still.length > 0) return { wanted: 'tasks that run', saw: still.join(', ') };
  if (gone.length === 0 && come.length === 0) return null;
  return { wanted: `the same tasks: ${gone.join(', ') || 'no other'}`, saw: come.join(', ') || 'nothing in its place' };
}

/** Every replica has to reach the database by itself. */
export const reachDatabase: Judge = each(isReplica, ({ way_to_database: way }) => (
  way === 'connected' ? null : { wanted: 'db:5432 connected', saw: way ?? 'nothing that could be run there' }
));

function confined(who: 'api' | 'db', them: string, about: (task: Task) => boolean): Record<string, FleetRule> {
  const rule = (id: string, claim: string, judge: (task: Task, facts: SwarmFacts) => Finding) => ({
    [`${who}-${id}`]: { claim: `${them} ${claim}`, judge: each(about, (task, _, facts) => judge(task, facts)) },
  });
  return {
    ...rule('user', 'run as ordinary users', ({ box }) => isOrdinaryUser(box)),
    ...rule('root', 'have a read-only root', ({ box }) => isTrue('read_only', box.read_only)),
    ...rule('capabilities', 'have no capability', ({ box }) => hasNoCapability(box)),
    ...rule('privileges', 'can gain no new privileges, and their system calls are filtered', ({ box }) => (
      isConfined(box)
    )),
    ...rule('settings', 'are set up as expected in every value that their engines tell', (task, facts) => (
      isExpected(differences(task.values, taskTable(facts, task)))
    )),
  };
}

/** The first that does not hold, by its service and node; red as well when there is none to look at. */
function each(
  about: (task: Task) => boolean,
  judge: (task: Task, target: Pick<Target, 'host' | 'port'>, facts: SwarmFacts) => Finding,
): Judge {
  return (facts, target) => {
    const tasks = facts.tasks.filter(about);
    if (tasks.length === 0) return { wanted: 'tasks to look at', saw: 'none that runs' };
    for (const task of tasks) {
      const finding = judge(task, target, facts);
      if (finding !== null) return { ...finding, saw: `${finding.saw} of ${task.service} on ${task.node}` };
    }
    return null;
  };
}

function areComplete({ nodes, services, tasks }: SwarmFacts): Finding {
  const kinds = (node: string) => ['api', 'router', `db-${node}`, `etcd-${node}`];
  const every = nodes.flatMap(node => kinds(node).map(kind => `${kind} on ${node}`));
  const tell = ({ service, node, box: { state } }: Task) => (
    `${service} on ${node}${state === 'running' ? '' : ` (${state})`}`
  );
  const seen = tasks.map(tell);
  const missing = every.filter(one => !seen.includes(one)).map(one => `no ${one}`);
  const strangers = seen.filter((one, i) => !every.includes(one) || seen.indexOf(one) !== i);
  const known = new Set(nodes.flatMap(kinds));
  const others = services.flatMap(({ name, running, wanted: many }) => (
    known.has(name) && running === many ? [] : `service ${name} ${running} of ${many}`
  ));
  const saw = [...missing, ...strangers, ...others];
  const wanted = 'one api, router, db-NODE and etcd-NODE on each machine';
  return saw.length === 0 ? null : { wanted, saw: saw.join(', ') };
}

function publishesNothing({ box: { published } }: Task): Finding {
  return published.length === 0 ? null : { wanted: 'published nowhere', saw: show(published) };
}

function leadsNowhere({ box, node }: Task, _: unknown, { networks }: SwarmFacts): Finding {
  const isInternal = (name: string) => networks.some(one => (
    one.node === node && one.name === name && one.values['Internal'] === true
  ));
  const ways = box.networks.filter(name => !isInternal(name));
  return ways.length === 0 ? null : { wanted: 'only networks that lead nowhere', saw: ways.join(', ') };
}

function areNetworks({ tasks, networks }: SwarmFacts): Finding {
  const strays = tasks.filter(task => task.box.networks.join() !== networksOf(task).join())
    .map(({ service, node, box }) => `${service} on ${node} is on ${box.networks.join(' ')}`);
  const unseen = tasks.flatMap(({ node, box }) => box.networks
    .filter(name => !networks.some(one => one.node === node && one.name === name))
    .map(name => `${name} on ${node} was not seen`));
  const others = networks.flatMap(({ node, name, values }) => (
    differences(values, fleetNetworkTable(name, tasks.filter(task => task.node === node)))
      .map(difference => `${name} on ${node}: ${difference}`)
  ));
  return isExpected([...strays, ...new Set(unseen), ...others]);
}

/** Without a member that confirms, a commit that was acknowledged is on one disk only. */
function isReplicated(facts: SwarmFacts): Finding {
  const { leaders, members, nodes, synchronous } = facts;
  const [leader, ...more] = leaders;
  if (leader === undefined || more.length > 0) {
    return { wanted: 'one member that takes writes', saw: leaders.join(' and ') || 'none' };
  }
  const unsafe = isDurable(facts);
  if (unsafe !== null) return unsafe;
  if (synchronous === null || synchronous.trim() === '') {
    return { wanted: `synchronous_standby_names of ${leader} that name somebody`, saw: show(synchronous) };
  }
  const wanted = `${leader} the leader, one that confirms, the others that follow, all of them there`;
  const there = (members ?? []).filter(({ streams }) => streams);
  const having = (role: string) => there.filter(one => one.role === role).map(({ name }) => name);
  const isWhole = members?.length === nodes.length && having('leader').join() === leader
    && having('confirms').length === 1 && having('follows').length === nodes.length - 2;
  const tell = members?.map(({ name, role, streams }) => `${name} ${role}${streams ? '' : ' (not yet)'}`).join(', ');
  return isWhole ? null : { wanted, saw: tell ?? 'nobody who tells' };
}
