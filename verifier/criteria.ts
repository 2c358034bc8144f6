// The acceptance criteria of the specification, in their own words, each with what proves it.
import type { Control, Told } from './control.ts';
import { drills } from './drills.ts';
import { restartKeepsOrders } from './drills/restart-keeps-orders.ts';
import { Broken } from './ladder.ts';
import type { Check, Rung } from './ladder.ts';
import type { Options, Target } from './options.ts';
import { brokenPoints } from './programs.ts';
import type { ProgramEnd, Programs } from './programs.ts';
import { parseTargetLines } from './survey.ts';
import { probe } from './tcp.ts';

export type Acceptance = {
  options: Options;
  /** The golden path's node, and a second host. */
  nodes: readonly [first: string, second: string];
  programs: Programs;
  controlFor: (nodes: string) => Control;
};

type Say = (line: string) => void;
/** What one criterion learns and a later one needs. */
type Memory = { verified?: ProgramEnd; drilled: Map<string, ProgramEnd>; target?: Target };

/** Bottom first; above a broken rung nothing is proved. */
export function criteria(acceptance: Acceptance): Rung[] {
  const memory: Memory = { drilled: new Map() };
  const only = (name: string, claim: string, run: Check['run']): Rung => ({ name, checks: [{ claim, run }] });
  return [
    only('start', 'The system starts from a clean state via the golden path', say => starts(acceptance, memory, say)),
    only('verify', 'Verification passes without manual fixes', say => verifies(acceptance, memory, say)),
    only('tcp', 'TCP connectivity is proven from host to service', say => reaches(acceptance, memory, say)),
    only('persistence', 'Persistence is proven via restart', say => persists(acceptance, memory, say)),
    only('hosts', 'The service runs correctly on more than one host', say => runsOnBoth(acceptance, say)),
    { name: 'drills', checks: drills.map(({ name }) => drillCheck(acceptance, memory, name)) },
    only('truth', 'Health and readiness behave truthfully under failure', say => tellsTheTruth(memory, say)),
    only('lifecycle', 'The full lifecycle (up → verify → down) is executable from the host', say => goesDown(acceptance, memory, say)),
  ];
}

async function starts({ nodes: [first], controlFor, options }: Acceptance, memory: Memory, say: Say): Promise<void> {
  const control = controlFor(first);
  const before = (await control.targets()).stdout.trim();
  if (before !== '') throw new Broken(`wanted a clean state, saw ${before}`);
  const told = done(await control.up(), 'up');
  const [target] = parseTargetLines(done(await control.targets(), 'targets').stdout);
  if (target === undefined) throw new Broken('up is done, yet no node is told as up');
  memory.target = target;
  const platform = (await control.platform()).stdout.trim();
  say(`platform ${platform}, up in ${told.ms} ms, ${target.node} ${target.host}:${target.port}${options.strict ? ', nothing may be skipped' : ''}`);
}

async function verifies({ nodes: [first], programs, options }: Acceptance, memory: Memory, say: Say): Promise<void> {
  memory.verified = green(await programs.verify(first, options.scaled(120_000)));
  lastWords(memory.verified).forEach(say);
}

/** Two proofs: the bottom rung of the verification, and a connection of our own that is held. */
async function reaches({ options }: Acceptance, memory: Memory, say: Say): Promise<void> {
  const rung = memory.verified?.points.filter(point => / reachable: /.test(point.name)) ?? [];
  if (rung.length === 0 || !rung.every(point => point.held && point.skip === undefined)) throw new Broken('verify did not prove reachable');
  const sight = await probe(targetOf(memory), options.scaled(2_000));
  if (sight.state !== 'held') throw new Broken(`TCP: wanted held, saw ${sight.state}`);
  say(`verified: ${rung.map(point => point.name).join(', ')}; held once more`);
}

/** By the drill that halts and starts the whole stack; its place among the drills then holds what it has shown here. */
async function persists(acceptance: Acceptance, memory: Memory, say: Say): Promise<void> {
  await drillOnce(acceptance, memory, restartKeepsOrders.name);
  drillHeld(memory, restartKeepsOrders.name, say);
}

