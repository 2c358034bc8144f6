// Runs verify as an operator does, with a control that only answers what the test wants it to answer.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Entry, Holder, Memory } from '#infra/control';
import type { Facts, MachineFacts, Outcome, Target } from '#infra/platform';
import { serveControl } from './fake-control.ts';
import { commit, openHonest } from './honest.ts';
import type { Honest, Lie } from './honest.ts';
import { start } from './program.ts';
import type { Ended } from './program.ts';

export type World = {
  /** The state folder is in it; all of it goes when the test ends. */
  folder: string;
  env: Record<string, string>;
  /** What control answers from now on; an Error is thrown there. */
  up: Target[] | Error;
  memory: Memory | undefined;
  faults: Entry[] | Error;
  facts: (node: string) => Outcome<Facts>;
  machine: (node: string) => Outcome<MachineFacts>;
  /** What control was asked, as `verb node…`. */
  asked: string[];
  setDrills: (drills: Record<string, Holder>) => Promise<void>;
};
/** `verdict` is the last line on stdout. */
export type Run = Ended & { verdict: string };

export const program = fileURLToPath(new URL('verify-program.js', import.meta.url));

/** What became of a check, by its ids. */
export function fate({ points }: Run, path: string): 'held' | 'broken' | 'skipped' | 'not there' {
  const point = points.find(({ id: { node, rung, check } }) => `${node}/${rung}/${check}` === path);
  return point === undefined ? 'not there' : point.skip !== undefined ? 'skipped' : point.held ? 'held' : 'broken';
}

/** Facts of plain processes. */
export function plainFacts(node: string): Outcome<Facts> {
  const one = { pid: 1, state: 'running', restart_count: 0, started_at: null, listening: null };
  const why = { containers: false, reason: 'nothing contains them' } as const;
  const facts = { node, ...why, user: 'me', boot_id: 'a boot', durability: null, disk_mb: null, api: one, db: one };
  return { done: { platform: 'process', ...facts } };
}

export async function openWorld(t: TestContext, up: Target[]): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'verify-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const { env, setDrills } = await serveControl(t, folder, (verb, args) => answer(world, verb, args));
  const world: World = {
    folder,
    env: { ...env, PATH: process.env['PATH'] ?? '', ORDERS_STATE: join(folder, 'state'), SCALE: '1', COMMIT: commit },
    up,
    memory: { platform: 'process', nodes: up.map(({ node }) => node), targets: up },
    faults: [],
    facts: plainFacts,
    machine: () => ({ impossible: 'no machines' }),
    asked: [],
    setDrills,
  };
  return world;
}

export async function runVerify(env: Record<string, string>, args: string[] = []): Promise<Run> {
  const end = await start(program, args, env).ended;
  return { ...end, verdict: end.stdout.trimEnd().split('\n').at(-1) ?? '' };
}

/** A node that is up, with an honest service on it. */
export async function openHonestWorld(t: TestContext, lie?: Lie): Promise<{ service: Honest; world: World }> {
  const service = await openHonest(lie);
  t.after(() => service.close());
  return { service, world: await openWorld(t, [service.target]) };
}

/** The lines of the ledger that verify kept for the node control. */
export async function promisesOf(world: World): Promise<string[]> {
  return (await readFile(join(world.folder, 'state/ledger/process-control.jsonl'), 'utf8')).trim().split('\n');
}

/** Version first, numbered points, one plan that counts them, after it only comments, nothing else anywhere. */
export function assertTap({ stdout }: Pick<Run, 'stdout'>): void {
  const lines = stdout.replace(/\n$/, '').split('\n');
  assert.equal(lines[0], 'TAP version 13');
  const bare = stdout.replace(/^ {2}---\n(.*\n)*? {2}\.\.\.\n/gm, '').trimEnd().split('\n').slice(1);
  const plan = bare.findIndex(line => /^1\.\./.test(line));
  const points = bare.filter(line => /^(not )?ok /.test(line));
  assert.equal(bare[plan], `1..${points.length}`);
  points.forEach((line, i) => assert.match(line, new RegExp(`^(not )?ok ${i + 1} - `)));
  assert.deepEqual(bare.filter((line, i) => !/^#/.test(line) && !/^(not )?ok /.test(line) && i !== plan), []);
  assert.deepEqual(bare.slice(plan + 1).filter(line => !line.startsWith('# ')), []);
  assert.match(lines.at(-1) ?? '', /^# verdict: /);
}

function answer(world: World, verb: string, [names]: unknown[]): unknown {
  const { up, memory, faults, facts, machine, asked } = world;
  asked.push([verb, ...[names ?? []].flat()].join(' '));
  switch (verb) {
    case 'targets': return orThrow(up);
    case 'memory': return memory;
    // as NODE says, else as remembered, else the first
    case 'chosenNodes': if (Array.isArray(names) && names.includes('all')) return ['control', 'worker1', 'worker2'];
      return world.env['NODE']?.split(' ') ?? (memory?.nodes.length ? memory.nodes : ['control']);
    case 'faultsInPlace': return orThrow(faults);
    case 'facts': return facts(String(names));
    case 'machine': return machine(String(names));
    default: throw new Error(`verify has no business with ${verb}`);
  }
}

function orThrow<T>(answer: T | Error): T {
  if (answer instanceof Error) throw answer;
  return answer;
}
