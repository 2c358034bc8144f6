// What every platform is: its verbs, its faults, and what it tells. The compiler checks all three against this file.
import type { Run, RunOptions } from './host.ts';

/**
 * A node of vagrant/nodes.txt. `local` is its loopback address on the platforms process and docker, `address` its
 * address as a VM.
 */
export type Node = { name: string; local: string; address: string };
export type NodeState = { node: string; line: string; runs: boolean };
export type Target = { node: string; host: string; port: number };

/** Best first; `swarm` stands behind the one that can always be tried, so that it is never chosen by itself. */
export const platformNames = ['vagrant', 'docker', 'process', 'swarm'] as const;
export type PlatformName = (typeof platformNames)[number];
/** The machines of a swarm: engines in namespaces of this machine, or those of vagrant/Vagrantfile. */
export const machineKinds = ['engines', 'vagrant'] as const;
export type MachineKind = (typeof machineKinds)[number];

/** What became of an act: a value, never an exit code or a sentence to be matched. */
export type Outcome<T = void> = { done: T } | { impossible: string } | { failed: string };

/** A request that makes no sense: exit 2, with what would be right. Thrown before anything is done. */
export class Misunderstood extends Error {}

/** A build that did not become ready gave way to the one before it, which serves again: `up` failed, and says why. */
export class RolledBack extends Error {}

/** What an act came to. What it throws (a host that does not answer) is a failure with its words. */
export async function answered<T>(act: () => Promise<Outcome<T>>): Promise<Outcome<T>> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof Misunderstood) throw error;
    return { failed: messageOf(error) };
  }
}

/** What was thrown, in its own words. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export const faultNames = [
  'db-down', 'db-killed', 'db-hung', 'bad-credentials', 'port-closed', 'port-dropped', 'process-killed', 'service-down',
  'drain', 'config-refused', 'service-frozen', 'old-build', 'table-locked', 'disk-full', 'orders-lost', 'loosened',
  'db-slow', 'network-cut', 'connections-exhausted', 'db-restarted', 'read-only', 'right-revoked',
  'upgrade', 'bad-upgrade', 'power-cut', 'tables-lost',
  'replica-killed', 'leader-killed', 'leader-frozen', 'standby-lost', 'node-lost', 'leader-node-lost', 'split',
] as const;
export type FaultName = (typeof faultNames)[number];
/** What `old-build` has the service say of itself: no checkout ever made it. */
export const oldBuild = { GIT_SHA: '0ddba11'.padEnd(40, '0'), BUILD_TIME: '2020-02-02T02:02:02Z' };
/** What `upgrade` and `bad-upgrade` have it say; the second looks for its orders where there is no database. */
export const newBuild = { GIT_SHA: '0ddba12'.padEnd(40, '0'), BUILD_TIME: '2030-03-03T03:03:03Z' };
export const badBuild = {
  GIT_SHA: '0ddba13'.padEnd(40, '0'), BUILD_TIME: '2030-03-03T03:03:03Z', DATABASE_NAME: 'no_such_database',
};
export const waysToSpoil = ['missing', 'malformed', 'misspelt'] as const;
/**
 * The setting that `config-refused` spoils in a throw-away second service: taken away, given the malformed `value`, or
 * misspelt, with that value, beside all that are right.
 */
export type Spoilt = { variable: string; how: (typeof waysToSpoil)[number]; value?: string };

/** `DATABASE_HOST` to `DATABASE_HOTS`. */
export function misspell(variable: string): string {
  return variable.replace(/(.)(.)$/, '$2$1');
}

/** Settings with one of them spoilt, once for each. Throws Misunderstood when it is none of them, or none is given. */
export function spoilEach(
  settings: Readonly<Record<string, string>>, spoilt: readonly Spoilt[] = [],
): Record<string, string>[] {
  if (spoilt.length === 0) throw new Misunderstood(`inject config-refused VARIABLE ${waysToSpoil.join('|')}`);
  return spoilt.map(one => spoil(settings, one));
}

function spoil(settings: Readonly<Record<string, string>>, spoilt: Spoilt): Record<string, string> {
  const { variable, how, value = '%bad%' } = spoilt;
  if (how === 'misspelt') return { ...settings, [misspell(variable)]: value };
  const { [variable]: taken, ...others } = settings;
  if (taken !== undefined) return how === 'malformed' ? { ...others, [variable]: value } : others;
  throw new Misunderstood(`no setting ${variable}; known: ${Object.keys(settings).join(' ')}`);
}
/**
 * How a service that a fault made end has ended: exit code, ms until then, and its stderr (config-refused only). Of
 * bad-upgrade it is how `up` would have ended, which has rolled back: 1, and what it said.
 */
