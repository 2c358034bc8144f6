// bad-credentials: the role's password changes under the service, which is then started anew with what is now a wrong one.
import type { Drill, Scene } from '../scene.ts';
import { Broken } from '../ladder.ts';
import type { Rung } from '../ladder.ts';
import { countRestarts, injectFault, inTime, recoverFault, rung, sitsThrough, soundAfter, soundBefore } from '../steps.ts';
import { until } from '../until.ts';

export const badCredentials: Drill = {
  name: 'bad-credentials',
  title: 'the database refuses the password of the service',
  reproduce: 'infra/control inject bad-credentials; and a start with the wrong password: infra/control inject process-killed',
  expect: 'TCP is held, /health 200, /ready 503 credentials_rejected, orders 503 with Retry-After; started anew it stays up: no crash loop',
  recover: 'infra/control recover bad-credentials; ready again within 2 s, without another start',
  takes: 'about 10 s',
  rungs: scene => [
    soundBefore(scene),
    injectFault(scene, 'bad-credentials'),
    rung('real', {
      'the password is rejected': async () => {
        await inTime('ready', until(scene.api.ready, rejected, scene.options.scaled(5_000)));
      },
    }),
    sitsThrough(scene, ['credentials_rejected']),
    startedWithIt(scene),
    recoverFault(scene, 'bad-credentials'),
    soundAfter(scene, 'restarted'),
  ],
};

const rejected = (answer: { value?: { reason: string | undefined } }) => answer.value?.reason === 'credentials_rejected';

/** A service that ended over a wrong password would be started again and again; this one has to stay. */
function startedWithIt(scene: Scene): Rung {
  const { scaled } = scene.options;
  return rung('started', {
    'started with the wrong password it stays up, alive and not ready': async say => {
      const old = scene.before.version.instance_id;
      await scene.inject('process-killed');
      const answer = await inTime('a new instance', until(scene.api.version, seen => seen.value !== undefined && seen.value.instance_id !== old, scaled(20_000)));
      await inTime('ready', until(scene.api.ready, rejected, scaled(5_000)));
      await staysUp(scene, answer.value?.instance_id);
      await countRestarts(scene, 1, say);
      await scene.recover('process-killed');
    },
  });
}

/** Looked at thirty times in three seconds: a crash loop would show another instance or no answer. */
async function staysUp(scene: Scene, instance: string | undefined): Promise<void> {
  let looks = 0;
  const seen = await inTime('thirty looks', until(async () => {
    const [health, version] = await Promise.all([scene.api.health(), scene.api.version()]);
    looks += 1;
    return { health: health.status, instance: version.value?.instance_id };
  }, ({ health, instance: now }) => looks >= 30 || health !== 200 || now !== instance, scene.options.scaled(10_000)));
  if (looks < 30) throw new Broken(`wanted instance ${instance} alive, saw health ${seen.health} of ${seen.instance} at look ${looks}`);
}
