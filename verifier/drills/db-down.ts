// db-down: the database is stopped; the service stays up, says so, and heals by itself.
import { Broken } from '../ladder.ts';
import type { Drill } from '../scene.ts';
import { injectFault, recoverFault, rung, sitsThrough, soundAfter, soundBefore } from '../steps.ts';

export const dbDown: Drill = {
  name: 'db-down',
  title: 'the database is stopped',
  reproduce: 'infra/control inject db-down',
  expect: 'TCP is held, /health 200, /ready 503 connection_refused or unreachable within a second, orders 503 with Retry-After',
  recover: 'infra/control recover db-down; ready again within 2 s, in the same process',
  takes: 'about 6 s',
  rungs: scene => [
    soundBefore(scene),
    injectFault(scene, 'db-down'),
    rung('real', {
      'the database does not run': async say => {
        const { databaseState } = await scene.facts();
        say(`database ${databaseState}`);
        if (databaseState === undefined || databaseState === 'running') throw new Broken(`the database: wanted it stopped, saw ${databaseState ?? 'no fact about it'}`);
      },
    }),
    sitsThrough(scene, ['connection_refused', 'unreachable']),
    recoverFault(scene, 'db-down'),
    soundAfter(scene, 'same'),
  ],
};
