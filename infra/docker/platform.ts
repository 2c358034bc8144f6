// The platform of containers: the stack of infra/docker-compose.yml on this machine's engine, one project per node.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Context } from '../context.ts';
import { tellFinding } from '../doctor/finding.ts';
import { lacksOf } from '../doctor/needs.ts';
import { faultNames } from '../platform.ts';
import type { Fault, Faults, Node, Outcome, Platform, Target } from '../platform.ts';
import { Trouble, attempt } from './engine.ts';
import { isOwn, readEnv } from './stack/env-file.ts';
import { imagesHere, imagesWanted } from './image.ts';
import { openStack } from './stack/stack.ts';
import type { Stack } from './stack/stack.ts';

/** What it makes outside the engine is in the state folder under docker/NODE, and in infra/.env for plain Compose. */
export function openDocker(context: Context): Platform {
  const { local, say, settings } = context;

  /** Only `up` moves a stack to another address: any other verb is about the one that is there. */
  const stackOf = async (node: Node, isMoved = false): Promise<{ stack: Stack; target: Target }> => {
    const folder = folderOf(context, node);
    const known = await local.read(join(folder, 'env')) ?? '';
    const own = isOwn(folder, known) ? readEnv(known) : {};
    const [name, remembered] = [settings.given.ORDERS_PROJECT, own['ORDERS_PROJECT']];
    if (name !== undefined && remembered !== undefined && name !== remembered) {
      // it would be left behind with its orders, and nobody would know of it any more
      throw new Trouble(`${node.name}: its stack is called ${remembered}, not ${name}; make destroy first`);
    }
    const prefix = name ?? remembered ?? `orders-${hashOf(settings.state)}`;
    const then = { host: own['ORDERS_ADDRESS'], port: portIn(own['ORDERS_PORT']) };
    const host = (isMoved ? settings.address ?? then.host : then.host ?? settings.address) ?? node.local;
    const port = (isMoved ? settings.port ?? then.port : then.port ?? settings.port) ?? 8000;
    const stack = openStack({
      platform: 'docker', host: local, node, project: `${prefix}-${node.name}`, owner: settings.state,
      address: host, port, folder, infra: settings.infra, firewall: false, settings, say,
    });
    return { stack, target: { node: node.name, host, port } };
  };

  const marker = (node: Node) => join(folderOf(context, node), 'up');
  /** The mark says whose it is, so that in a copy of the state folder it means nothing. */
  const targetOf = async (node: Node): Promise<Target | undefined> => {
    const [, host, port, owner] = /^(\S+) (\d+) (.*)\n$/.exec(await local.read(marker(node)) ?? '') ?? [];
    return host === undefined || owner !== settings.state ? undefined : { node: node.name, host, port: Number(port) };
  };
  const unmark = async (node: Node) => { await local.run(['rm', '-f', marker(node)]); };
  const isUp = async (node: Node) => await targetOf(node) !== undefined;

  const upOne = async (node: Node, images: Parameters<Stack['up']>[0]): Promise<Outcome> => {
    const { stack, target } = await stackOf(node, true);
    const outcome = await stack.up(images);
    if ('done' in outcome) {
      await local.write([{ path: marker(node), text: `${target.host} ${target.port} ${settings.state}\n` }]);
    } else if ((await stack.status()).stopped) {
      await unmark(node);
    }
    return outcome;
  };

  /** It counts as halted from the beginning, so that nothing starts it again; but not when all of it runs on. */
  const takeDown = async (node: Node, act: (stack: Stack) => Promise<Outcome>): Promise<Outcome> => {
    const { stack } = await stackOf(node);
    const mark = await local.read(marker(node));
    await unmark(node);
    const outcome = await act(stack);
    const runsOn = !('done' in outcome) && !(await stack.status()).stopped;
    if (mark !== undefined && runsOn) await local.write([{ path: marker(node), text: mark }]);
    return outcome;
  };

  const faultOf = (name: keyof Faults): Fault => ({
    inject: async (node, spoilt) => (await stackOf(node)).stack.faults[name].inject(spoilt),
    recover: async node => (await stackOf(node)).stack.faults[name].recover(await isUp(node)),
    inPlace: async node => (await stackOf(node)).stack.faults[name].inPlace(await isUp(node)),
  });

  return {
    name: 'docker',
    up: async nodes => {
      const [lack] = await lacksOf('docker', context);
      if (lack !== undefined) return { failed: tellFinding(lack) };
      const images = await imagesHere(context);
      return 'done' in images ? each(nodes, node => upOne(node, images.done)) : images;
    },
    halt: nodes => atOnce(nodes, node => takeDown(node, stack => stack.halt())),
    destroy: nodes => atOnce(nodes, node => takeDown(node, stack => stack.destroy())),
    status: nodes => Promise.all(nodes.map(async node => {
      const target = await targetOf(node);
      const { line, runs } = await (await stackOf(node)).stack.status();
      const where = target === undefined ? 'not up' : `${target.host}:${target.port}`;
      return { node: node.name, line: `${node.name}  ${line}  ${where}`, runs };
    })),
    logs: (nodes, write) => each(nodes, async node => (await stackOf(node)).stack.logs(write)),
    targets: async nodes => (await Promise.all(nodes.map(targetOf))).filter(target => target !== undefined),
    facts: async node => {
      const { stack } = await stackOf(node);
      return stack.facts(await imagesWanted(context, [join(settings.state, 'image')]));
    },
    machine: async () => ({ impossible: 'its nodes are containers of this machine' }),
    leaks: async node => (await stackOf(node)).stack.leaks(),
    inDatabase: node => async (script, more) => (await stackOf(node)).stack.inDatabase(script, more),
    mend: async node => (await stackOf(node)).stack.mend(await isUp(node)),
    faults: Object.fromEntries(faultNames.map(name => [name, faultOf(name)])) as Faults,
  };
}

function folderOf({ settings }: Context, { name }: Node): string {
  return join(settings.state, 'docker', name);
}

/** What is no port was not written by us. */
function portIn(text = ''): number | undefined {
  const port = Number(text);
  return Number.isInteger(port) && port > 0 && port < 65_536 ? port : undefined;
}

/** Two checkouts on one engine never meet: names carry the id of the state folder. */
function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}

/** One after the other; a failure of one keeps nothing from the others. */
async function each(nodes: Node[], act: (node: Node) => Promise<Outcome>): Promise<Outcome> {
  const outcomes: Outcome[] = [];
  for (const node of nodes) outcomes.push(await outcomeOf(() => act(node)));
  return sumUp(outcomes);
}

async function atOnce(nodes: Node[], act: (node: Node) => Promise<Outcome>): Promise<Outcome> {
  return sumUp(await Promise.all(nodes.map(node => outcomeOf(() => act(node)))));
}

async function outcomeOf(act: () => Promise<Outcome>): Promise<Outcome> {
  const outcome = await attempt(act);
  return 'done' in outcome ? outcome.done : outcome;
}

function sumUp(outcomes: Outcome[]): Outcome {
  const failures = outcomes.flatMap(outcome => 'done' in outcome ? [] : [
    'failed' in outcome ? outcome.failed : outcome.impossible,
  ]);
  return failures.length > 0 ? { failed: failures.join('\n') } : { done: undefined };
}
