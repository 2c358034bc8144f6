// The contract of the service, bottom rung first. What "working" means is defined here and nowhere else.
import type { Facts, Outcome, Target } from '#infra/platform';
import { addressOf } from '../client/address.ts';
import { openApi } from '../client/api.ts';
import { probe } from '../client/tcp.ts';
import type { Expect } from '../options.ts';
import type { Stage } from '../results/registry.ts';
import type { Wanted } from './service/build.ts';
import { broken, climb } from './climb.ts';
import type { Check, Rung } from './climb.ts';
import { boxChecks } from './contained.ts';
import { promisesAreKept, promisesAreNotDenied } from './lasting.ts';
import type { Starts } from './lasting.ts';
import { plannedChecks, rungs } from './rungs.ts';
import type { RungName } from './rungs.ts';
import { isAlive } from './service/alive.ts';
import { saysReady } from './service/ready.ts';
import { ordersAreRefused } from './service/refusals.ts';
import type { Looking } from './service/service.ts';
import { ordersWork } from './service/usable.ts';
import { isStillThere, isVersioned } from './service/versioned.ts';

export type Contract = {
  expect: Expect;
  strict: boolean;
  scaled: (ms: number) => number;
  /** How long something is watched that is stated as so many ms: all of it, or part of it where that is enough. */
  span: (ms: number) => number;
  /** What it should have been built from. */
  build: () => Promise<Wanted>;
  /** Every promised order is asked for, however many they are. */
  all: boolean;
  /** The file that remembers which orders this target has promised to keep. */
  ledger: string;
  /** Base images that were built here are what was asked for. */
  standIns: boolean;
  /** It is one way into a fleet, where any replica may answer: then the claims are those of a fleet. */
  fleet: boolean;
  /** What the platform knows about the target's containers now, or why it knows nothing. */
  facts: () => Promise<Outcome<Facts>>;
};

type NotUp = Pick<Contract, 'expect' | 'strict'>;

/**
 * Climbs the whole contract for one target, unless its machine is broken. Returns the name of the rung that broke, or
 * null. Whether it is still the
 * same instance is looked at last, whatever broke above the rung that this belongs to.
 */
export async function climbContract(
  stage: Stage, target: Target, contract: Contract, blockedBy: string | null = null,
): Promise<string | null> {
  const { look, ...boxes } = boxChecks({ at: atOf(target), target, ...contract });
  const looking = openLooking(target, contract, look);
  const checks = checksOf(looking, contract, { look, boxes });
  const climbing = { id: { node: target.node }, strict: contract.strict, blockedBy };
  const end = await climb(stage, rungs.map(name => ({ name, checks: checks[name] })), climbing);
  const below = rungs.slice(0, rungs.indexOf('versioned') + 1);
  const last: Rung = { name: 'versioned', checks: [isStillThere(looking)] };
  const blocked = blockedBy ?? below.find(name => name === end) ?? null;
  const again = await climb(stage, [last], { ...climbing, blockedBy: blocked });
  return end ?? again;
}

/** The same for a node that is not up: red at the bottom, all that is planned blocked by it, no packet sent. */
export function climbNotUp(stage: Stage, node: string, { expect, strict }: NotUp): Promise<string | null> {
  const [bottom] = rungs;
  const isUp: Check = { id: 'node-up', claim: 'the node is up', run: async () => {
    throw broken(`${node} ${bottom}`, 'a node that is up', 'not up (make up starts it); nothing was sent');
  } };
  const planned = Object.entries(plannedChecks(expect)).map(([name, ids]): Rung => (
    { name, checks: ids.map(id => ({ id, claim: `${id} is looked at`, run: async () => {} })) }
  ));
  return climb(stage, [{ name: bottom ?? '', checks: [isUp] }, ...planned], { id: { node }, strict });
}

type Boxes = ReturnType<typeof boxChecks>;
type Seen = { look: Boxes['look']; boxes: Omit<Boxes, 'look'> };

function checksOf(looking: Looking, contract: Contract, { look, boxes }: Seen): Record<RungName, Check[]> {
  const { expect, scaled } = contract;
  const { at, ledger, patient: api, target } = looking;
  const ready = expect === 'ready';
  const lasting = { at: at('lasting'), api, ledger, all: contract.all, starts: () => startsOf(looking, look) };
  return {
    ...boxes,
    reachable: [isHeld(target, at('reachable'), scaled(2_000))],
    alive: isAlive(looking),
    versioned: isVersioned(looking),
    ready: saysReady(looking, expect),
    usable: ready ? ordersWork(looking) : ordersAreRefused(looking),
    lasting: [ready ? promisesAreKept(lasting) : promisesAreNotDenied(lasting)],
  };
}

function atOf(target: Target): Looking['at'] {
  return rung => `${addressOf(target)} ${rung}`;
}

function openLooking(target: Target, { scaled, span, build, ledger, fleet }: Contract, look: Boxes['look']): Looking {
  const seen = new Set<string>();
  const open = (deadlineMs: number) => openApi(target, scaled(deadlineMs), seen);
  return {
    target, scaled, span, seen, build, ledger, fleet, first: undefined, placed: new Map(), answered: new Map(),
    at: atOf(target), replicas: async () => fleet ? replicasIn(await look()) : undefined,
    quick: open(2_000), soon: open(1_000), patient: open(5_000),
  };
}

function replicasIn(told: Outcome<Facts>): number | undefined {
  if (!('done' in told) || told.done.containers !== 'tasks') return undefined;
  return told.done.tasks.filter(({ service }) => service === 'api').length;
}

/**
 * As the platform told it when the climb began; of a stranger's service by its own word. One that has started since is
 * judged by an earlier start, before which less was promised: nothing is proved by that which is not true.
 */
async function startsOf({ quick }: Looking, look: () => Promise<Outcome<Facts>>): Promise<Starts> {
  const told = await look();
  const known = 'done' in told ? told.done : undefined;
  const service = known?.api.started_at ?? (await quick.version()).value?.started_at;
  return { service, database: known?.db.started_at ?? undefined };
}

function isHeld(target: Target, at: string, deadlineMs: number): Check {
  return { id: 'tcp-held', claim: `TCP is accepted within ${deadlineMs} ms and held`, run: async () => {
    const { state, ms, code } = await probe(target, deadlineMs);
    if (state !== 'held') throw broken(at, 'held', `${state}${code ? ` (${code})` : ''} after ${ms} ms`);
  } };
}
