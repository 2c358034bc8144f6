// Runs one drill as a test with a point for each step, mends what it left, and tells what was seen.
import type { TestContext } from 'node:test';
import { climb } from './ladder.ts';
import type { Stage } from './ladder.ts';
import { NotHere, faultsInPlace } from './scene.ts';
import type { Drill, Scene } from './scene.ts';
import { edges, lanes, stripChart } from './timeline.ts';

/** A drill that is not possible here is a skip with its reason; with STRICT it is red. */
export async function runDrill(t: TestContext, drill: Drill, scene: Scene): Promise<void> {
  const began = performance.now();
  let notHere: string | undefined;
  const stage: Stage = {
    test: (name, options, run) => t.test(name, options, async point => {
      try {
        await run(point);
      } catch (error) {
        if (!(error instanceof NotHere) || scene.options.strict) throw error;
        notHere = error.message;
        point.skip(`not run: ${notHere}`);
      }
    }),
  };
  try {
    await climb(stage, drill.rungs(scene), { label: drill.name, strict: scene.options.strict });
  } finally {
    await scene.close();
    await mendLeft(t, scene);
  }
  tellTimeline(scene).forEach(line => t.diagnostic(line));
  t.diagnostic(`${drill.name} took ${Math.round(performance.now() - began)} ms`);
  if (notHere !== undefined) t.skip(`not run: ${notHere}`);
}

/** A drill that broke half way has not come to its recovery; the next one shall not find its fault. */
async function mendLeft(t: TestContext, { control, target }: Scene): Promise<void> {
  const left = await faultsInPlace(control, target.node);
  if (left.length === 0) return;
  const { exit } = await control.recover();
  t.diagnostic(exit === 0 ? `undone: ${left.join(', ')}` : `not undone: ${left.join(', ')}`);
}

function tellTimeline(scene: Scene): string[] {
  if (!scene.begun) return [];
  const { samples } = scene.timeline;
  const changes = lanes.map(lane => {
    const seen = edges(samples, lane).map(({ atMs, from, to }) => `${atMs} ms ${from} -> ${to}`);
    return `${lane}: ${seen.slice(0, 12).join(', ') || 'no change'}${seen.length > 12 ? `, and ${seen.length - 12} more` : ''}`;
  });
  return [...changes, ...stripChart(scene.timeline)];
}
