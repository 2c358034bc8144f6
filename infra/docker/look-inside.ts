// Facts of a node's containers in at most three commands: of the engine, of images and /proc, of /proc from inside.
import type { ContainerFacts, Outcome } from '../platform.ts';
import { attempt, present, sectionsOf } from './engine.ts';
import type { Engine } from './engine.ts';
import { judgeFacts } from './facts.ts';
import type { ProcText } from './facts.ts';
import { parseImages } from './inspect.ts';
import type { Container } from './inspect.ts';

export async function facts(engine: Engine): Promise<Outcome<ContainerFacts>> {
  const first = await attempt(() => gather(engine));
  // a process may have ended between two of the looks: the next sight is of one moment again
  return 'done' in first ? first : attempt(() => gather(engine));
}

async function gather(engine: Engine): Promise<ContainerFacts> {
  const { platform, node } = engine.options;
  const sight = await engine.look();
  const [api, db] = [present(engine, sight, 'api'), present(engine, sight, 'db')];
  const running = [api, db].filter(({ pid }) => pid > 0);
  const outside = sectionsOf(await engine.sh(fromOutside, [api.imageId, db.imageId, ...running.flatMap(argsOf)]));
  // the engine runs no program inside a paused container, so that one may stay unseen
  const hidden = running.filter(box => procIn(outside, box) === undefined && box.status !== 'paused');
  const inside = hidden.length === 0 ? {} : sectionsOf(await engine.sh(fromInside, hidden.flatMap(argsOf)));
  const found = (container: Container) =>
    ({ container, proc: procIn(outside, container) ?? procIn(inside, container) });
  return judgeFacts({ platform, node: node.name }, parseImages(outside[''] ?? ''), { api: found(api), db: found(db) });
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

// From here when the pid is provably the container's; without IPv6 the last file is not there.
const fromOutside = `
docker image inspect "$1" "$2" || exit
shift 2
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
