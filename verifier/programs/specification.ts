// The acceptance criteria of the specification, in their own words, each with what proves it.
import type { Control } from '#infra/control';
import type { Outcome, Target } from '#infra/platform';
import { Broken } from '../checks/climb.ts';
import type { Check, Rung } from '../checks/climb.ts';
import { probe } from '../client/tcp.ts';
import type { Options } from '../options.ts';
import { checksOf, tellBroken } from '../results/point.ts';
import type { Point } from '../results/point.ts';
import type { Ended } from '../results/run.ts';
import { verdict } from '../results/verdict.ts';

/** `met` only when every criterion was looked at; a drill that is not possible here is no criterion of its own. */
export function acceptanceVerdict(points: readonly Point[], fault: string | null): string {
  const skipped = points.some(({ id, skip }) => id.rung !== 'drills' && skip !== undefined);
  return `verdict: acceptance ${fault !== null ? 'not met' : skipped ? 'rehearsed, not met' : 'met'}`;
}

/**
 * The drills of the list: those that the specification names, and those of its guarantees that nothing else shows. The
 * others are for `make drills`.
 */
export const drillsOfTheList = [
  'bad-credentials', 'db-down', 'mid-flight', 'port-closed', 'config-refused', 'process-killed', 'drain',
  'restart-keeps-orders', 'power-cut',
] as const;

export type Acceptance = {
  options: Options;
  control: Control;
  /** The golden path's node, and a second host. */
  nodes: readonly [first: string, second: string];
  /** Run as an operator would, on these nodes; asked to end after so many ms. `strict`: with STRICT=1. */
  verify: (nodes: readonly string[], deadlineMs: number, strict?: boolean) => Promise<Ended>;
  drill: (name: string, node: string, deadlineMs: number) => Promise<Ended>;
};

type Say = (line: string) => void;
/** What one criterion learns and a later one needs. */
type Learnt = { verified?: Ended; drilled: Map<string, Ended>; target?: Target };
type Proof = (acceptance: Acceptance, learnt: Learnt, say: Say) => Promise<void>;

/** Its place among the drills holds what it has shown earlier as a criterion of its own. */
const persistence = 'restart-keeps-orders';
/** What the drill with the database down has to have seen. */
const truth = {
  drill: 'db-down', rung: 'meanwhile', checks: ['ready-503', 'tcp-held', 'health-200', 'orders-refused'],
};

/** Bottom first; above a broken rung nothing is proved. */
export function criteria(acceptance: Acceptance): Rung[] {
  const learnt: Learnt = { drilled: new Map() };
  const only = (name: string, claim: string, prove: Proof): Rung => (
    { name, checks: [{ id: 'criterion', claim, run: say => prove(acceptance, learnt, say) }] }
  );
  return [
    only('start', 'The system starts from a clean state via the golden path', starts),
    only('verify', 'Verification passes without manual fixes', verifies),
    only('tcp', 'TCP connectivity is proven from host to service', reaches),
    only('persistence', 'Persistence is proven via restart', persists),
    { name: 'hosts', checks: [severalHosts(acceptance, learnt)] },
    { name: 'drills', checks: drillsOfTheList.map(name => drillCheck(acceptance, learnt, name)) },
    only('truth', 'Health and readiness behave truthfully under failure', tellsTheTruth),
    only('lifecycle', 'The full lifecycle (up → verify → down) is executable from the host', goesDown),
  ];
}

const starts: Proof = async ({ nodes: [first], control, options }, learnt, say) => {
  const before = await control.targets([first]);
  if (before.length > 0) throw new Broken(`wanted a clean state, saw ${first} up`);
  const ms = await timed('up', () => control.up([first]));
  const [target] = await control.targets([first]);
  if (target === undefined) throw new Broken(`up is done, yet ${first} is not up`);
  learnt.target = target;
  const platform = (await control.memory())?.platform ?? 'unknown';
  say(await machinesOnline(control, platform));
  const strict = options.strict ? ', nothing may be skipped' : '';
  say(`platform ${platform}, up in ${ms} ms, ${target.node} ${target.host}:${target.port}${strict}`);
};

