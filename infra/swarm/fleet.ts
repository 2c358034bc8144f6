// The machines as one swarm: switched on, joined, and asked through whichever of them answers.
import { readFileSync } from 'node:fs';
import { join as pathOf } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Context } from '../context.ts';
import { Trouble, lastWords, linesOf } from '../docker/engine.ts';
import { Unreachable } from '../host.ts';
import type { Run, RunOptions } from '../host.ts';
import { machineKinds, messageOf } from '../platform.ts';
import type { MachineKind, Node } from '../platform.ts';
import { openEngines } from './engines.ts';
import { openGuests } from './guests.ts';
import type { Kind, Machine } from './machine.ts';
import { paceOf } from './pace.ts';

export type Fleet = Pick<Kind, 'machines' | 'needs' | 'start' | 'stop' | 'isRaised'> & {
  readonly kind: MachineKind;
  readonly scaled: (ms: number) => number;
  /** How often each machine tells the swarm that it lives. */
  readonly heartbeatMs: number;
  /** Those of the machines that are on. */
  on: () => Promise<Machine[]>;
  /** Every machine is on and a manager of the same swarm then, so that losing one leaves a quorum. */
  assemble: () => Promise<void>;
  disband: () => Promise<void>;
  /** A shell's script with arguments on a machine; gives its stdout, Trouble with its last words when it fails. */
  sh: (machine: Machine, script: string, args?: string[], options?: RunOptions) => Promise<string>;
  /** Asks the swarm, by the first manager that knows an answer. */
  ask: (argv: string[], options?: RunOptions) => Promise<string>;
  /** The first manager that knows the nodes of the swarm. */
  manager: () => Promise<Machine>;
  /** Changes the swarm, once, by that manager. Another would not know what came of it. */
  tell: (argv: string[], options?: RunOptions) => Promise<string>;
  /** Waits until the swarm knows each of these to be ready: machines that were started again are not at once. */
  awaitNodes: (some: readonly Machine[]) => Promise<void>;
};

const kinds: Record<MachineKind, (context: Context, nodes: readonly Node[]) => Kind> = {
  engines: openEngines, vagrant: openGuests,
};

/** The kind of machines that a swarm has is said at its first `up` (MACHINES), and remembered here until `destroy`. */
export function kindFile(state: string): string {
  return pathOf(state, 'swarm', 'machines');
}

/** What is remembered goes before what is said: `up` refuses another. */
export function kindOf(text: string | undefined, said: MachineKind | undefined): MachineKind {
  if (text === undefined) return said ?? 'engines';
  const kind = machineKinds.find(name => name === text.trim());
  if (kind === undefined) throw new Error(`these are no machines of a swarm: ${JSON.stringify(text)}`);
  return kind;
}

