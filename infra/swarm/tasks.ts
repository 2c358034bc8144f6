// The tasks of the stack, each as its own machine's engine and kernel see it.
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { accessIn, bootIdIn, databaseQuestion, durabilityIn, wayIn, wayQuestion } from '../docker/answers.ts';
import { Trouble, attempt, sectionsOf } from '../docker/engine.ts';
import { boxIn } from '../docker/facts.ts';
import { imagesWanted } from '../docker/image.ts';
import { parseContainers, parseImages } from '../docker/inspect.ts';
import type { Container } from '../docker/inspect.ts';
import { parseInspected, settingsOfContainer, settingsOfImage } from '../docker/inspected.ts';
import { readEnv } from '../docker/stack/env-file.ts';
import type { Context } from '../context.ts';
import { messageOf } from '../platform.ts';
import type { Node, Outcome, ProgramFacts, SwarmFacts, Task } from '../platform.ts';
import type { Fleet } from './fleet.ts';
import type { Machine } from './machine.ts';
import { askingMembers, isWhole, parseMembers } from './members.ts';
import { STACK } from './stack.ts';
import { parseServices, serviceOf } from './texts.ts';

/** A running task: the service that it belongs to (`api`, `router`, `db-control` …), and where it runs. */
export type Running = { service: string; machine: Machine; container: Container };

/** Every task that runs, on the machines that are on. */
export async function running(fleet: Fleet): Promise<Running[]> {
  return (await Promise.all((await fleet.on()).map(async machine => {
    const containers = parseContainers(await fleet.sh(machine, looking, [STACK]));
    return containers.map(container => ({ service: serviceOf(container.name, STACK), machine, container }));
  }))).flat();
}

/** The leader's task: the member of the database that is no standby. Trouble when there is none, or more than one. */
export async function leader(fleet: Fleet): Promise<Running> {
  const [one, ...more] = await leaders(fleet);
  if (one !== undefined && more.length === 0) return one;
  const saw = one === undefined ? 'none' : [one, ...more].map(({ service }) => service).join(' and ');
  throw new Trouble(`the database has ${saw} of its members for a leader; patience, or make recover`);
}

/** The members that take writes, as each says of itself; one that says nothing takes none. */
export async function leaders(fleet: Fleet): Promise<Running[]> {
  const members = (await running(fleet)).filter(isMember);
  const told = await Promise.all(members.map(async ({ machine, container }) => (
    await fleet.sh(machine, leading, [container.id, seconds(fleet.scaled(5_000))]).catch(() => '')
  ).trim()));
  return members.filter((_, i) => told[i] === 'f');
}

/** Waits until one member leads, one confirms and the third follows: then any of them may be lost. */
export async function awaitMembers({ settings }: Context, fleet: Fleet): Promise<void> {
  const end = performance.now() + settings.scaled(180_000);
  const look = async () => {
    const { machine, container } = await leader(fleet);
    return parseMembers(await fleet.sh(machine, 'exec docker exec "$@"', [container.id, ...askingMembers]));
  };
  for (;;) {
    const seen = await look().catch(messageOf);
    if (typeof seen !== 'string' && isWhole(seen)) return;
    const saw = typeof seen === 'string' ? seen
      : seen.map(({ name, role, streams }) => `${name} ${role}${streams ? '' : ' (not yet)'}`).join(', ');
    if (performance.now() > end) throw new Trouble(`the database is not whole: ${saw}`);
    await pause(settings.scaled(300));
  }
}

export function isMember({ service }: Pick<Running, 'service'>): boolean {
  return service.startsWith('db-');
}

/** Of the whole swarm, with what only this node's own machine tells. */
export function factsOf(context: Context, fleet: Fleet, node: Node): Promise<Outcome<SwarmFacts>> {
  const { settings, local } = context;
  const look = async (): Promise<SwarmFacts> => {
    const seen = await Promise.all((await fleet.on()).map(async machine => {
      const text = await fleet.sh(machine, examining, [STACK, wayQuestion, String(settings.scaled(3_000))]);
      return { ...tasksIn(machine, sectionsOf(text)), isCut: !await machine.isPlugged() };
    }));
    const tasks = seen.flatMap(one => one.tasks);
    const services = parseServices(await fleet.ask(['docker', 'service', 'ls', '--format', '{{.Name}} {{.Replicas}}']));
    const chiefs = await leaders(fleet);
    const [chief] = chiefs;
    const ask = async (sql: string) => (
      chief === undefined ? '' : fleet.sh(chief.machine, asking, [chief.container.id, sql])
    );
    const told = await ask(databaseQuestion);
    const boot = seen.find(one => one.node === node.name)?.boot ?? seen[0]?.boot ?? '';
    return {
      platform: 'swarm', containers: 'tasks', node: node.name, boot_id: bootIdIn(boot), disk_mb: null,
      durability: durabilityIn(told), access: accessIn(told), tasks,
      nodes: fleet.machines.map(({ place }) => place.node.name),
      cut_off: seen.filter(({ isCut }) => isCut).map(one => one.node),
      members: chief === undefined ? null : await membersOf(fleet, chief),
      // in front of the names, so that none is not the same as no answer
      synchronous: /^names (.*)$/m.exec(await ask(`select 'names ' || current_setting('${standbys}')`))?.[1] ?? null,
      networks: seen.flatMap(one => one.networks),
      services: services.map(({ name, ...counts }) => ({ name: name.replace(`${STACK}_`, ''), ...counts })),
      settings: servedIn(await local.read(servedFile(context))),
      wanted: await wantedBy(context),
      leaders: chiefs.map(({ service }) => service),
      api: programOf(tasks.filter(({ service }) => service === 'api')),
      db: programOf(tasks.filter(({ service }) => service === chief?.service)),
    };
  };
  return attempt(() => look().catch(look));
}

