// What a Compose stack is opened with, the images that it runs, and the faults that it knows.
import type { Host } from '../host.ts';
import type { Ended, FaultName, Node, Outcome, Spoilt } from '../platform.ts';
import type { Settings } from '../settings.ts';

export type StackOptions = {
  platform: 'docker' | 'vagrant';
  /** Where the engine runs: every command and file below is there. */
  host: Host;
  node: Node;
  /** The Compose project. */
  project: string;
  /** The state folder (on the operator's host) that owns this stack, a label: a foreign stack is never touched. */
  owner: string;
  /** Where the service is published. */
  address: string;
  port: number;
  /** The folder of this node's settings and secrets, and the one with docker-compose.yml and role.sh. */
  folder: string;
  infra: string;
  /** The host's packet filter is ours, as in a VM: port-dropped is possible. */
  firewall: boolean;
  settings: Settings;
  say: (line: string) => void;
};
export type Images = { service: string; database: string };
/** The images of this checkout; no `service` when what it holds now was never built. */
export type WantedImages = { service: string | undefined; database: string };
export type StackFaults = Record<FaultName, {
  inject: (spoilt?: readonly Spoilt[]) => Promise<Outcome<Ended[] | undefined>>;
  recover: (isUp: boolean) => Promise<Outcome>;
  /** On a node that was halted nothing is in place: `up` starts it whole. Throws when it cannot be seen. */
  inPlace: (isUp: boolean) => Promise<boolean>;
}>;
