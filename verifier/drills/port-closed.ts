// port-closed: clients cannot reach the service's port; verify is red at the bottom rung and runs nothing above it.
import type { Drill, Scene } from '../scene.ts';
import { Broken } from '../ladder.ts';
import type { Rung } from '../ladder.ts';
import { brokenPoints, openPrograms } from '../programs.ts';
import { injectFault, inTime, recoverFault, rung, soundAfter, soundBefore } from '../steps.ts';
import { probe } from '../tcp.ts';
import { until } from '../until.ts';

export const portClosed: Drill = {
  name: 'port-closed',
  title: 'the TCP port of the service is closed',
  reproduce: 'infra/control inject port-closed',
  expect: 'make verify is red at reachable, everything above it is skipped, exit 1',
  recover: 'infra/control recover port-closed; make verify is green again',
  takes: 'about 20 s',
  rungs: scene => unreachable(scene, 'port-closed'),
};

/** The whole drill; only the way in which the port is taken away differs. */
export function unreachable(scene: Scene, fault: string): Rung[] {
  return [
    soundBefore(scene),
    injectFault(scene, fault),
    rung('real', {
      'TCP is not held': async say => {
        const { scaled } = scene.options;
        const sight = await inTime('TCP', until(() => probe(scene.target, scaled(2_000)), ({ state }) => state !== 'held', scaled(10_000)));
        say(`the port is ${sight.state}`);
      },
    }),
    rung('meanwhile', { 'verify is red at reachable, all above it skipped': () => verifyIsRed(scene) }),
    recoverFault(scene, fault, { cutOff: true }),
    rung('verified', { 'verify is green again': () => verifyIsGreen(scene) }),
    soundAfter(scene, 'any'),
  ];
}

async function verifyIsRed(scene: Scene): Promise<void> {
  const { exit, points } = await openPrograms().verify(scene.target.node, scene.options.scaled(60_000));
  // that the fault is in place is told as well, and red: it is what this drill has done itself
  const checks = points.filter(point => !point.suite && !/ journal: /.test(point.name));
  const above = checks.filter(point => !/ reachable: /.test(` ${point.name}`));
  const atBottom = checks.some(point => !point.held && !above.includes(point));
  const ran = above.filter(point => !point.skip?.startsWith('blocked by reachable'));
  if (exit !== 1 || !atBottom) throw new Broken(`verify: wanted exit 1 and reachable broken, saw exit ${exit}`);
  if (above.length === 0 || ran.length > 0) throw new Broken(`verify: wanted all above reachable skipped, saw it run ${ran.map(point => point.name).join(', ') || 'nothing at all'}`);
}

async function verifyIsGreen(scene: Scene): Promise<void> {
  const end = await openPrograms().verify(scene.target.node, scene.options.scaled(60_000));
  if (end.exit !== 0) throw new Broken(`verify: wanted exit 0, saw ${end.exit}: ${brokenPoints(end)}`);
}