function remembered(state: string): string | undefined {
  try {
    return readFileSync(kindFile(state), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

export function openFleet(context: Context, nodes: readonly Node[]): Fleet {
  const { settings: { scaled, scale, state, machines: said } } = context;
  const name = kindOf(remembered(state), said);
  const kind = kinds[name](context, nodes);
  const { machines } = kind;
  const heartbeatMs = 5_000 * paceOf(scale);
  const sh: Fleet['sh'] = async (machine, script, args = [], options = {}) => {
    const run = await machine.host.run(['sh', '-c', script, 'sh', ...args], options);
    if (run.code === 0) return run.stdout;
    const { name } = machine.host;
    throw new Trouble(`${name}: ${lastWords(run.stderr) || `a command ended with ${run.code}`}`);
  };
  const first = async (argv: string[], options: RunOptions = {}) => {
    const reasons: string[] = [];
    for (const machine of machines) {
      if (!await machine.isOn()) continue;
      const run = await asked(machine, argv, { deadlineMs: scaled(20_000), ...options });
      if (run.code === 0) return { machine, stdout: run.stdout };
      reasons.push(`${machine.host.name}: ${lastWords(run.stderr, 1) || `exit ${run.code}`}`);
    }
    const why = reasons.join('; ') || 'all are off';
    throw new Trouble(`no manager of the swarm does ${argv.slice(0, 3).join(' ')}: ${why}`);
  };
  const listing = ['docker', 'node', 'ls', '--format', '{{.Hostname}} {{.Status}}'];
  const manager = async () => (await first(listing)).machine;
  const awaitNodes: Fleet['awaitNodes'] = async some => {
    const wanted = some.map(({ place }) => `${place.node.name} Ready`);
    const end = performance.now() + scaled(60_000);
    for (;;) {
      const seen = await first(listing).then(({ stdout }) => linesOf(stdout), messageOf);
      if (typeof seen !== 'string' && wanted.every(line => seen.includes(line))) return;
      const saw = typeof seen === 'string' ? seen : seen.join(', ');
      if (performance.now() > end) throw new Trouble(`the swarm has ${saw}, not ${wanted.join(', ')}`);
      await pause(scaled(200));
    }
  };
  return {
    ...kind, kind: name, scaled, heartbeatMs, sh, manager, awaitNodes,
    on: async () => {
      const are = await Promise.all(machines.map(machine => machine.isOn()));
      return machines.filter((_, i) => are[i]);
    },
    ask: async (argv, options) => (await first(argv, options)).stdout,
    tell: async (argv, options = {}) => {
      const { host } = await manager();
      const run = await host.run(argv, { deadlineMs: scaled(20_000), ...options });
      if (run.code === 0) return run.stdout;
      const why = lastWords(run.stderr) || `exit ${run.code}`;
      throw new Trouble(`${host.name}: ${argv.slice(0, 3).join(' ')}: ${why}`);
    },
    assemble: async () => {
      await kind.start(machines);
      await join({ machines, sh, scaled, heartbeatMs });
      await awaitNodes(machines);
    },
    disband: () => kind.remove(),
  };
}

/** One that went off a moment ago is no reason not to ask the next. */
async function asked({ host }: Machine, argv: string[], options: RunOptions): Promise<Run> {
  try {
    return await host.run(argv, options);
  } catch (error) {
    if (!(error instanceof Unreachable)) throw error;
    return { code: null, stdout: '', stderr: error.message, late: false };
  }
}

type Joining = Pick<Fleet, 'machines' | 'sh' | 'scaled' | 'heartbeatMs'>;

/** The first that is in a swarm already, else the first of all, takes in the others. */
async function join({ machines, sh, scaled, heartbeatMs }: Joining): Promise<void> {
  const asking = 'docker info --format "{{.Swarm.LocalNodeState}}"';
  const states = await Promise.all(machines.map(machine => sh(machine, asking)));
  const isIn = (i: number) => states[i]?.trim() !== 'inactive';
  // an engine that was just started is not active at once; of these two it does not get out by itself
  const lost = machines.filter((_, i) => ['error', 'locked'].includes(states[i]?.trim() ?? ''));
  if (lost.length > 0) {
    const names = lost.map(({ place }) => place.node.name).join(' ');
    throw new Trouble(`${names}: no longer taken in by the swarm; docker info on it says why, make logs what runs`);
  }
  const first = Math.max(0, machines.findIndex((_, i) => isIn(i)));
  const chief = machines[first];
  if (chief === undefined) return;
  const patience = { deadlineMs: scaled(90_000) };
  if (!isIn(first)) await sh(chief, founding, [chief.place.address, `${heartbeatMs}ms`], patience);
  const newcomers = machines.filter((machine, i) => machine !== chief && !isIn(i));
  if (newcomers.length > 0) {
    // with several of them the others may be needed for a quorum
    const token = (await sh(chief, 'exec docker swarm join-token -q manager', [], patience)).trim();
    for (const { place, ...machine } of newcomers) {
      await sh({ place, ...machine }, joining, [place.address, chief.place.address, token], patience);
    }
  }
}

// A node whose certificate has run out is lost, and one that is off cannot renew it: ten years, not 90 days. One that
// says nothing for three heartbeats is taken for lost.
const founding = `
exec docker swarm init --advertise-addr "$1" --cert-expiry 87600h --dispatcher-heartbeat "$2" >/dev/null`;
// An engine gives itself 20 s to say that it is in, and goes on by itself.
const joining = `
docker swarm join --advertise-addr "$1" --token "$3" "$2:2377" >/dev/null && exit
while state=$(docker info --format '{{.Swarm.LocalNodeState}}') && [ "$state" = pending ]; do sleep 1; done
[ "$state" = active ]`;
