// Machines of a swarm that are engines on this machine, each in namespaces of its own, with a cable to their bridge.
import { setTimeout as pause } from 'node:timers/promises';
import type { Context } from '../context.ts';
import type { Host, Run, RunOptions } from '../host.ts';
import { Unreachable } from '../host.ts';
import { processesIn, send } from '../process/proc.ts';
import { Trouble, lastWords } from '../docker/engine.ts';
import type { Node } from '../platform.ts';
import type { Settings } from '../settings.ts';
import { isRaised, lowerBridge, raiseBridge } from './bridge.ts';
import type { Kind, Machine } from './machine.ts';
import { placesOf } from './places.ts';
import type { Place, Places } from './places.ts';

/** What all of them have in common. */
type Around = Pick<Places, 'bridge'> & { local: Host; settings: Settings };
/** `start` returns when its engine answers; `stop` asks the engine to end, which stops its containers first. */
type Engine = Machine & { start: () => Promise<void>; stop: () => Promise<void>; remove: () => Promise<void> };

/** The engine's first process: it hands on signals, and when it ends the kernel ends all the others. */
const INITS = ['tini-static', 'docker-init'];
/** How long an engine that is told to end waits for its containers. */
const ENGINE_GRACE_MS = 45_000;

export function openEngines({ settings, local }: Context, nodes: readonly Node[]): Kind {
  const places = placesOf(settings.state, nodes);
  const engines = places.places.map(place => openMachine(place, { ...places, local, settings }));
  const deadlineMs = settings.scaled(20_000);
  const those = (some: readonly Machine[]) => engines.filter(engine => some.includes(engine));
  return {
    machines: engines, needs: 'swarm',
    start: async some => {
      await raiseBridge(local, places, deadlineMs);
      await Promise.all(those(some).map(engine => engine.start()));
    },
    stop: async some => { await Promise.all(those(some).map(engine => engine.stop())); },
    remove: async () => {
      await Promise.all(engines.map(engine => engine.remove()));
      await lowerBridge(local, places, deadlineMs);
    },
    isRaised: () => isRaised(local, places),
  };
}

function openMachine(place: Place, { bridge, local, settings }: Around): Engine {
  const { node, address, link, folder, group } = place;
  const { scaled } = settings;
  const inits = () => INITS.flatMap(name => processesIn(folder, name));
  const isOn = () => inits().length > 0;
  const here = async (script: string, args: string[], deadlineMs = 60_000): Promise<string> => {
    const run = await local.run(['sh', '-c', script, 'sh', ...args], { deadlineMs: scaled(deadlineMs) });
    if (run.code === 0) return run.stdout;
    throw new Trouble(`${node.name}: ${lastWords(run.stderr) || `a command ended with ${run.code}`}`);
  };
  const enter = async (argv: string[], options: RunOptions = {}): Promise<Run> => {
    const [init] = inits();
    if (init === undefined) throw new Unreachable(`${node.name} is off: make up starts it`);
    const inside = ['nsenter', '-t', String(init.pid), '-m', '-u', '-i', '-n', '-p', '--'];
    const env = { ...options.env, DOCKER_HOST: 'unix:///run/docker.sock', DOCKER_CONTEXT: '' };
    return local.run([...inside, ...argv], { deadlineMs: scaled(60_000), ...options, env });
  };
  const host: Host = { name: node.name, run: enter, write: local.write, read: local.read };
  const answers = async () => isOn() && (await enter(['docker', 'version'])).code === 0;
  /** How often a script looks again, ten times a second. */
  const looks = () => String(Math.ceil(scaled(10_000) / 100));
  /** What a machine that was switched off leaves to be cleaned up after: empty groups of processes. */
  const clear = () => here(clearing, [group, link, looks()]);
  const gone = async (withinMs: number): Promise<boolean> => {
    const end = performance.now() + scaled(withinMs);
    while (isOn()) {
      if (performance.now() > end) return false;
      await pause(50);
    }
    return true;
  };
  const cut = async () => {
    inits().forEach(({ pid }) => send(pid, 'SIGKILL'));
    if (!await gone(20_000)) throw new Trouble(`${node.name} still runs after SIGKILL`);
    await clear();
  };
  return {
    place, host, cut,
    isOn: async () => isOn(),
    lend: (_, act) => act(file => file),
    start: async () => {
      if (!isOn()) {
        await clear();
        const graceS = String(Math.ceil(scaled(ENGINE_GRACE_MS) / 1000));
        await here(starting, [folder, node.name, `${address}/24`, bridge, link, group, looks(), graceS]);
      } else {
        await here(cabling, [link, bridge]);
      }
      const began = performance.now();
      while (!await answers()) {
        const ms = performance.now() - began;
        if (ms > scaled(60_000) || (!isOn() && ms > scaled(10_000))) {
          const log = await here('tail -n 3 "$1/log"', [folder]);
          throw new Trouble(`${node.name}: its engine does not answer; ${folder}/log ends: ${log.trim()}`);
        }
        await pause(scaled(100));
      }
    },
    stop: async () => {
      inits().forEach(({ pid }) => send(pid, 'SIGTERM'));
      if (!await gone(ENGINE_GRACE_MS + 15_000)) await cut();
      await clear();
    },
    plug: async isIn => { await here('exec ip link set "$1" "$2"', [link, isIn ? 'up' : 'down']); },
    isPlugged: async () => (await here('ip -o link show dev "$1"', [link])).includes(',UP'),
    remove: async () => {
      await cut();
      await here('rm -rf "$1"', [folder]);
    },
  };
}