/** Every machine, also those that carry no stack: the first `up` brings them online, not a later one. */
async function machinesOnline(control: Control, platform: string): Promise<string> {
  const names = await control.chosenNodes(['all']);
  const told = await Promise.all(names.map(async name => ({ name, facts: await control.machine(name, []) })));
  if (platform !== 'vagrant' && told.every(({ facts }) => 'impossible' in facts)) return 'nodes are no machines here';
  const off = told.find(({ facts }) => !('done' in facts));
  if (off === undefined) return `online: ${names.join(', ')}`;
  throw new Broken(`up is done, yet ${off.name} is not online: ${Object.values(off.facts).join()}`);
}

const verifies: Proof = async ({ verify, options }, learnt, say) => {
  // only the first node is up by now, and every machine is looked at
  learnt.verified = green(await verify(['all'], options.scaled(400_000)));
  tellVerified(learnt.verified, say);
};

/** Two proofs: the bottom rung of the verification, and a connection of our own that is held. */
const reaches: Proof = async ({ options }, learnt, say) => {
  const seen = learnt.verified?.points.filter(({ id }) => id.rung === 'reachable') ?? [];
  if (seen.length === 0 || !seen.every(isProof)) throw new Broken('verify did not prove reachable');
  const sight = await probe(targetOf(learnt), options.scaled(2_000));
  if (sight.state !== 'held') throw new Broken(`TCP: wanted held, saw ${sight.state}`);
  say(`verified: ${seen.map(({ claim }) => claim).join(', ')}; held once more`);
};

/** By the drill that halts and starts the whole stack. */
const persists: Proof = async (acceptance, learnt, say) => {
  await drillOnce(acceptance, learnt, persistence);
  drillHeld(learnt, persistence, say);
  const { nodes: [first], verify, options } = acceptance;
  // not before: what was promised before this start is nothing on a first one, which is a skip
  if (options.strict) green(await verify([first], options.scaled(200_000), true));
};

const runsOnBoth: Proof = async ({ nodes, control, verify, options }, _learnt, say) => {
  const ms = await timed(`up ${nodes[1]}`, () => control.up([nodes[1]]));
  say(`${nodes[1]} up in ${ms} ms`);
  // every machine, also those that carry no stack
  const end = green(await verify(['all'], options.scaled(400_000)));
  for (const { claim, skip } of end.points.filter(({ id }) => id.node === 'nodes')) {
    say(skip === undefined ? `proved: ${claim}` : `not looked at: ${claim} (${skip})`);
  }
  tellVerified(end, say);
};

/** Whether these are several hosts is known only once they are up, so it is tried when its skip is asked for. */
function severalHosts(acceptance: Acceptance, learnt: Learnt): Check {
  const said: string[] = [];
  let trouble: unknown;
  return {
    id: 'criterion',
    claim: 'The service runs correctly on more than one host',
    skip: async () => {
      try {
        await runsOnBoth(acceptance, learnt, line => said.push(line));
        return await whyOneHost(acceptance);
      } catch (error) {
        trouble = error;
        return undefined;
      }
    },
    run: async say => {
      said.forEach(say);
      if (trouble !== undefined) throw trouble;
    },
  };
}

/** A host is a machine with a boot of its own: two addresses of one machine are no two hosts. */
async function whyOneHost({ nodes, control }: Acceptance): Promise<string | undefined> {
  const boots = await Promise.all(nodes.map(async node => {
    const facts = await control.facts(node);
    if (!('done' in facts)) throw new Broken(`${node}: wanted its boot id, saw ${Object.values(facts).join()}`);
    return facts.done.boot_id;
  }));
  return new Set(boots).size === nodes.length ? undefined
    : `${nodes.join(' and ')} run on one machine (boot ${boots[0]}): more than one host needs PLATFORM=vagrant`;
}

