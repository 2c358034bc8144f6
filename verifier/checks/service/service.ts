// What the checks of one service have in hand.
import type { Target } from '#infra/platform';
import type { Api, Version } from '../../client/api.ts';
import type { RungName } from '../rungs.ts';
import type { Wanted } from './build.ts';
import type { Promised } from '../ledger.ts';

export type Looking = {
  target: Target;
  /** Names target and rung. */
  at: (rung: RungName) => string;
  /** For what asks nobody; for readiness; for orders, which may wait for a connection and then for the database. */
  quick: Api;
  soon: Api;
  patient: Api;
  scaled: (ms: number) => number;
  /** How long something is watched. */
  span: (ms: number) => number;
  /** The request ids of all answers so far. */
  seen: Set<string>;
  build: () => Promise<Wanted>;
  /** The file of what this target has promised. */
  ledger: string;
  /** Who answered first, and when that was; undefined before. */
  first: { version: Version; atMs: number } | undefined;
  fleet: boolean;
  /** Of a fleet, where any replica may answer: how many there are. Undefined of one service. */
  replicas: () => Promise<number | undefined>;
  /** Everyone who has answered, by instance. */
  answered: Map<string, Version>;
  /** Every order of this run, by its id. */
  placed: Map<string, Promised>;
};
