// What every platform is: its verbs, its faults, and what it tells. The compiler checks all three against this file.

/**
 * A node of vagrant/nodes.txt. `local` is its loopback address on the platforms process and docker, `address` its
 * address as a VM.
 */
export type Node = { name: string; local: string; address: string };
export type Target = { node: string; host: string; port: number };

export const platformNames = ['vagrant', 'docker', 'process'] as const;
export type PlatformName = (typeof platformNames)[number];

/** What became of an act: a value, never an exit code or a sentence to be matched. */
export type Outcome<T = void> = { done: T } | { impossible: string } | { failed: string };

/** A request that makes no sense: exit 2, with what would be right. Thrown before anything is done. */
export class Misunderstood extends Error {}

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
  'drain', 'config-refused',
] as const;
export type FaultName = (typeof faultNames)[number];
/** The setting that `config-refused` spoils in a throw-away second service. */
export type Spoilt = { variable: string; how: 'missing' | 'malformed' };
/** How a service that a fault made end has ended: exit code, ms until then, and its stderr (config-refused only). */
export type Ended = { exit: number | null; ms: number; stderr: string };

/**
 * One fault of a platform, on one node. `inject` and `recover` may each run twice. `inPlace` says whether it is there
 * now, by looking: a fault that healed by itself (a killed process that its supervisor has started again) is not. It
 * throws when it cannot tell. `inject` gives `Ended` for the faults that end a service (drain, config-refused), else
 * undefined.
 */
export type Fault = {
  inject: (node: Node, spoilt?: Spoilt) => Promise<Outcome<Ended | undefined>>;
  recover: (node: Node) => Promise<Outcome>;
  inPlace: (node: Node) => Promise<boolean>;
};
export type Faults = Record<FaultName, Fault>;

export type Platform = {
  readonly name: PlatformName;
  /** Returns when every node is verifiable, or says why not; what is up already stays up. */
  up: (nodes: Node[]) => Promise<Outcome>;
  /** Services first, then machines; the data is kept. */
  halt: (nodes: Node[]) => Promise<Outcome>;
  /** Removes everything that `up` made, the data too. */
  destroy: (nodes: Node[]) => Promise<Outcome>;
  /** A line a node for people, and whether all that was started on it runs. */
  status: (nodes: Node[]) => Promise<{ node: string; line: string; runs: boolean }[]>;
  /** Writes the last lines of every log with `write`, each with its node and program in front. */
  logs: (nodes: Node[], write: (line: string) => void) => Promise<Outcome>;
  /** Where the service is reached on those of the nodes that are up. Looks at files only, sends nothing. */
  targets: (nodes: Node[]) => Promise<Target[]>;
  facts: (node: Node) => Promise<Outcome<Facts>>;
  /** Undoes whatever was broken on a node, known or not; starts nothing on a node that was halted. */
  mend: (node: Node) => Promise<Outcome>;
  readonly faults: Faults;
};

/** What the platform knows of a node's two programs. */
export type Facts = ProcessFacts | ContainerFacts;
export type ProgramFacts = {
  pid: number | null; state: string; restart_count: number; started_at: string | null; listening: string[] | null;
};
export type ProcessFacts = {
  platform: 'process'; node: string; containers: false; reason: string; user: string;
  api: ProgramFacts; db: ProgramFacts;
};
export type ContainerFacts = { platform: 'docker' | 'vagrant'; node: string; containers: true; api: Box; db: Box };

/**
 * One container: what the engine was told, what its image says, and what the kernel says of its first process (null:
 * none runs).
 */
export type Box = {
  image_id: string; image: string; base: Base; user: string; published: string[]; networks: string[];
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