/** What that drill has seen. */
const tellsTheTruth: Proof = async (_acceptance, { drilled }, say) => {
  const points = drilled.get(truth.drill)?.points ?? [];
  for (const check of truth.checks) {
    const point = points.find(({ id }) => id.drill === truth.drill && id.rung === truth.rung && id.check === check);
    if (point === undefined || !isProof(point)) throw new Broken(`${truth.drill} did not prove ${truth.rung} ${check}`);
    say(`proved: ${point.claim}`);
  }
};

const goesDown: Proof = async ({ nodes: [first], control, verify, options }, learnt, say) => {
  const haltMs = await timed('halt', () => control.halt());
  const down = await verify([first], options.scaled(200_000));
  const notUp = down.points.some(({ id, held }) => id.check === 'node-up' && !held);
  if (down.exit !== 1 || !notUp) throw new Broken(`verify of a halted system: wanted not up, saw exit ${down.exit}`);
  const destroyMs = await timed('destroy', () => control.destroy());
  const sight = await probe(targetOf(learnt), options.scaled(2_000));
  if (sight.state === 'held') throw new Broken('destroyed, yet TCP is held');
  if (await control.memory() !== undefined) throw new Broken('destroyed, yet a platform is remembered');
  say(`halt ${haltMs} ms, verify red as it must be, destroy ${destroyMs} ms`);
};

/** Whether a drill is possible here is known only once it was tried, so it is tried when its skip is asked for. */
function drillCheck(acceptance: Acceptance, learnt: Learnt, name: string): Check {
  return {
    id: name,
    claim: `At least one failure drill is executed and recovered: ${name}`,
    skip: async () => {
      const { exit, points } = await drillOnce(acceptance, learnt, name);
      // one that is not possible here is no excuse for what was not undone
      if (exit === 1) return undefined;
      return points.find(({ id }) => id.drill === name && id.check === undefined)?.skip;
    },
    run: async say => drillHeld(learnt, name, say),
  };
}

async function drillOnce(acceptance: Acceptance, { drilled }: Learnt, name: string): Promise<Ended> {
  const { nodes: [first], drill, options } = acceptance;
  const end = drilled.get(name) ?? await drill(name, first, options.scaled(600_000));
  drilled.set(name, end);
  return end;
}

function drillHeld({ drilled }: Learnt, name: string, say: Say): void {
  const end = drilled.get(name);
  if (end === undefined) throw new Broken(`drill ${name} was not run`);
  if (end.exit !== 0) throw new Broken(`drill ${name}: wanted exit 0, saw ${end.exit}: ${tellTrouble(end)}`);
  // its figures; the strip chart belongs to the drill itself, which is no check
  checksOf(end.points).flatMap(({ said }) => said).forEach(say);
  say(`${name} took ${end.ms} ms`);
}

/** Gives how long it took in ms, or throws Broken with the reason. */
async function timed(verb: string, act: () => Promise<Outcome>): Promise<number> {
  const began = performance.now();
  const outcome = await act();
  if ('failed' in outcome) throw new Broken(`${verb} failed: ${outcome.failed}`);
  if ('impossible' in outcome) throw new Broken(`${verb} is not possible: ${outcome.impossible}`);
  return Math.round(performance.now() - began);
}

function isProof({ held, skip }: Point): boolean {
  return held && skip === undefined;
}

function green(end: Ended): Ended {
  if (end.exit !== 0) throw new Broken(`verify: wanted exit 0, saw ${end.exit}: ${tellTrouble(end)}`);
  return end;
}

function tellTrouble({ cannotRun, points }: Ended): string {
  return cannotRun ?? tellBroken(points);
}

function tellVerified({ points, ms }: Ended, say: Say): void {
  say(verdict(points, 'ready'));
  say(`verify took ${ms} ms`);
}

function targetOf({ target }: Learnt): Target {
  if (target === undefined) throw new Broken('no node was started');
  return target;
}