export type Ended = { exit: number | null; ms: number; stderr: string };

/**
 * One fault of a platform, on one node. `inject` and `recover` may each run twice. `inPlace` says whether it is there
 * now, by looking: a fault that healed by itself (a killed process that its supervisor has started again) is not. It
 * throws when it cannot tell. `inject` gives an `Ended` for the service that drain or bad-upgrade ends, one for each
 * `spoilt` setting of config-refused, else undefined.
 */
export type Fault = {
  inject: (node: Node, spoilt?: readonly Spoilt[]) => Promise<Outcome<Ended[] | undefined>>;
  recover: (node: Node) => Promise<Outcome>;
  inPlace: (node: Node) => Promise<boolean>;
};
export type Faults = Record<FaultName, Fault>;
/** What only a fleet can suffer, and why no other platform does. */
export const fleetFaults = [
  'replica-killed', 'leader-killed', 'leader-frozen', 'standby-lost', 'node-lost', 'leader-node-lost', 'split',
] as const satisfies readonly FaultName[];
export type FleetFaultName = (typeof fleetFaults)[number];
export function isOfFleet(name: FaultName): name is FleetFaultName {
  return fleetFaults.some(one => one === name);
}
export const noFleet = 'a fault of a fleet: make up PLATFORM=swarm';

/**
 * Runs a shell script beside a node's database: psql, pg_dump and pg_restore are found there and log in as the
 * superuser by themselves. As `Host.run` else.
 */
export type InDatabase = (script: string, options?: RunOptions) => Promise<Run>;
/** `files`: the dump and all that lies beside it. */
export type Backup = {
  file: string; ledger: string; files: string[]; orders: number; bytes: number; ms: number;
};
export type Restored = { orders: number; ms: number };

export type Platform = {
  readonly name: PlatformName;
  /**
   * Returns when every node is verifiable, or says why not; what is up already stays up. Where nodes are machines, each
   * of `all` is brought online.
   */
  up: (nodes: Node[], all?: readonly Node[]) => Promise<Outcome>;
  /** Services first, then machines; the data is kept. */
  halt: (nodes: Node[]) => Promise<Outcome>;
  /** Removes everything that `up` made, the data too. */
  destroy: (nodes: Node[]) => Promise<Outcome>;
  /** A line a node for people, and whether all that was started on it runs. */
  status: (nodes: Node[]) => Promise<NodeState[]>;
  /** Writes the last lines of every log with `write`, each with its node and program in front. */
  logs: (nodes: Node[], write: (line: string) => void) => Promise<Outcome>;
  /** Where the service is reached on those of the nodes that are up. Looks at files only, sends nothing. */
  targets: (nodes: Node[]) => Promise<Target[]>;
  facts: (node: Node) => Promise<Outcome<Facts>>;
  /** Of a node's own machine, asked in there; not possible where nodes are no machines of their own. */
  machine: (node: Node, services: readonly Target[]) => Promise<Outcome<MachineFacts>>;
  /** The programs in whose logs the password of the service's role stands: there should be none. */
  leaks: (node: Node) => Promise<Outcome<string[]>>;
  /** Of a node that is up. */
  inDatabase: (node: Node) => InDatabase;
  /** Undoes whatever was broken on a node, known or not; starts nothing on a node that was halted. */
  mend: (node: Node) => Promise<Outcome>;
  readonly faults: Faults;
};

/** `address` is the one that nodes.txt gives it, `addresses` those that it has. */
export type MachineFacts = {
  node: string; address: string; hostname: string; addresses: string[]; boot_id: string; reached: Reached[];
};
/** What came of asking a service for its /version from within a machine. */
export type Reached = { node: string } & ({ status: number; instance_id: string } | { trouble: string });

/** What the platform knows of a node's two programs. */
export type Facts = ProcessFacts | ContainerFacts | SwarmFacts;
export type ProgramFacts = {
  pid: number | null; state: string; restart_count: number; started_at: string | null; listening: string[] | null;
};
/** What the database says of how safe a commit is, in its own words: `on`, `off`, `local` … */
export type Durability = {
  fsync: string; full_page_writes: string; synchronous_commit: string; data_checksums: string;
};
/**
 * `boot_id` is of the machine that the programs run on; `durability` null when the database does not answer; `disk_mb`
 * the size of the disk that is the database's own, null when there is none.
 */