// one that lost it (a split, a bridge that was deleted) is on the bridge again
const cabling = 'exec ip link set "$1" master "$2" up';

// Its /run is empty as after a boot, and where the data is mounted no path can trouble the engine. The lock of whoever
// starts it (file 3) is not the engine's. Nothing leads out: it has a cable to the bridge, and no route beyond. A stack
// file knows no dns_opt: without it each question for a member that is away takes 20 s. Settings that this machine has
// for its own engine (/etc/docker/daemon.json) are not for these.
const starting = `
set -e
exec 3>&-
mkdir -p "$1/data"
cd "$1"
unshare --mount --propagation slave --uts --ipc --net --pid --fork --kill-child --mount-proc sh -e -c '
  mount -t tmpfs -o mode=755 tmpfs /run
  mkdir /run/data /run/cgroup
  mount --bind data /run/data
  mount --rbind /sys/fs/cgroup /run/cgroup
  mount -t sysfs sysfs /sys
  mount --rbind /run/cgroup /sys/fs/cgroup
  hostname "$2"
  echo "{}" >/run/docker.json
  left=$7
  until ip link show dev eth0 >/dev/null 2>&1; do left=$((left - 1)); [ "$left" -gt 0 ]; sleep 0.1; done
  ip link set lo up
  ip addr add "$3" dev eth0
  ip link set eth0 up
  exec /usr/bin/docker-init -- dockerd --config-file /run/docker.json --host unix:///run/docker.sock \\
    --data-root /run/data --exec-root /run/docker --pidfile /run/docker.pid --cgroup-parent "/$6" \\
    --no-new-privileges --shutdown-timeout "$8" --dns-opt ndots:1 --log-opt max-size=10m --log-opt max-file=3
' sh "$@" </dev/null >log 2>&1 &
parent=$!
left=$7
until own=$(readlink "/proc/$parent/ns/net") && [ "$own" != "$(readlink /proc/self/ns/net)" ]; do
  left=$((left - 1))
  [ "$left" -gt 0 ] || { cat log >&2; echo 'no namespaces: unshare failed' >&2; exit 1; }
  sleep 0.1
done
ip link add "$5" type veth peer name eth0 netns "$parent"
ip link set "$5" master "$4" up
`;

// innermost first; with version 1 there is a tree for each controller. A group is busy until the last that
// was killed in it is gone, which takes its time on a crowded machine.
const clearing = `
ip link del "$2" 2>/dev/null
if ip link show dev "$2" >/dev/null 2>&1; then echo "the cable $2 cannot be removed" >&2; exit 1; fi
left=$3
while [ -n "$(find /sys/fs/cgroup -depth -type d -path "*/$1*" 2>/dev/null)" ]; do
  find /sys/fs/cgroup -depth -type d -path "*/$1*" -exec rmdir {} + 2>/dev/null && continue
  left=$((left - 1))
  [ "$left" -gt 0 ] || exit 0
  sleep 0.1
done
`;
