// The contract of the service, bottom rung first. What "working" means stands here and nowhere else.
import { describe, openApi } from './api.ts';
import type { Answer, Api, Readiness } from './api.ts';
import type { FactsLook } from './contained.ts';
import { containment } from './containment.ts';
import { promisesAreKept, promisesAreNotDenied } from './lasting.ts';
import { broken, climb } from './ladder.ts';
import type { Check, Rung, Stage } from './ladder.ts';
import { addressOf } from './options.ts';
import type { Expect, Target } from './options.ts';
import { probe } from './tcp.ts';
import { Late, until } from './until.ts';
import { ordersAreRefused, ordersWork } from './usable.ts';

export type Contract = {
  expect: Expect;
  strict: boolean;
  scaled: (ms: number) => number;
  /** The file that remembers which orders this target has promised to keep. */
  ledger: string;
  /** What the platform tells about the target's containers now, or why it has nothing to tell. */
  facts: () => Promise<FactsLook>;
};

/** Climbs the whole contract for one target. Returns the name of the rung that broke, or null when all held. */
export function climbContract(stage: Stage, target: Target, contract: Contract): Promise<string | null> {
  return climb(stage, rungsOf(target, contract), { label: target.node, strict: contract.strict });
}

/** The same points for a node that is not up: red at the first, no packet sent. */
export function climbNotUp(stage: Stage, node: string, strict: boolean): Promise<string | null> {
  const names = ['alive', 'versioned', 'ready', 'usable', 'lasting', 'contained'];
  const rest = names.map(name => ({ name, checks: [{ claim: 'nothing to look at', run: async () => {} }] }));
  const notUp = async () => { throw broken(`${node} reachable`, 'a node that is up', 'not up (make up starts it); nothing was sent'); };
  return climb(stage, [{ name: 'reachable', checks: [{ claim: 'the node is up', run: notUp }] }, ...rest], { label: node, strict });
}

function rungsOf(target: Target, contract: Contract): Rung[] {
  const { expect, scaled, ledger } = contract;
  const at = (rung: string) => `${addressOf(target)} ${rung}`;
  const quick = openApi(target, scaled(2_000));
  // An order may wait for a connection and then for the database, each within its own deadline.
  const patient = openApi(target, scaled(5_000));
  const orders = (rung: string) => ({ at: at(rung), api: patient, ledger });
  return [
    { name: 'reachable', checks: [isHeld(target, at('reachable'), scaled(2_000))] },
    { name: 'alive', checks: [isAlive(at('alive'), quick)] },
    { name: 'versioned', checks: [isVersioned(at('versioned'), quick)] },
    { name: 'ready', checks: [saysReady(at('ready'), openApi(target, scaled(1_000)), contract)] },
    { name: 'usable', checks: expect === 'ready' ? ordersWork(orders('usable')) : ordersAreRefused(orders('usable')) },
    { name: 'lasting', checks: [expect === 'ready' ? promisesAreKept(orders('lasting')) : promisesAreNotDenied(orders('lasting'))] },
    { name: 'contained', checks: containment({ at: at('contained'), target, ...contract }) },
  ];
}

function isHeld(target: Target, at: string, deadlineMs: number): Check {
  return { claim: 'TCP is accepted and held', run: async () => {
    const { state, ms, code } = await probe(target, deadlineMs);
    if (state !== 'held') throw broken(at, 'held', `${state}${code ? ` (${code})` : ''} after ${ms} ms`);
  } };
}

function isAlive(at: string, api: Api): Check {
  return { claim: 'health is 200, whatever the database does', run: async () => {
    const answer = await api.health();
    if (!answer.value) throw broken(at, '200 {"status":"alive"}', `${describe(answer)} after ${answer.sight.ms} ms`);
  } };
}

function isVersioned(at: string, api: Api): Check {
  return { claim: 'version names build and instance, asked twice the same', run: async say => {
    const first = await api.version();
    const again = await api.version();
    const [was, is] = [first.value, again.value];
    if (!was || !is) throw broken(at, '200 with every field', describe(was ? again : first));
    if (was.instance_id !== is.instance_id) throw broken(at, `instance ${was.instance_id} again`, `instance ${is.instance_id}`);
    say(`${at}: ${is.service} ${is.version}, commit ${is.git_sha}, instance ${is.instance_id} since ${is.started_at}`);
  } };
}

function saysReady(at: string, api: Api, { expect, scaled }: Contract): Check {
  const wanted = expect === 'ready' ? 200 : 503;
  const deadlineMs = scaled(10_000);
  return { claim: `readiness is ${wanted}${expect === 'ready' ? '' : ' with a known reason'}`, run: async () => {
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
  return `${describe(answer)}${value && answer.status !== 200 ? ` ${value.status} (${value.reason ?? 'no reason'})` : ''}`;
}
