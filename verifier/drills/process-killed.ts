// process-killed: the service is killed; its supervisor starts it again, and no order is lost.
import type { Drill, Scene } from '../scene.ts';
import type { Rung } from '../ladder.ts';
import { inTime, recoverFault, rung, soundAfter, soundBefore } from '../steps.ts';
import { until } from '../until.ts';

export const processKilled: Drill = {
  name: 'process-killed',
  title: 'the service is killed',
  reproduce: 'infra/control inject process-killed',
  expect: '/health fails at once; the supervisor starts the service again within 10 s',
  recover: 'nothing to do; infra/control recover process-killed makes sure that it runs. A new instance_id answers, every order is there',
  takes: 'about 7 s',
  rungs: scene => [soundBefore(scene), killed(scene), broughtBack(scene), recoverFault(scene, 'process-killed'), soundAfter(scene, 'restarted')],
};

function killed(scene: Scene): Rung {
  return rung('fault', {
    'health fails once the process is killed': async say => {
      scene.timeline.mark('inject');
      // looked at closely and from before the kill: a supervisor may need less than one sample of the timeline
      const failing = until(scene.api.health, answer => answer.status !== 200, scene.options.scaled(10_000), 10);
      const [told, health] = await Promise.all([scene.inject('process-killed'), inTime('health', failing)]);
      scene.timeline.mark('injected');
      say(`inject process-killed took ${told.ms} ms; health ${health.sight.state}`);
    },
  });
}

function broughtBack(scene: Scene): Rung {
  return rung('meanwhile', {
    'the supervisor starts it again by itself': async say => {
      const old = scene.before.version.instance_id;
      const another = await inTime('another instance', until(scene.api.version,
        answer => answer.value !== undefined && answer.value.instance_id !== old, scene.options.scaled(10_000), 20));
      say(`another instance answers ${scene.timeline.mark('another') - (scene.timeline.marks.get('inject') ?? 0)} ms after the kill: ${another.value?.instance_id}`);
    },
  });
}