type NodeFacts = { node: string; boot_id: string; durability: Durability | null; disk_mb: number | null };
export type ProcessFacts = NodeFacts & {
  platform: 'process'; containers: false; reason: string; user: string; api: ProgramFacts; db: ProgramFacts;
};
export type ContainerFacts = NodeFacts & {
  platform: 'docker' | 'vagrant'; containers: true; api: Box; db: Box; stack: StackFacts;
};
/**
 * Of a whole swarm: each task that runs. `leaders` are the services of those members of the database that take writes,
 * of which there should be one; `api` says of all replicas what can be said of one program, `db` of the leader.
 * `nodes` are the machines that it should have, `cut_off` those that run without a cable. `members` is what Patroni
 * tells, `synchronous` the leader's own synchronous_standby_names: null while nobody tells. `networks` are those that
 * tasks are on, as each machine's engine has them. `settings` is what the replicas were given.
 */
export type SwarmFacts = NodeFacts & {
  platform: 'swarm'; containers: 'tasks'; tasks: Task[]; leaders: string[]; access: Access | null;
  nodes: string[]; cut_off: string[];
  members: { name: string; role: 'leader' | 'confirms' | 'follows'; streams: boolean }[] | null;
  synchronous: string | null;
  networks: (Inspected & { node: string })[];
  services: { name: string; running: number; wanted: number }[];
  settings: Record<string, string>;
  /** The images of this checkout: undefined when what it holds now was never built. */
  wanted: Record<'service' | 'database' | 'etcd' | 'router', string | undefined>;
  api: ProgramFacts; db: ProgramFacts;
};
/**
 * `name` is the container's; `values` as in InspectedContainer, `image` what it inherits; `way_to_database` as in
 * StackFacts, null for what is no replica.
 */
export type Task = {
  service: string; node: string; id: string; name: string; box: Box; values: Record<string, Json>;
  image: Record<string, Json>; way_to_database: string | null;
};

export type Json = string | number | boolean | null | Json[] | { [name: string]: Json };
/** Something in the engine: its settings by their path (`HostConfig.Memory`), but for those that are empty or off. */
export type Inspected = { name: string; values: Record<string, Json> };
/** `image`: what it inherits from its image; undefined for one that is neither the service's nor the database's. */
export type InspectedContainer = Inspected & {
  id: string; service: string; state: string; image: Record<string, Json> | undefined;
};
/**
 * All that belongs to a node's stack: containers in any state, networks with their members, its volume; and what `up`
 * was given: `settings` as Compose reads them, the `owner`, the folders with secrets and with role.sh.
 */
export type StackFacts = {
  project: string; owner: string; secrets: string; infra: string; settings: Record<string, string>;
  /** The images of this checkout: `service` is undefined when what it holds now was never built. */
  wanted: { service: string | undefined; database: string };
  engine: { cgroup: string; runtime: string };
  containers: InspectedContainer[]; networks: Inspected[]; volumes: Inspected[];
  access: Access | null;
  /** What came of a connection from inside the service's container to db:5432: `connected`, or why not. */
  way_to_database: string | null;
};
/** Who gets into the database: `with_password` are those of the superusers that could log in over the network. */
export type Access = { superusers: string[]; with_password: string[]; network_rules: string[] };

/**
 * One container: what the engine was given, what its image says, and what the kernel says of its first process (null:
 * none runs).
 */
export type Box = {
  image_id: string; image: string; repo_digests: string[]; base: Base; user: string;
  published: string[]; networks: string[];
  read_only: boolean; privileged: boolean; cap_add: string[]; cap_drop: string[]; pids_limit: number | null;
  memory: number; restart_policy: string; restart_count: number; started_at: string; state: string;
  health: string | null; uid: number | null; cap_eff: string | null; cap_bnd: string | null;
  no_new_privileges: boolean | null; seccomp: number | null; listening: string[] | null;
};
/**
 * The base image by name and digest; `stand_in` when it was built here in place of the pinned one, `made_of` then
 * says from what.
 */
export type Base = { name: string; digest: string; stand_in: boolean; made_of: string };
