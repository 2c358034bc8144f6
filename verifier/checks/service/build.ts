// What the service has to be built from: this checkout, or what COMMIT names.
import { buildHere } from '#infra/build';
import type { Options } from '../../options.ts';

/** `unknown` is why nobody can tell. */
export type Wanted = { commit: string; version?: string } | { unknown: string };

/** Asked when a climb gets there, and then remembered. */
export function wantedBuild(options: Options): () => Promise<Wanted> {
  let wanted: Promise<Wanted> | undefined;
  return () => wanted ??= findWanted(options);
}

async function findWanted(options: Options): Promise<Wanted> {
  const { commit, targets, given } = options;
  if (commit !== undefined) return { commit };
  if (targets.length > 0) return { unknown: 'what these TARGETS should run is not known here; COMMIT= names it' };
  const image = given.ORDERS_IMAGE;
  if (image !== undefined) return { unknown: `the image ${image} was not built here; COMMIT= names its commit` };
  return buildHere(options);
}

/** The commit itself; a whole one also by its first seven letters or more. */
export function isCommit(saw: string, wanted: string): boolean {
  return saw === wanted || (/^[0-9a-f]{7,39}$/.test(wanted) && /^[0-9a-f]{40}$/.test(saw) && saw.startsWith(wanted));
}
