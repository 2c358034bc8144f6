// A drill that breaks nothing: it has the points that acceptance asks for, and port-closed is not possible. It sends
// them straight to whoever started it: acceptance starts all drills, again and again in its tests.
import type { Point } from '../results/point.ts';

const { argv, env } = process;
const [, , drill = ''] = argv;
const node = 'control';
const word = env['REWORDED'] === '1' ? 'other words for ' : '';

function tell(point: Partial<Point> & Pick<Point, 'id' | 'claim'>): void {
  const whole: Point = { held: true, skip: undefined, blockedBy: undefined, error: undefined, said: [], ...point };
  process.send?.({ point: whole, ms: 1 });
}

const checks = ['ready-503', 'tcp-held', 'health-200', 'orders-refused'];
const broken = checks.filter(check => env['BROKEN'] === `${drill} ${check}`);
for (const check of checks) {
  const id = { node, drill, rung: 'meanwhile', check };
  const seen = broken.includes(check) ? { held: false, error: 'seen otherwise' } : { said: [`saw ${check}`] };
  tell({ id, claim: `${word}${drill} ${check}`, ...seen });
}
const skip = drill === 'port-closed' ? 'not run: there is no packet filter' : undefined;
tell({ id: { node, drill }, claim: `${word}${drill}`, held: broken.length === 0, skip });
process.exitCode = broken.length === 0 ? 0 : 1;
