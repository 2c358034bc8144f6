// The machines as one swarm: switched on, joined, and asked through whichever of them answers.
import { setTimeout as pause } from 'node:timers/promises';
import type { Context } from '../context.ts';
import { Trouble, lastWords, linesOf } from '../docker/engine.ts';
import type { RunOptions } from '../host.ts';
import type { Node } from '../platform.ts';
import { isRaised, lowerBridge, raiseBridge } from './bridge.ts';
import { openMachine } from './machine.ts';
import type { Machine } from './machine.ts';
import { placesOf } from './places.ts';
import type { Places } from './places.ts';

export type Fleet = {
  readonly machines: readonly Machine[];
  readonly places: Places;
  /** Every machine is on and a manager of the same swarm then, so that losing one leaves a quorum. */
  assemble: () => Promise<void>;
  disband: () => Promise<void>;
  isRaised: () => Promise<boolean>;
  /** A shell's script with arguments on a machine; gives its stdout, Trouble with its last words when it fails. */
  sh: (machine: Machine, script: string, args?: string[], options?: RunOptions) => Promise<string>;
  /** Asks the swarm, by the first manager that knows an answer. */
  ask: (argv: string[], options?: RunOptions) => Promise<string>;
};

export function openFleet({ settings, local }: Context, nodes: readonly Node[]): Fleet {
  const { scaled } = settings;
  const places = placesOf(settings.state, nodes);
  const machines = places.places.map(place => openMachine(place, { ...places, local, settings }));
  const sh: Fleet['sh'] = async (machine, script, args = [], options = {}) => {
    const run = await machine.host.run(['sh', '-c', script, 'sh', ...args], options);
    if (run.code === 0) return run.stdout;
    const { name } = machine.host;
    throw new Trouble(`${name}: ${lastWords(run.stderr) || `a command ended with ${run.code}`}`);
  };
  const ask: Fleet['ask'] = async (argv, options = {}) => {
    const reasons: string[] = [];
    for (const machine of machines.filter(one => one.isOn())) {
      const run = await machine.host.run(argv, { deadlineMs: scaled(20_000), ...options });
      if (run.code === 0) return run.stdout;
      reasons.push(`${machine.host.name}: ${lastWords(run.stderr, 1) || `exit ${run.code}`}`);
    }
    const why = reasons.join('; ') || 'all are off';
    throw new Trouble(`no manager of the swarm does ${argv.slice(0, 3).join(' ')}: ${why}`);
  };
  return {
    machines, places, sh, ask,
    assemble: async () => {
      await raiseBridge(local, places, scaled(20_000));
      await Promise.all(machines.map(machine => machine.start()));
      await join({ machines, sh, scaled });
    },
    disband: async () => {
      await Promise.all(machines.map(machine => machine.remove()));
      await lowerBridge(local, places, scaled(20_000));
    },
    isRaised: () => isRaised(local, places),
  };
}

type Joining = Pick<Fleet, 'machines' | 'sh'> & { scaled: (ms: number) => number };

/** The first that is in a swarm already, else the first of all, takes in the others. */
async function join({ machines, sh, scaled }: Joining): Promise<void> {
  const asking = 'docker info --format "{{.Swarm.LocalNodeState}}"';
  const states = await Promise.all(machines.map(machine => sh(machine, asking)));
  const isIn = (i: number) => states[i]?.trim() !== 'inactive';
  const first = Math.max(0, machines.findIndex((_, i) => isIn(i)));
  const chief = machines[first];
  if (chief === undefined) return;
  const patience = { deadlineMs: scaled(90_000) };
  if (!isIn(first)) await sh(chief, founding, [chief.place.address], patience);
  const newcomers = machines.filter((machine, i) => machine !== chief && !isIn(i));
  if (newcomers.length > 0) {
    // with several of them the others may be needed for a quorum
    const token = (await sh(chief, 'exec docker swarm join-token -q manager', [], patience)).trim();
    for (const { place, ...machine } of newcomers) {
      await sh({ place, ...machine }, joining, [place.address, chief.place.address, token], patience);
    }
  }
  // engines that were started again have no leader at once
  const ready = async () => linesOf(await sh(chief, listing, [], patience).catch(() => ''));
  const wanted = machines.map(({ place }) => `${place.node.name} Ready`);
  const end = performance.now() + scaled(60_000);
  for (let seen = await ready(); !wanted.every(line => seen.includes(line)); seen = await ready()) {
    const saw = seen.join(', ') || 'no leader';
    if (performance.now() > end) throw new Trouble(`the swarm has ${saw}, not ${wanted.join(', ')}`);
    await pause(scaled(200));
  }
}

const founding = 'exec docker swarm init --advertise-addr "$1" --task-history-limit 2 >/dev/null';
const listing = 'exec docker node ls --format "{{.Hostname}} {{.Status}}"';
const joining = 'exec docker swarm join --advertise-addr "$1" --token "$3" "$2:2377" >/dev/null';
