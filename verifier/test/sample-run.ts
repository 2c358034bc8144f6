// A run as its evidence keeps it, for tests of what is made of it: a verify or a drill that is red, with nasty texts.
import type { Kept, ProgramName, Result } from '../evidence/result.ts';
import type { Ladder } from '../results/verdict.ts';
import type { Seen, Watched } from '../results/watched.ts';

/** What must never come through as HTML. */
export const nasty = '<script>alert("1")</script> & \'<b>\'';

export function samplePoint(given: Partial<Kept> = {}): Kept {
  return {
    id: { node: 'control', rung: 'reachable', check: 'tcp-held' }, claim: 'control reachable: TCP is accepted and held',
    held: true, skip: undefined, blockedBy: undefined, error: undefined, said: [], ms: 12, atMs: 100, ...given,
  };
}

const ladder: Ladder = {
  listening: 'skipped', published: 'skipped', reachable: 'yes', alive: 'yes', versioned: 'yes', ready: 'no',
  usable: '–', lasting: '–', contained: '–',
};

/** A ladder that broke at `ready`, and a drill that broke while its fault was in place. */
export function sampleResult(program: ProgramName = 'verify', given: Partial<Result> = {}): Result {
  const points = program === 'verify' ? verified : drilled;
  return {
    format: 1, id: `2026-11-25T17-18-10-123Z-${program}`, program, within: null, platform: 'process',
    nodes: ['control'],
    commit: '4ebae4f62019e6a3f3bdad879dfd2df7f55851c3', versions: { node: '20.20.2', verifier: '0.2.0' },
    settings: { scale: 1, strict: false, expect: 'ready', kills: 3, targets: [] },
    started: '2026-11-25T17:18:10.123Z', ms: 3_912, exit: 1, verdict: `verdict: reachable yes · ready no ${nasty}`,
    fault: '1 of 3 checks broken', cannotRun: null, points,
    drills: program === 'verify' ? [] : [{ drill: 'db-down', node: 'control', times: sampleWatched().times, ladder }],
    missing: { logs: `not up ${nasty}` }, ...given,
  };
}

const refusal = `127.0.0.1:8000 ready: wanted 200, saw 503 timeout for 10000 ms ${nasty}`;
const verified: Kept[] = [
  samplePoint(),
  samplePoint({
    id: { node: 'control', rung: 'alive', check: 'health-200' }, claim: `control alive: ${nasty}`, said: [nasty],
  }),
  samplePoint({
    id: { node: 'control', rung: 'ready', check: 'readiness' }, claim: 'control ready: readiness is 200', held: false,
    error: refusal, ms: 10_012,
  }),
  samplePoint({
    id: { node: 'control', rung: 'usable', check: 'order' }, claim: 'control usable: an order comes back equal',
    skip: 'blocked by ready', blockedBy: 'ready',
  }),
];

const whole = { node: 'control', drill: 'db-down' };
const drilled: Kept[] = [
  samplePoint({ id: { ...whole, rung: 'sound', check: 'contract' }, claim: 'db-down sound: all holds' }),
  samplePoint({
    id: { ...whole, rung: 'meanwhile', check: 'health-200' }, claim: 'db-down meanwhile: health is 200',
    held: false, error: 'health: wanted it to hold within 1000 ms, saw silent (3)',
  }),
  samplePoint({ id: whole, claim: 'db-down', held: false, error: '1 subtest failed' }),
];

/** Ten seconds: the fault from 2 to 6 s, `health` silent for a while in it. */
export function sampleWatched(): Watched {
  const samples: Seen[] = [];
  for (let fromMs = 0; fromMs < 10_000; fromMs += 100) {
    const broken = fromMs >= 2_000 && fromMs < 6_500;
    const add = (probe: string, bad: Seen['grade'], word: string) => samples.push({
      probe, fromMs, toMs: fromMs + 5, ...broken ? { grade: bad, word } : { grade: 'good' as const, word: '200' },
    });
    add('ready', 'refused', '503 connection_refused');
    add('write', 'refused', `503 ${nasty}`);
    samples.push({ probe: 'tcp', fromMs, toMs: fromMs + 1, grade: 'good', word: 'held' });
    const health = fromMs >= 3_000 && fromMs < 3_300 ? { grade: 'bad', word: 'silent' } as const
      : { grade: 'good', word: '200' } as const;
    samples.push({ probe: 'health', fromMs, toMs: fromMs + 5, ...health });
  }
  return {
    drill: 'db-down', node: 'control', samples,
    marks: { inject: 2_000, injected: 2_100, recover: 6_000, recovered: 6_200 },
    times: [
      { what: 'detected', ms: 105, withinMs: 1_000 }, { what: 'ready again', ms: 2_305, withinMs: 2_000 },
      { what: 'write again', ms: null, withinMs: 2_000 },
    ],
  };
}
