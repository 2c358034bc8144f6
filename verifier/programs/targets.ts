// What there is to look at: each target with its node and its ledger, and nodes that should be up and are not.
import { join } from 'node:path';
import type { Control } from '#infra/control';
import type { Facts, Outcome, PlatformName, Target } from '#infra/platform';
import type { Machines } from '../checks/online.ts';
import { addressOf } from '../client/address.ts';
import { openApi } from '../client/api.ts';
import type { Options } from '../options.ts';
import { orCannotRun } from './program.ts';

/** `node` is undefined for a target that no node of ours answers to. `ledger` is the file of what it has promised. */
export type Found = { target: Target; node: string | undefined; ledger: string };

/** `notUp`: nodes that should be up and are not. `platform` is undefined where it is not known. */
export type Finding = { found: Found[]; notUp: string[]; platform: PlatformName | undefined };

/** Targets by TARGETS at their word, else the nodes that were asked for; sends nothing to any of them. */
export async function findTargets(options: Options, control: Control): Promise<Finding> {
  const ledgerOf = (name: string) => join(options.state, 'ledger', `${name}.jsonl`);
  if (options.targets.length > 0) {
    // Only to know whose facts to ask for: where to look was said, and holds without any control at all.
    const known = await control.targets(['all']).catch(() => []);
    const memory = await control.memory().catch(() => undefined);
    return {
      found: options.targets.map(target => ({
        target,
        node: known.find(one => addressOf(one) === addressOf(target))?.node,
        ledger: ledgerOf(`${target.host}_${target.port}`.replaceAll(':', '.')),
      })),
      notUp: [],
      platform: options.platform ?? memory?.platform,
    };
  }
  const up = await orCannotRun(control.targets());
  const memory = await orCannotRun(control.memory());
  const platform = options.platform ?? memory?.platform;
  // all nodes are those that anybody has asked for at `up`, whether or not they have started
  const asked = options.nodes === 'all' ? memory?.nodes ?? [] : await orCannotRun(control.chosenNodes());
  const notUp = asked.filter(name => !up.some(({ node }) => node === name));
  const ledger = (node: string) => ledgerOf(`${platform ?? 'unknown'}-${node}`);
  return {
    found: up.map(target => ({ target, node: target.node, ledger: ledger(target.node) })),
    notUp: up.length === 0 && notUp.length === 0 ? ['all'] : notUp,
    platform,
  };
}

/** What the platform knows about one node now. */
export function factsOf(control: Control, node: string | undefined): () => Promise<Outcome<Facts>> {
  const stranger = { impossible: 'this target is no node of ours that is up, so nothing tells facts about it' };
  return async () => node === undefined ? stranger : control.facts(node);
}

/**
 * Every machine at once (those of NODE if it is given), while this host asks the same services; undefined where nodes
 * are no machines, or addresses were given.
 */
export async function askMachines(
  { targets, nodes, scaled }: Options, control: Control, found: readonly Found[],
): Promise<Pick<Machines, 'told' | 'seen'> | undefined> {
  if (targets.length > 0) return undefined;
  const services = found.map(({ target }) => target);
  const names = await orCannotRun(control.chosenNodes(nodes === undefined || nodes === 'all' ? ['all'] : []));
  const asking = Promise.all(names.map(async name => [name, await control.machine(name, services)] as const));
  const seeing = Promise.all(services.map(async target => {
    const { value } = await openApi(target, scaled(2_000)).version();
    return [target.node, value?.instance_id] as const;
  }));
  const told = (await asking).filter(([, facts]) => !('impossible' in facts));
  const seen = new Map(await seeing);
  return told.length === 0 ? undefined : { told: new Map(told), seen };
}