async function runsOnBoth({ nodes, controlFor, programs, options }: Acceptance, say: Say): Promise<void> {
  const told = done(await controlFor(nodes[1]).up(), `up ${nodes[1]}`);
  const end = green(await programs.verify(nodes.join(' '), options.scaled(240_000)));
  say(`${nodes[1]} up in ${told.ms} ms`);
  end.points.filter(point => /^nodes /.test(point.name)).forEach(point => say(`${point.held ? 'proved' : 'broken'}: ${point.name}${point.skip ? ` (${point.skip})` : ''}`));
  lastWords(end).forEach(say);
}

/** Whether a drill is possible here is known only once it was tried, so it is tried when its skip is asked for. */
function drillCheck(acceptance: Acceptance, memory: Memory, name: string): Check {
  return {
    claim: `At least one failure drill is executed and recovered: ${name}`,
    skip: async () => (await drillOnce(acceptance, memory, name)).points.find(point => point.depth === 0)?.skip,
    run: async say => drillHeld(memory, name, say),
  };
}

async function drillOnce({ nodes: [first], programs, options }: Acceptance, { drilled }: Memory, name: string): Promise<ProgramEnd> {
  const end = drilled.get(name) ?? await programs.drill(name, first, options.scaled(600_000));
  drilled.set(name, end);
  return end;
}

function drillHeld({ drilled }: Memory, name: string, say: Say): void {
  const end = drilled.get(name);
  if (end?.exit !== 0) throw new Broken(`drill ${name}: wanted exit 0, saw ${end?.exit}: ${end === undefined ? 'not run' : brokenPoints(end)}`);
  end.lines.filter(line => /# (detected_ms|recovered_ms|acked|ended|halt took|up took) /.test(line)).forEach(line => say(line.trim().replace(/^# /, '')));
  say(`${name} took ${end.ms} ms`);
}

/** What the drill with the database down has seen, by the names of its points. */
async function tellsTheTruth({ drilled }: Memory, say: Say): Promise<void> {
  const points = drilled.get('db-down')?.points ?? [];
  for (const claim of ['ready says 503', 'TCP is accepted', 'health is 200', 'orders are refused']) {
    const point = points.find(one => one.name.startsWith(`db-down meanwhile: ${claim}`));
    if (!point?.held || point.skip !== undefined) throw new Broken(`db-down did not prove: ${claim}`);
    say(`proved: ${point.name}`);
  }
}

async function goesDown({ nodes: [first], controlFor, programs, options }: Acceptance, memory: Memory, say: Say): Promise<void> {
  const all = controlFor('all');
  const halt = done(await all.halt(), 'halt');
  const down = await programs.verify(first, options.scaled(120_000));
  if (down.exit !== 1) throw new Broken(`verify of a halted system: wanted exit 1, saw ${down.exit}`);
  const destroy = done(await all.destroy(), 'destroy');
  const sight = await probe(targetOf(memory), options.scaled(2_000));
  if (sight.state === 'held') throw new Broken('destroyed, yet TCP is held');
  if ((await all.platform()).exit === 0) throw new Broken('destroyed, yet a platform is remembered');
  say(`halt ${halt.ms} ms, verify red as it must be, destroy ${destroy.ms} ms`);
}

function green(end: ProgramEnd): ProgramEnd {
  if (end.exit !== 0) throw new Broken(`verify: wanted exit 0, saw ${end.exit}: ${brokenPoints(end)}`);
  return end;
}

function done(told: Told, verb: string): Told {
  if (told.exit !== 0) throw new Broken(`control ${verb}: exit ${told.exit}: ${told.stderr.trim().split('\n').slice(-3).join(' / ')}`);
  return told;
}

function targetOf({ target }: Memory): Target {
  if (target === undefined) throw new Broken('no node was started');
  return target;
}

function lastWords({ lines, ms }: ProgramEnd): string[] {
  return [...lines.slice(-1).map(line => line.replace(/^# /, '')), `verify took ${ms} ms`];
}