const standbys = 'synchronous_standby_names';

/** null: nobody tells, as while etcd is out of reach. */
async function membersOf({ sh, scaled }: Fleet, { machine, container }: Running): Promise<SwarmFacts['members']> {
  return sh(machine, 'exec timeout "$@"', [seconds(scaled(10_000)), 'docker', 'exec', container.id, ...askingMembers])
    .then(parseMembers, () => null);
}

function seconds(ms: number): string {
  return String(ms / 1000);
}

/** What serves, by the values that it was deployed with: what the tasks are held to. */
export function servedFile({ settings }: Context): string {
  return join(settings.state, 'swarm', 'served.json');
}

function servedIn(text = '{}'): Record<string, string> {
  return JSON.parse(text) as Record<string, string>;
}

/** What is remembered of the database's images counts only if it is what their recipe makes now. */
async function wantedBy(context: Context): Promise<SwarmFacts['wanted']> {
  const { settings: { state, infra }, local } = context;
  const { service } = await imagesWanted(context, [join(state, 'image')]);
  const recipe = (await local.run(['sh', '-c', recipeNow, 'sh', infra])).stdout.trim();
  const made = await local.read(join(state, 'cluster.env')) ?? '';
  const isNow = recipe !== '' && made.startsWith(`# recipe ${recipe}\n`);
  const { ORDERS_CLUSTER_IMAGE: database, ORDERS_ETCD_IMAGE: etcd, ORDERS_ROUTER_IMAGE: router } = readEnv(made);
  const none = { database: undefined, etcd: undefined, router: undefined };
  return { service, ...isNow ? { database, etcd, router } : none };
}

/** What is said of one program, for several that are the same: they run when any does. */
function programOf(tasks: readonly Task[]): ProgramFacts {
  const [first] = tasks.map(({ box }) => box).sort((one, other) => one.started_at.localeCompare(other.started_at));
  return {
    pid: null, state: first?.state ?? 'absent',
    restart_count: tasks.reduce((sum, { box }) => sum + box.restart_count, 0),
    started_at: first?.started_at ?? null, listening: first?.listening ?? null,
  };
}

function tasksIn({ place: { node: { name: node } } }: Machine, sections: Record<string, string>) {
  const images = parseImages(sections['images'] ?? '[]');
  const tasks = parseContainers(sections[''] ?? '').map((container): Task => {
    const { id, name } = container;
    const [status, tcp, tcp6] = ['status', 'net/tcp', 'net/tcp6'].map(file => sections[`${id} ${file}`]);
    const proc = status === undefined || status === '' ? undefined
      : { status, tcp: tcp ?? '', ...tcp6 === undefined ? {} : { tcp6 } };
    return {
      service: serviceOf(name, STACK), node, name, id: id.slice(0, 12),
      box: boxIn({ container, proc }, images), values: settingsOfContainer(container.whole),
      image: settingsOfImage(images.find(image => image.id === container.imageId)?.whole),
      way_to_database: wayIn(sections[`${id} way`]),
    };
  });
  const networks = parseInspected(sections['networks'] ?? '[]', 'docker network inspect');
  return { node, boot: sections['boot'], tasks, networks: networks.map(network => ({ node, ...network })) };
}

// as infra/images/build has it
const recipeNow = `
set -e
cat "$1"/images/build "$1"/images/prune "$1"/images/cluster/* "$1/role.sh" | sha256sum | cut -d' ' -f1`;
const looking = `
ids=$(docker ps -q --no-trunc --filter "label=com.docker.stack.namespace=$1") || exit
if [ -z "$ids" ]; then echo '[]'; else docker inspect --type container $ids; fi
`;
const leading = `
exec timeout "$2" docker exec "$1" psql -X -q -At -U postgres -d orders -c 'select pg_is_in_recovery()'`;
const asking = `
docker exec -e PGCONNECT_TIMEOUT=5 "$1" psql -X -q -At -U postgres -d orders -c "$2" 2>/dev/null || true`;
// a process may end while it is looked at; what is then missing is found wanting
const examining = `
ids=$(docker ps -q --no-trunc --filter "label=com.docker.stack.namespace=$1") || exit
if [ -z "$ids" ]; then echo '[]'; else docker inspect --type container $ids || exit; fi
echo '== images'
[ -z "$ids" ] || docker image inspect $(docker inspect --format '{{.Image}}' $ids | sort -u) || exit
# by their ids, which every engine knows by itself
echo '== networks'
[ -z "$ids" ] || docker network inspect $(docker inspect \
  --format '{{range .NetworkSettings.Networks}}{{println .NetworkID}}{{end}}' $ids | sort -u) || exit
echo '== boot'
cat /proc/sys/kernel/random/boot_id
for id in $ids; do
  pid=$(docker inspect --format '{{.State.Pid}}' "$id") || continue
  for file in status net/tcp net/tcp6; do
    [ ! -e "/proc/$pid/$file" ] || { echo "== $id $file"; cat "/proc/$pid/$file" 2>/dev/null; }
  done
  case $(docker inspect --format '{{.Name}}' "$id") in
    /"$1"_api.*) echo "== $id way"; docker exec "$id" /nodejs/bin/node -e "$2" "$3" 2>/dev/null ;;
  esac
done
exit 0
`;
