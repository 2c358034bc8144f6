// JUnit's XML of a run, by node:test's own reporter: made from points, so a run that was killed has its XML as well.
import { junit } from 'node:test/reporters';
import { brokenOf } from '../results/point.ts';
import type { Kept, Result } from './result.ts';

type Event = { type: string; data: Record<string, unknown> };

/** The checks of a drill are a suite of its name; a run that is red without a broken check has one that says why. */
export async function junitOf(result: Pick<Result, 'program' | 'points' | 'fault'>): Promise<string> {
  // its declared type asks for the events of one version of Node
  const write = junit as unknown as (events: AsyncIterable<Event>) => AsyncIterable<string>;
  let xml = '';
  for await (const text of write(eventsOf(result))) xml += text;
  return xml;
}

async function* eventsOf({ program, points, fault }: Pick<Result, 'program' | 'points' | 'fault'>) {
  let suite: string | undefined;
  const isWhole = ({ id }: Kept) => id.drill !== undefined && id.check === undefined;
  const nameOf = (drill: string) => points.find(one => isWhole(one) && one.id.drill === drill)?.claim ?? drill;
  for (const point of points) {
    const { drill } = point.id;
    if (suite !== undefined && drill !== suite) yield cutOff(suite);
    if (drill !== undefined && drill !== suite) yield started(nameOf(drill), 0);
    suite = drill;
    const nesting = drill === undefined || isWhole(point) ? 0 : 1;
    yield* pointEvents(point, nesting, program);
    // the point of the drill itself ends its suite
    if (nesting === 0) suite = undefined;
  }
  if (suite !== undefined) yield cutOff(suite);
  if (fault !== null && brokenOf(points).length === 0) {
    yield started('the run came to its end', 0);
    yield ended({ name: 'the run came to its end', nesting: 0, ms: 0, error: fault }, program);
  }
}

function* pointEvents(point: Kept, nesting: number, program: string): Generator<Event> {
  const { id, claim: name, held, skip, error, ms, said } = point;
  const isSuite = id.drill !== undefined && id.check === undefined;
  if (!isSuite) yield started(name, nesting);
  for (const message of said) yield { type: 'test:diagnostic', data: { nesting, message } };
  const className = [program, id.node, id.drill, id.rung].filter(Boolean).join('.');
  const why = held ? {} : { error: error ?? 'no reason' };
  yield ended({ name, nesting, ms, ...skip === undefined ? {} : { skip }, ...why }, className);
}

function started(name: string, nesting: number): Event {
  return { type: 'test:start', data: { name, nesting } };
}

function cutOff(name: string): Event {
  return ended({ name, nesting: 0, ms: 0, error: 'the drill did not come to its end' }, name);
}

type Told = { name: string; nesting: number; ms: number; skip?: string; error?: string };

function ended({ name, nesting, ms, skip, error }: Told, classname: string): Event {
  const details: Record<string, unknown> = { duration_ms: ms };
  if (error !== undefined) {
    const broken = new Error(error);
    broken.stack = error;
    details['error'] = broken;
  }
  const data = { name, nesting, classname, testNumber: 1, details, ...skip === undefined ? {} : { skip } };
  return { type: error === undefined ? 'test:pass' : 'test:fail', data };
}
