// mid-flight: the database is killed while sixteen writers post; what was promised is there, what was refused is not, nothing twice.
import type { Rung } from '../ladder.ts';
import type { Drill, Scene } from '../scene.ts';
import { inTime, onlyGood, rung, servedAgain, soundAfter, soundBefore } from '../steps.ts';
import { until } from '../until.ts';
import { openWriting, reckon } from '../writing.ts';
import type { Writing } from '../writing.ts';

export const midFlight: Drill = {
  name: 'mid-flight',
  title: 'the database is killed while sixteen writers post orders (KILLS=3 times)',
  reproduce: 'post orders with an Idempotency-Key each, and infra/control inject db-killed meanwhile',
  expect: 'every answer within 5 s; no order that was accepted is lost or changed, none is there twice, none that was refused is there',
  recover: 'infra/control recover db-killed; an order of unknown outcome is sent again with the same key',
  takes: 'about 45 s with three kills',
  rungs: scene => {
    const writing = openWriting(scene);
    return [soundBefore(scene), killed(scene, writing), meanwhile(scene), reckon(scene, writing), soundAfter(scene, 'same')];
  },
};

function killed(scene: Scene, writing: Writing): Rung {
  return rung('fault', {
    [`the database is killed ${scene.kills} times under sixteen writers`]: async say => {
      await writing.start();
      try {
        scene.timeline.mark('inject');
        for (let kill = 1; kill <= scene.kills; kill += 1) await killOnce(scene, writing);
        await servedAgain(scene, say);
        await writing.promised(100);
      } finally {
        await writing.stop();
      }
    },
  });
}

/** Real when a writer noticed: a supervisor may have the database back before any sample of the timeline. */
async function killOnce(scene: Scene, writing: Writing): Promise<void> {
  const turnedAway = () => writing.count('refused') + writing.count('ambiguous');
  await writing.promised(200);
  const before = turnedAway();
  await scene.inject('db-killed');
  await inTime('a writer that notices', until(async () => turnedAway(), count => count > before, scene.options.scaled(10_000), 20));
  // of several kills the last one's marks stay, and recovery is measured from there
  scene.timeline.mark('recover');
  await scene.recover('db-killed');
  scene.timeline.mark('recovered');
}

function meanwhile(scene: Scene): Rung {
  return rung('meanwhile', {
    'TCP is accepted and held': async () => onlyGood(scene, 'tcp'),
    'health is 200': async () => onlyGood(scene, 'health'),
  });
}
