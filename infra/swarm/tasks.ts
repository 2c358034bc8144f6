// The tasks of the stack, each as its own machine's engine and kernel see it.
import { setTimeout as pause } from 'node:timers/promises';
import { accessIn, bootIdIn, databaseQuestion, durabilityIn, wayIn, wayQuestion } from '../docker/answers.ts';
import { Trouble, attempt, sectionsOf } from '../docker/engine.ts';
import { boxIn } from '../docker/facts.ts';
import { parseContainers, parseImages } from '../docker/inspect.ts';
import type { Container } from '../docker/inspect.ts';
import { settingsOfContainer } from '../docker/inspected.ts';
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
  const on = fleet.machines.filter(machine => machine.isOn());
  return (await Promise.all(on.map(async machine => {
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
    await fleet.sh(machine, leading, [container.id]).catch(() => '')
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

export type Wanted = SwarmFacts['wanted'];

/** Of the whole swarm, with what only this node's own machine tells. */
export function factsOf({ settings }: Context, fleet: Fleet, node: Node, wanted: Wanted): Promise<Outcome<SwarmFacts>> {
  const look = async (): Promise<SwarmFacts> => {
    const seen = await Promise.all(fleet.machines.filter(machine => machine.isOn()).map(async machine => {
      const text = await fleet.sh(machine, examining, [STACK, wayQuestion, String(settings.scaled(3_000))]);
      return tasksIn(machine, sectionsOf(text));
    }));
    const tasks = seen.flatMap(one => one.tasks);
    const services = parseServices(await fleet.ask(['docker', 'service', 'ls', '--format', '{{.Name}} {{.Replicas}}']));
    const chiefs = await leaders(fleet);
    const [chief] = chiefs;
    const told = chief === undefined ? ''
      : await fleet.sh(chief.machine, asking, [chief.container.id, databaseQuestion]);
    const boot = seen.find(one => one.node === node.name)?.boot ?? seen[0]?.boot ?? '';
    return {
      platform: 'swarm', containers: 'tasks', node: node.name, boot_id: bootIdIn(boot), disk_mb: null,
      durability: durabilityIn(told), access: accessIn(told), wanted, tasks,
      services: services.map(({ name, ...counts }) => ({ name: name.replace(`${STACK}_`, ''), ...counts })),
      leaders: chiefs.map(({ service }) => service),
      api: programOf(tasks.filter(({ service }) => service === 'api')),
      db: programOf(tasks.filter(({ service }) => service === chief?.service)),
    };
  };
  return attempt(() => look().catch(look));
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

function tasksIn({ place }: Machine, sections: Record<string, string>) {
  const images = parseImages(sections['images'] ?? '[]');
  const tasks = parseContainers(sections[''] ?? '').map((container): Task => {
    const { id } = container;
    const [status, tcp, tcp6] = ['status', 'net/tcp', 'net/tcp6'].map(file => sections[`${id} ${file}`]);
    const proc = status === undefined || status === '' ? undefined
      : { status, tcp: tcp ?? '', ...tcp6 === undefined ? {} : { tcp6 } };
    return {
      service: serviceOf(container.name, STACK), node: place.node.name, id: id.slice(0, 12),
      box: boxIn({ container, proc }, images), values: settingsOfContainer(container.whole),
      way_to_database: wayIn(sections[`${id} way`]),
    };
  });
  return { node: place.node.name, boot: sections['boot'], tasks };
}

const looking = `
ids=$(docker ps -q --no-trunc --filter "label=com.docker.stack.namespace=$1") || exit
if [ -z "$ids" ]; then echo '[]'; else docker inspect --type container $ids; fi
`;
const leading = `exec timeout 5 docker exec "$1" psql -X -q -At -U postgres -d orders -c 'select pg_is_in_recovery()'`;
const asking = `
docker exec -e PGCONNECT_TIMEOUT=5 "$1" psql -X -q -At -U postgres -d orders -c "$2" 2>/dev/null || true`;
// a process may end while it is looked at; what is then missing is found wanting
const examining = `
ids=$(docker ps -q --no-trunc --filter "label=com.docker.stack.namespace=$1") || exit
if [ -z "$ids" ]; then echo '[]'; else docker inspect --type container $ids || exit; fi
echo '== images'
[ -z "$ids" ] || docker image inspect $(docker inspect --format '{{.Image}}' $ids | sort -u) || exit
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
