// The password of the database is in no log, whatever the service has been through.
import { Broken } from '../checks/climb.ts';
import type { Check } from '../checks/climb.ts';
import type { Experiment } from './experiment.ts';

/** Looked for where the password and the logs are: neither comes here. */
export function logsKeepSecret({ control, target: { node } }: Experiment): Check {
  return { id: 'secret-kept', claim: 'the password of the database is in no log', run: async () => {
    const outcome = await control.leaks(node);
    if (!('done' in outcome)) throw new Broken(`logs: ${Object.values(outcome).join()}`);
    if (outcome.done.length > 0) throw new Broken(`logs: wanted no password, saw it in ${outcome.done.join(', ')}`);
  } };
}
