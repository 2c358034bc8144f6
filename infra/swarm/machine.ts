// What a swarm is made of: machines of one kind, whatever that is.
import type { Host } from '../host.ts';
import type { Node, PlatformName } from '../platform.ts';

/** `host` runs commands inside; it throws Unreachable while the machine is off. */
export type Machine = {
  /** `address`: where the others of the swarm, and this host, reach it. */
  readonly place: { readonly node: Node; readonly address: string };
  readonly host: Host;
  isOn: () => Promise<boolean>;
  /** As a power cut: whatever runs in it is gone at once. */
  cut: () => Promise<void>;
  /** Pulls or plugs the cable. */
  plug: (isIn: boolean) => Promise<void>;
  isPlugged: () => Promise<boolean>;
  /** As long as `act` runs these files of this host can be read inside, each under the path that `at` gives. */
  lend: <T>(files: readonly string[], act: (at: (file: string) => string) => Promise<T>) => Promise<T>;
};

export type Kind = {
  readonly machines: readonly Machine[];
  /** The platform whose needs are those of this kind. */
  readonly needs: PlatformName;
  /** Returns when the engine of each answers, and what joins them is there; one that runs already is left as it is. */
  start: (some: readonly Machine[]) => Promise<void>;
  /** In order: containers first. The data is kept. */
  stop: (some: readonly Machine[]) => Promise<void>;
  /** All of them off, without their data, and what joined them gone. */
  remove: () => Promise<void>;
  /** While it is not, nothing of the swarm can be reached: nothing is sent then. */
  isRaised: () => Promise<boolean>;
};
