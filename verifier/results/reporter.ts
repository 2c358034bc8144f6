// The reporter that node:test loads in test programs: hands the text of its own, and each point as data, to the parent.
import { tap } from 'node:test/reporters';
import type { Facts, Outcome } from '#infra/platform';
import { fold } from './fold.ts';
import type { Event } from './fold.ts';
import { checksOf } from './point.ts';
import type { Point } from './point.ts';
import { lookUp } from './registry.ts';
import type { Ladder } from './verdict.ts';
import type { Watched } from './watched.ts';

/**
 * What the parent is sent. `begun`: the claim that is looked at from now on; `ms` is how long a point took; `said`
 * belongs to the point before it; `planned`: the run has come to its end; `scope`: what verify is going to look at;
 * `halted`: a drill is about to halt its node (true), or has started it again; `watched`: what a drill's probes saw;
 * `ladder`: what verify said during a drill's fault; `facts`: what the platform has just told of `node`.
 */
export type Message =
  | { tap: string } | { begun: string } | { point: Point; ms: number } | { said: string } | { planned: true }
  | { cannotRun: string } | { scope: Scope } | { halted: boolean } | { watched: Watched }
  | { drill: string; ladder: Ladder } | { node: string; facts: Outcome<Facts> };
/**
 * `machines`: the nodes whose machines are looked at. `rehearsal`: the nodes are plain processes, which is not the
 * runtime that is specified.
 */
export type Scope = { targets: string[]; machines: string[]; rehearsal: boolean };

// stray output goes to stderr, whose reader may hang up early: that ends the talk, not the run
process.stdout.on('error', () => undefined);
process.stderr.on('error', () => undefined);

/** Writes nothing itself: stdout is the parent's. */
export default async function* report(source: AsyncIterable<Event>): AsyncGenerator<never> {
  // its declared type asks for the events of one version of Node
  const write = tap as unknown as (events: AsyncIterable<Event>) => AsyncIterable<string>;
  for await (const text of write(fold(watched(source)))) send({ tap: text });
}

/** The same events; before a plan over nothing that was looked at, a point that is red: that is no good run. */
async function* watched(source: AsyncIterable<Event>): AsyncGenerator<Event> {
  const points: Point[] = [];
  let planned = false;
  for await (const event of source) {
    const { type, data } = event;
    if (type === 'test:dequeue' && data.name !== undefined) send({ begun: data.name });
    if (type === 'test:pass' || type === 'test:fail') {
      const point = pointOf(event);
      points.push(point);
      send({ point, ms: Math.round(data.details?.duration_ms ?? 0) });
    }
    // what comes after the plan are totals of node:test
    if (type === 'test:diagnostic' && points.length > 0 && !planned) send({ said: data.message ?? '' });
    if (type !== 'test:plan' || data.nesting > 0) {
      yield event;
      continue;
    }
    planned = true;
    const looked = checksOf(points).some(({ skip }) => skip === undefined);
    const count = (data.count ?? 0) + (looked ? 0 : 1);
    if (!looked) yield nothingLookedAt(count);
    yield { type, data: { ...data, count } };
    send({ planned: true });
  }
}

function pointOf({ type, data: { name = '', skip, details } }: Event): Point {
  const held = type === 'test:pass';
  const cause = details?.error?.cause ?? details?.error;
  const { id, blockedBy } = lookUp(name) ?? { id: { node: '', check: name } };
  return {
    id,
    claim: name,
    held,
    skip: skip === undefined || skip === false ? undefined : String(skip),
    blockedBy,
    error: held ? undefined : cause instanceof Error ? cause.message : String(cause),
    said: [],
  };
}

function nothingLookedAt(testNumber: number): Event {
  const error = new Error('nothing was looked at');
  error.stack = '';
  const details = { duration_ms: 0, error };
  return { type: 'test:fail', data: { name: 'something was looked at', nesting: 0, testNumber, details } };
}

function send(message: Message): void {
  // a parent that is gone reads nothing; whether to go on without it is not for the reporter to say
  process.send?.(message, undefined, undefined, () => undefined);
}
