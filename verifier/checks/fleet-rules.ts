// The same rules for a fleet: each holds for every task that it is about, on whatever node that runs.
import type { Json, SwarmFacts, Target, Task } from '#infra/platform';
import { addressOf } from '../client/address.ts';
import {
  hasNoCapability, isConfined, isDurable, isImage, isOrdinaryUser, isOwnAddress, isPinned, isTrue, onlyInside, show,
} from './container-rules.ts';
import type { Finding } from './container-rules.ts';

type Judge = (facts: SwarmFacts, target: Pick<Target, 'host' | 'port'>) => Finding;

const isReplica = ({ service }: Task) => service === 'api';
const isRouter = ({ service }: Task) => service === 'router';
const isMember = ({ service }: Task) => service.startsWith('db-');
const isEtcd = ({ service }: Task) => service.startsWith('etcd-');
/** What the rules about the api are about, and those about the database. */
const isFront = (task: Task) => isReplica(task) || isRouter(task);
const isBack = (task: Task) => isMember(task) || isEtcd(task);

/** By the id of the rule for containers of a stack that it stands for. */
export const fleetRules: Readonly<Record<string, Judge>> = {
  'api-listening': each(isReplica, ({ box: { listening } }) => {
    const own = listening?.filter(isOwnAddress);
    return own?.join() === '0.0.0.0:8000' ? null : { wanted: 'listening on ["0.0.0.0:8000"]', saw: show(own) };
  }),
  'api-published': each(isRouter, ({ box: { published } }, target) => {
    const wanted = [`0.0.0.0:${target.port}`];
    const others = published.filter(address => !wanted.includes(address) && address !== `:::${target.port}`);
    return others.length === 0 && published.includes(wanted.join()) ? null
      : { wanted: `published ${show(wanted)}, which is ${addressOf(target)}`, saw: show(published) };
  }),
  'db-published': each(isBack, publishesNothing),
  'others-published': each(isReplica, publishesNothing),
  'no-way-out': each(task => isReplica(task) || isBack(task), onNetworks),
  'known-containers': areComplete,
  ...confined('api', isFront),
  ...confined('db', isBack),
  'api-image': each(isFront, ({ service, box }, _, { wanted }) => (
    isImage(box, service === 'api' ? wanted.service : wanted.router)
  )),
  // etcd's image is told by no address of ours: that it is the content of its name is looked at all the same
  'db-image': each(isBack, ({ box, service }, _, { wanted }) => (
    isImage(box, service.startsWith('db-') ? wanted.database : box.image)
  )),
  'api-base': each(isReplica, ({ box }) => isPinned(box)),
  'db-base': each(isMember, ({ box }) => isPinned(box)),
  'preflight-settings': each(isReplica, ({ box: { health } }) => (
    health === 'healthy' ? null : { wanted: 'health healthy: ready once, alive since', saw: show(health) }
  )),
  networks: each(() => true, onNetworks),
  'data-volume': each(isBack, ({ service, values }) => {
    const at = `Mounts./var/lib/${service.startsWith('db-') ? 'postgresql/data' : 'etcd'}`;
    const [type, name]: (Json | undefined)[] = [values[`${at}.Type`], values[`${at}.Name`]];
    return type === 'volume' && name === `orders_${service}` ? null
      : { wanted: `${at} a volume orders_${service}`, saw: `${show(type)} ${show(name)}` };
  }),
  superuser: ({ access }) => onlyInside(access),
  durability: facts => isDurable(facts),
};

/** A task that was replaced between two looks is a crash loop, whoever took its place. */
export function sameTasks(before: SwarmFacts, after: SwarmFacts): Finding {
  const tell = ({ service, node, id, box }: Task) => `${service} ${id} on ${node} since ${box.started_at}`;
  const [was, is] = [before.tasks.map(tell).sort(), after.tasks.map(tell).sort()];
  const [gone, come] = [was.filter(one => !is.includes(one)), is.filter(one => !was.includes(one))];
  if (gone.length === 0 && come.length === 0) return null;
  return { wanted: `the same tasks: ${gone.join(', ') || 'no other'}`, saw: come.join(', ') || 'nothing in its place' };
}

/** Every replica has to reach the database by itself. */
export const reachDatabase: Judge = each(isReplica, ({ way_to_database: way }) => (
  way === 'connected' ? null : { wanted: 'db:5432 connected', saw: way ?? 'nothing that could be run there' }
));

function confined(who: 'api' | 'db', about: (task: Task) => boolean): Record<string, Judge> {
  return {
    [`${who}-user`]: each(about, ({ box }) => isOrdinaryUser(box)),
    [`${who}-root`]: each(about, ({ box }) => isTrue('read_only', box.read_only)),
    [`${who}-capabilities`]: each(about, ({ box }) => hasNoCapability(box)),
    [`${who}-privileges`]: each(about, ({ box }) => isConfined(box)),
    [`${who}-settings`]: each(about, isLimited),
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

function areComplete({ services, tasks }: SwarmFacts): Finding {
  const wanted = 'as many tasks of each service as it wants, and nothing else';
  const short = services.filter(one => one.running !== one.wanted || one.wanted === 0);
  const strangers = tasks.filter(task => !services.some(({ name }) => name === task.service));
  const seen = (name: string) => tasks.filter(({ service }) => service === name).length;
  const few = services.filter(({ name, running }) => seen(name) !== running);
  if (short.length === 0 && strangers.length === 0 && few.length === 0) return null;
  const tell = [...short, ...few].map(one => `${one.name} ${one.running} of ${one.wanted}`);
  return { wanted, saw: [...tell, ...strangers.map(({ service, node }) => `${service} on ${node}`)].join(', ') };
}

function publishesNothing({ box: { published } }: Task): Finding {
  return published.length === 0 ? null : { wanted: 'published nowhere', saw: show(published) };
}

/** All of these lead nowhere, but for the one that publishes the routers. */
const networksOf: Readonly<Record<string, string>> = {
  api: 'orders_private', router: 'orders_database,orders_front,orders_private',
  db: 'orders_consensus,orders_database', etcd: 'orders_consensus',
};

function onNetworks({ service, box }: Task): Finding {
  const wanted = networksOf[service.replace(/-.*/, '')] ?? 'none';
  return box.networks.join() === wanted ? null : { wanted: `the networks ${wanted}`, saw: box.networks.join() };
}

function isLimited({ box: { memory, pids_limit: pids } }: Task): Finding {
  return memory > 0 && pids !== null && pids > 0 ? null
    : { wanted: 'a limit of memory and of processes', saw: `memory ${show(memory)}, pids_limit ${show(pids)}` };
}
