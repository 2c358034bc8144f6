// Facts of a node's containers in at most three commands: of the engine, of what is in it, of /proc from inside.
import type { ContainerFacts, Outcome } from '../platform.ts';
import { accessIn, bootIdIn, databaseQuestion, durabilityIn, engineIn, wayIn, wayQuestion } from './answers.ts';
import { attempt, present, sectionsOf } from './engine.ts';
import type { Engine, Sight } from './engine.ts';
import { judgeFacts } from './facts.ts';
import type { Around, ProcText } from './facts.ts';
import { parseImages } from './inspect.ts';
import type { Container } from './inspect.ts';
import { parseInspected } from './inspected.ts';
import type { WantedImages } from './options.ts';
import { readEnv } from './stack/env-file.ts';

/** `wanted` are the images of this checkout, which only the platform knows. */
export async function facts(engine: Engine, wanted: WantedImages): Promise<Outcome<ContainerFacts>> {
  const first = await attempt(() => gather(engine, wanted));
  // a process may have ended between two of the looks: the next sight is of one moment again
  return 'done' in first ? first : attempt(() => gather(engine, wanted));
}

async function gather(engine: Engine, wanted: WantedImages): Promise<ContainerFacts> {
  const { platform, node } = engine.options;
  const sight = await engine.look('strangers');
  const [api, db] = [present(engine, sight, 'api'), present(engine, sight, 'db')];
  const running = [api, db].filter(({ pid }) => pid > 0);
  const outside = sectionsOf(await engine.sh(fromOutside, [...asked(engine, sight), ...running.flatMap(argsOf)]));
  // the engine runs no program inside a paused container, so that one may stay unseen
  const hidden = running.filter(box => procIn(outside, box) === undefined && box.status !== 'paused');
  const inside = hidden.length === 0 ? {} : sectionsOf(await engine.sh(fromInside, hidden.flatMap(argsOf)));
  const found = (container: Container) =>
    ({ container, proc: procIn(outside, container) ?? procIn(inside, container) });
  const durability = durabilityIn(outside['database']);
  const bytes = Number(outside['disk'] ?? '');
  const disk_mb = bytes > 0 ? Math.round(bytes / 1_048_576) : null;
  return judgeFacts({ platform, node: node.name, boot_id: bootIdIn(outside['boot']), durability, disk_mb }, {
    images: parseImages(outside[''] ?? ''), api: found(api), db: found(db), all: sight.all,
    around: aroundIn(engine, outside, wanted),
  });
}

/** What the first script is given before the processes: whoever cannot answer is not named. */
function asked({ options }: Engine, { api, db }: Sight): string[] {
  const awake = (box: Container | undefined) => box?.status === 'running' ? box.id : '';
  const { folder, project, settings } = options;
  return [
    api?.imageId ?? '', db?.imageId ?? '', project, `${folder}/env`, awake(db), databaseQuestion,
    awake(api), wayQuestion, String(settings.scaled(3_000)),
  ];
}

function aroundIn({ options }: Engine, outside: Record<string, string>, wanted: WantedImages): Around {
  const { project, owner, folder, infra } = options;
  return {
    project, owner, infra, secrets: `${folder}/secrets`, wanted, settings: readEnv(outside['settings'] ?? ''),
    engine: engineIn(outside['engine']),
    networks: parseInspected(outside['networks'] ?? '', 'docker network inspect'),
    volumes: parseInspected(outside['volumes'] ?? '', 'docker volume inspect'),
    access: accessIn(outside['database']), way_to_database: wayIn(outside['way']),
  };
}

function argsOf({ service, id, pid }: Container): string[] {
  return [service, id, String(pid)];
}

/** Nothing where the process could not be seen; what was seen in part is read, and found wanting. */
function procIn(sections: Record<string, string>, { service }: Container): ProcText | undefined {
  const status = sections[`${service} status`];
  if (status === undefined || status === '') return undefined;
  const tcp6 = sections[`${service} net/tcp6`];
  return { status, tcp: sections[`${service} net/tcp`] ?? '', ...tcp6 === undefined ? {} : { tcp6 } };
}

// From here when the pid is provably the container's; without IPv6 the last file is not there. What is not there is not
// listed by docker, which still lists the others.
const fromOutside = `
docker image inspect "$1" "$2" || exit
echo '== boot'
boot=/proc/sys/kernel/random/boot_id
# an engine elsewhere has a machine of its own; the image of the service has no cat
cat $boot 2>/dev/null || { [ -z "$5" ] || docker exec "$5" cat $boot; }
echo '== engine'
docker info --format '{{.CgroupVersion}} {{.DefaultRuntime}}' || exit
echo '== networks'
docker network inspect "$3_front" "$3_private" 2>/dev/null
echo '== volumes'
docker volume inspect "$3_data" 2>/dev/null
echo '== disk'
stat -c %s "\${4%env}disk.ext4" 2>/dev/null
echo '== settings'
cat "$4" 2>/dev/null
if [ -n "$5" ]; then
  echo '== database'
  docker exec -e PGCONNECT_TIMEOUT=5 "$5" psql -X -q -At -U postgres -d orders -c "$6" 2>/dev/null
fi
if [ -n "$7" ]; then
  echo '== way'
  docker exec "$7" /nodejs/bin/node -e "$8" "$9" 2>/dev/null
fi
shift 9
while [ $# -gt 0 ]; do
  if grep -q "$2" "/proc/$3/cgroup" 2>/dev/null; then
    for file in status net/tcp net/tcp6; do
      [ ! -e "/proc/$3/$file" ] || { echo "== $1 $file"; cat "/proc/$3/$file" 2>/dev/null; }
    done
  fi
  shift 3
done
exit 0
`;

// Where the engine has a machine of its own. The service's image has no shell, so its own Node reads.
const fromInside = `
files='status net/tcp net/tcp6'
while [ $# -gt 0 ]; do
  case $1 in
    api) docker exec "$2" /nodejs/bin/node -e '
      const { existsSync, readFileSync } = require("fs");
      for (const file of process.argv.slice(1).filter(file => existsSync("/proc/1/" + file))) {
        process.stdout.write("== api " + file + "\\n" + readFileSync("/proc/1/" + file, "utf8"));
      }' $files || exit ;;
    db) docker exec "$2" sh -c 'for file; do
      [ ! -e "/proc/1/$file" ] || { echo "== db $file"; cat "/proc/1/$file"; }; done' sh $files || exit ;;
  esac
  shift 3
done
`;
