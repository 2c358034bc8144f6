// drain: the service is asked to end under load; readiness goes first, no request in flight is lost, and it exits 0.
import { Broken } from '../ladder.ts';
import type { Rung } from '../ladder.ts';
import type { Drill, Scene } from '../scene.ts';
import { mark, recoverFault, rung, soundAfter, soundBefore } from '../steps.ts';
import type { Sample } from '../timeline.ts';
import { openWriting, reckon } from '../writing.ts';
import type { Writing } from '../writing.ts';

export const drain: Drill = {
  name: 'drain',
  title: 'the service is asked to end (SIGTERM) while sixteen writers post orders',
  reproduce: 'post orders, and infra/control inject drain meanwhile',
  expect: '/ready turns to 503 draining while /health is still 200; writers that follow readiness see no failure; exit 0',
  recover: 'infra/control recover drain makes sure that the service runs again',
  takes: 'about 10 s',
  rungs: scene => {
    const writing = openWriting(scene);
    return [soundBefore(scene), drained(scene, writing), meanwhile(scene, writing), recoverFault(scene, 'drain'), reckon(scene, writing), soundAfter(scene, 'restarted')];
  },
};

function drained(scene: Scene, writing: Writing): Rung {
  return rung('fault', {
    'asked to end under load it exits 0': async say => {
      await writing.start(() => lastReady(scene)?.grade === 'good');
      try {
        await writing.promised(200);
        scene.timeline.mark('inject');
        const { stdout, ms } = await scene.inject('drain');
        scene.timeline.mark('injected');
        say(`ended ${ms} ms after SIGTERM with ${stdout.trim()}`);
        if (stdout.trim() !== 'exit 0') throw new Broken(`drain: wanted exit 0, saw ${stdout.trim() || 'nothing'}`);
      } finally {
        await writing.stop();
      }
    },
  });
}

function meanwhile(scene: Scene, writing: Writing): Rung {
  return rung('meanwhile', {
    'readiness fails first, with 503 draining': async say => {
      const first = sinceAsked(scene, sample => sample.lane === 'ready' && sample.grade !== 'good');
      const gone = sinceAsked(scene, sample => ['tcp', 'health'].includes(sample.lane) && sample.grade !== 'good');
      if (first?.word !== '503 draining') throw new Broken(`ready: wanted 503 draining first, saw ${first?.word ?? 'no change'}`);
      if (gone !== undefined && gone.toMs <= first.toMs) throw new Broken(`${gone.lane} was ${gone.word} before readiness failed`);
      say(`ready failed ${first.toMs - mark(scene, 'inject')} ms after SIGTERM was asked for, the port ${gone === undefined ? 'never' : `${gone.toMs - first.toMs} ms later`}`);
    },
    'a writer that follows readiness sees no failure': async say => {
      const failed = writing.attempts.filter(attempt => attempt.outcome !== 'acked');
      say(`${writing.count('acked')} orders accepted, ${failed.length} failed`);
      if (failed.length > 0) throw new Broken(`wanted no failed order, saw ${failed.length}: ${[...new Set(failed.map(attempt => attempt.said))].join(', ')}`);
    },
  });
}

function lastReady(scene: Scene): Sample | undefined {
  return scene.timeline.samples.findLast(sample => sample.lane === 'ready');
}

function sinceAsked(scene: Scene, fits: (sample: Sample) => boolean): Sample | undefined {
  return scene.timeline.samples.find(sample => sample.toMs >= mark(scene, 'inject') && fits(sample));
}
