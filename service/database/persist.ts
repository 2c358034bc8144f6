// Work that is done again when a connection died under it. It must be work that may be done twice.
import { LaneError } from './lane.ts';
import type { Turn } from './pool.ts';
import type { Schema } from './schema.ts';
import { parseCode } from './errors.ts';

const MORE_TRIES = 2;

/** eager: see to the tables before the first try, not only when one is missed. */
export type Persistence = { turn: Turn; schema: Schema; eager: boolean };

/** again tells work that a try before this one may have come to something. Throws LaneError with the doubt of all tries. */
export async function persist<T>({ turn, schema, eager }: Persistence, work: (again: boolean) => Promise<T>): Promise<T> {
  let maybeApplied = false;
  let tablesFirst = eager;
  for (let more = MORE_TRIES; ; more -= 1) {
    try {
      if (tablesFirst) await schema.ensure(turn.run);
      return await work(maybeApplied);
    } catch (error) {
      if (!(error instanceof LaneError)) throw error;
      // One try may have been cut off after the order was stored, and the last one never have been sent.
      maybeApplied ||= error.maybeApplied;
      const { reason } = parseCode(error.code);
      if (more === 0 || (reason !== 'connection_lost' && reason !== 'schema_failed')) throw new LaneError(error.code, maybeApplied, error);
      tablesFirst = eager || reason === 'schema_failed';
      if (reason === 'schema_failed') schema.doubt();
    }
  }
}
