// The platform of containers: the stack of infra/docker-compose.yml on this machine's engine, one project per node.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Context } from '../context.ts';
import { faultNames } from '../platform.ts';
import type { Fault, Faults, Node, Outcome, Platform, Target } from '../platform.ts';
import { lastWords } from './engine.ts';
import { readEnv } from './stack/env-file.ts';
import { imagesHere } from './image.ts';
import { openStack } from './stack/stack.ts';
import type { Stack } from './stack/stack.ts';

/** What it makes outside the engine is in the state folder under docker/NODE, and in infra/.env for plain Compose. */
export function openDocker(context: Context): Platform {
  const { local, say, settings } = context;

  const stackOf = async (node: Node): Promise<{ stack: Stack; target: Target }> => {
    const folder = folderOf(context, node);
    const known = readEnv(await local.read(join(folder, 'env')) ?? '');
    // with a state folder that was copied from elsewhere comes a file that tells of the original's stack
    const own = known['ORDERS_SECRETS'] === join(folder, 'secrets') ? known : {};
    const prefix = settings.given.ORDERS_PROJECT ?? own['ORDERS_PROJECT'] ?? `orders-${hashOf(settings.state)}`;
    const host = settings.address ?? own['ORDERS_ADDRESS'] ?? node.local;
    const port = settings.port ?? Number(own['ORDERS_PORT'] ?? 8000);
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
    const { stack, target } = await stackOf(node);
    const outcome = await stack.up(images);
    if ('done' in outcome) {
      await local.write([{ path: marker(node), text: `${target.host} ${target.port} ${settings.state}\n` }]);
    } else if ((await stack.status()).stopped) {
      await unmark(node);
    }
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
      const lacking = await whatIsMissing(context);
      if (lacking !== undefined) return { failed: lacking };
      const images = await imagesHere(context);
      return 'done' in images ? each(nodes, node => upOne(node, images.done)) : images;
    },
    halt: nodes => atOnce(nodes, async node => {
      await unmark(node);
      return (await stackOf(node)).stack.halt();
    }),
    destroy: nodes => atOnce(nodes, async node => {
      await unmark(node);
      return (await stackOf(node)).stack.destroy();
    }),
    status: nodes => Promise.all(nodes.map(async node => {
      const target = await targetOf(node);
      const { line, runs } = await (await stackOf(node)).stack.status();
      const where = target === undefined ? 'not up' : `${target.host}:${target.port}`;
      return { node: node.name, line: `${node.name}  ${line}  ${where}`, runs };
    })),
    logs: (nodes, write) => each(nodes, async node => (await stackOf(node)).stack.logs(write)),
    targets: async nodes => (await Promise.all(nodes.map(targetOf))).filter(target => target !== undefined),
    facts: async node => (await stackOf(node)).stack.facts(),
    mend: async node => (await stackOf(node)).stack.mend(await isUp(node)),
    faults: Object.fromEntries(faultNames.map(name => [name, faultOf(name)])) as Faults,
  };
}

function folderOf({ settings }: Context, { name }: Node): string {
  return join(settings.state, 'docker', name);
}

/** Two checkouts on one engine never meet: names carry the id of the state folder. */
function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}

/** One after the other; a failure of one keeps nothing from the others. */
async function each(nodes: Node[], act: (node: Node) => Promise<Outcome>): Promise<Outcome> {
  const outcomes: Outcome[] = [];
  for (const node of nodes) outcomes.push(await act(node));
  return sumUp(outcomes);
}

async function atOnce(nodes: Node[], act: (node: Node) => Promise<Outcome>): Promise<Outcome> {
  return sumUp(await Promise.all(nodes.map(act)));
}

function sumUp(outcomes: Outcome[]): Outcome {
  const failures = outcomes.flatMap(outcome => 'done' in outcome ? [] : [
    'failed' in outcome ? outcome.failed : outcome.impossible,
  ]);
  return failures.length > 0 ? { failed: failures.join('\n') } : { done: undefined };
}

async function whatIsMissing({ local, settings }: Context): Promise<string | undefined> {
  const deadlineMs = settings.scaled(20_000);
  const engine = await local.run(['docker', 'version', '--format', '{{.Server.Version}}'], { deadlineMs });
  if (engine.code === 127) return 'there is no docker command here (Debian: infra/engine install)';
  if (engine.code !== 0) return `no engine answers: ${lastWords(engine.stderr, 1)}`;
  const compose = await local.run(['docker', 'compose', 'version', '--short'], { deadlineMs });
  if (compose.code === 0 && /^v?([2-9]|[1-9][0-9]+)\./.test(compose.stdout)) return undefined;
  const first = await local.run(['docker-compose', 'version', '--short'], { deadlineMs });
  if (first.code !== 0) return 'docker has no Compose v2 plugin (Debian: infra/engine install)';
  const old = `docker-compose ${first.stdout.trim()} is v1`;
  return `${old}; the plugin docker compose v2 is needed (Debian: infra/engine install)`;
}
