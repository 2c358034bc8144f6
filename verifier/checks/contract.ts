// The contract of the service, bottom rung first. What "working" means is defined here and nowhere else.
import type { Facts, Outcome, Target } from '#infra/platform';
import { addressOf } from '../client/address.ts';
import { describe, openApi } from '../client/api.ts';
import type { Answer, Api, Readiness } from '../client/api.ts';
import { probe } from '../client/tcp.ts';
import { Late, until } from '../client/until.ts';
import type { Expect } from '../options.ts';
import type { Stage } from '../results/registry.ts';
import { broken, climb } from './climb.ts';
import type { Check, Rung } from './climb.ts';
import { boxesAreContained } from './contained.ts';
import { promisesAreKept, promisesAreNotDenied } from './lasting.ts';
import { rungs } from './rungs.ts';
import type { RungName } from './rungs.ts';
import { ordersAreRefused, ordersWork } from './usable.ts';

export type Contract = {
  expect: Expect;
  strict: boolean;
  scaled: (ms: number) => number;
  /** The file that remembers which orders this target has promised to keep. */
  ledger: string;
  /** What the platform knows about the target's containers now, or why it knows nothing. */
  facts: () => Promise<Outcome<Facts>>;
};

/** Climbs the whole contract for one target. Returns the name of the rung that broke, or null when all held. */
export function climbContract(stage: Stage, target: Target, contract: Contract): Promise<string | null> {
  const checks = checksOf(target, contract);
  const climbed = rungs.map(name => ({ name, checks: checks[name] }));
  return climb(stage, climbed, { id: { node: target.node }, strict: contract.strict });
}

/** The same rungs for a node that is not up: red at the first, no packet sent. */
export function climbNotUp(stage: Stage, node: string, strict: boolean): Promise<string | null> {
  const [first, ...above] = rungs;
  const isUp: Check = { id: 'node-up', claim: 'the node is up', run: async () => {
    throw broken(`${node} ${first}`, 'a node that is up', 'not up (make up starts it); nothing was sent');
  } };
  const nothing: Check = { id: 'nothing', claim: 'nothing to look at', run: async () => {} };
  const climbed: Rung[] = [{ name: first, checks: [isUp] }, ...above.map(name => ({ name, checks: [nothing] }))];
  return climb(stage, climbed, { id: { node }, strict });
}

function checksOf(target: Target, contract: Contract): Record<RungName, Check[]> {
  const { expect, scaled, ledger } = contract;
  const at = (rung: RungName) => `${addressOf(target)} ${rung}`;
  const quick = openApi(target, scaled(2_000));
  // An order may wait for a connection and then for the database, each within its own deadline.
  const patient = openApi(target, scaled(5_000));
  const orders = (rung: RungName) => ({ at: at(rung), api: patient, ledger });
  const ready = expect === 'ready';
  return {
    reachable: [isHeld(target, at('reachable'), scaled(2_000))],
    alive: [isAlive(at('alive'), quick)],
    versioned: [isVersioned(at('versioned'), quick)],
    ready: [saysReady(at('ready'), openApi(target, scaled(1_000)), contract)],
    usable: ready ? ordersWork(orders('usable')) : ordersAreRefused(orders('usable')),
    lasting: [ready ? promisesAreKept(orders('lasting')) : promisesAreNotDenied(orders('lasting'))],
    contained: boxesAreContained({ at: at('contained'), target, ...contract }),
  };
}

function isHeld(target: Target, at: string, deadlineMs: number): Check {
  return { id: 'tcp-held', claim: 'TCP is accepted and held', run: async () => {
    const { state, ms, code } = await probe(target, deadlineMs);
    if (state !== 'held') throw broken(at, 'held', `${state}${code ? ` (${code})` : ''} after ${ms} ms`);
  } };
}

function isAlive(at: string, api: Api): Check {
  return { id: 'health-200', claim: 'health is 200, whatever the database does', run: async () => {
    const answer = await api.health();
    if (!answer.value) throw broken(at, '200 {"status":"alive"}', `${describe(answer)} after ${answer.sight.ms} ms`);
  } };
}

function isVersioned(at: string, api: Api): Check {
  return { id: 'one-instance', claim: 'version names build and instance, asked twice the same', run: async say => {
    const first = await api.version();
    const again = await api.version();
    const [was, is] = [first.value, again.value];
    if (!was || !is) throw broken(at, '200 with every field', describe(was ? again : first));
    if (was.instance_id !== is.instance_id) {
      throw broken(at, `instance ${was.instance_id} again`, `instance ${is.instance_id}`);
    }
    say(`${at}: ${is.service} ${is.version}, commit ${is.git_sha}, instance ${is.instance_id} since ${is.started_at}`);
  } };
}

function saysReady(at: string, api: Api, { expect, scaled }: Contract): Check {
  const wanted = expect === 'ready' ? 200 : 503;
  const deadlineMs = scaled(10_000);
  const claim = `readiness is ${wanted}${expect === 'ready' ? '' : ' with a known reason'}`;
  return { id: 'readiness', claim, run: async () => {
    const good = (answer: Answer<Readiness>) => answer.status === wanted && answer.value !== undefined;
    try {
      await until(api.ready, good, deadlineMs);
    } catch (error) {
      if (!(error instanceof Late)) throw error;
      const last = error.last as Answer<Readiness> | undefined;
      throw broken(at, `${wanted}`, `${last ? tellReady(last) : 'nothing'} for ${error.ms} ms`);
    }
  } };
}

function tellReady(answer: Answer<Readiness>): string {
  const { value } = answer;
  if (value === undefined || answer.status === 200) return describe(answer);
  return `${describe(answer)} ${value.status} (${value.reason ?? 'no reason'})`;
}
