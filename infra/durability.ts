// How safe a commit is, by what the database says itself: one question for every platform, its answer read strictly.
import type { Durability } from './platform.ts';

const settings = ['fsync', 'full_page_writes', 'synchronous_commit', 'data_checksums'] as const;

/** SQL for one value: a JSON object with these settings. */
export const durabilityInSql =
  `json_build_object(${settings.map(name => `'${name}', current_setting('${name}')`).join(', ')})`;

/** Throws with what it was given instead. */
export function parseDurability(value: unknown): Durability {
  const [fsync, full_page_writes, synchronous_commit, data_checksums] = settings.map(name => textAt(value, name));
  if (fsync && full_page_writes && synchronous_commit && data_checksums) {
    return { fsync, full_page_writes, synchronous_commit, data_checksums };
  }
  throw new Error(`the database's settings are ${JSON.stringify(value)}, which has not all of ${settings.join(' ')}`);
}

function textAt(value: unknown, name: string): string {
  const found = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
  return typeof found === 'string' ? found : '';
}
