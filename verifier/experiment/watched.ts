// What a drill's timeline came to, as data for its evidence.
import type { Watched } from '../results/watched.ts';
import type { Drill } from './drill.ts';
import type { Experiment } from './experiment.ts';

/** Only of an experiment that has begun. */
export function watchedOf({ name }: Drill, { target, timeline, measured }: Experiment): Watched {
  const { samples, marks } = timeline;
  return {
    drill: name, node: target.node, samples: [...samples], marks: Object.fromEntries(marks), times: [...measured],
  };
}
