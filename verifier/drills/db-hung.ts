// db-hung: the database is frozen; TCP to it is still accepted, and no answer ever comes.
import type { Drill } from '../scene.ts';
import { injectFault, inTime, recoverFault, rung, sitsThrough, soundAfter, soundBefore } from '../steps.ts';
import { until } from '../until.ts';

export const dbHung: Drill = {
  name: 'db-hung',
  title: 'the database is frozen, and still accepts connections',
  reproduce: 'infra/control inject db-hung',
  expect: 'TCP is held, /health 200, /ready 503 timeout within a second, orders 503 with Retry-After within 5 s: nothing waits for ever',
  recover: 'infra/control recover db-hung; ready again within 2 s, in the same process',
  takes: 'about 8 s',
  rungs: scene => [
    soundBefore(scene),
    injectFault(scene, 'db-hung'),
    rung('real', {
      // a database that was stopped would say connection_refused: only silence makes this reason
      'the database is silent': async say => {
        const seen = await inTime('ready', until(scene.api.ready, answer => answer.value?.reason === 'timeout', scene.options.scaled(5_000)));
        say(`ready says ${seen.status} ${seen.value?.reason}`);
      },
    }),
    sitsThrough(scene, ['timeout']),
    recoverFault(scene, 'db-hung'),
    soundAfter(scene, 'same'),
  ],
};
