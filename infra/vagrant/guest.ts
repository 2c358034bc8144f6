// One node of this platform: its machine as a host, the stack in there, and the files in which this host remembers it.
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Context } from '../context.ts';
import type { imagesHere, imagesOn, imagesWanted } from '../docker/image.ts';
import type { openStack, Stack } from '../docker/stack/stack.ts';
import { Unreachable } from '../host.ts';
import type { Node, Outcome } from '../platform.ts';
import type { Machines } from './machines.ts';
import { openSsh } from './ssh.ts';
import type { SshHost } from './ssh.ts';

/** The way into a machine, and what is remembered of it. */
export type Login = {
  readonly node: Node;
  readonly name: string;
  readonly host: SshHost;
  /** Writes down how OpenSSH gets in. */
  configure: (text: string) => Promise<void>;
  /** With which provision.sh it was provisioned. */
  recipe: () => Promise<string | undefined>;
  markProvisioned: (recipe: string) => Promise<void>;
};
export type Guest = Login & {
  /** Its Compose stack, published at `port`: without one where `up` published it last. */
  stack: (port?: number) => Promise<Stack>;
  /** Where `up` published it last; undefined before. */
  port: () => Promise<number | undefined>;
  /** `up` began to start a stack there, and it was not destroyed since. Known from a file, so nothing is sent. */
  hasStack: () => boolean;
  /** `up` came to its end, and nobody has halted the node since. */
  isUp: () => boolean;
  markBegun: () => Promise<void>;
  markUp: (port: number) => Promise<void>;
  markDown: () => Promise<void>;
  /** Nothing of it is left here. */
  forget: () => Promise<void>;
};

export const DEFAULT_PORT = 8000;
const kinds = ['stack', 'up', 'port', 'ssh', 'home', 'recipe'] as const;
type Kind = (typeof kinds)[number];

/** `folder` is this platform's own in the state folder. */
export type Surroundings = { context: Context; machines: Machines; folder: string; stacks: Stacks };
/** What goes on inside a machine: shared with the platform docker. */
export type Stacks = {
  open: typeof openStack; imagesHere: typeof imagesHere; imagesOn: typeof imagesOn; imagesWanted: typeof imagesWanted;
};

export function openLogin({ context, machines, folder }: Omit<Surroundings, 'stacks'>, node: Node): Login {
  const { settings, local } = context;
  const { name } = node;
  const write = (kind: Kind, text: string) => local.write([{ path: join(folder, `${name}.${kind}`), text }]);
  const configure = (text: string) => write('ssh', text);
  const host = openSsh({
    local, node: name, folder, scaled: settings.scaled,
    configure: async () => {
      const configs = await machines.sshConfigs([name]);
      if (!('done' in configs)) throw new Unreachable(`${name}: ${reasonOf(configs)}; make up starts it`);
      await configure(configs.done.get(name) ?? '');
    },
  });
  return {
    node, name, host, configure,
    recipe: () => local.read(join(folder, `${name}.recipe`)),
    markProvisioned: recipe => write('recipe', recipe),
  };
}

export function openGuest(surroundings: Surroundings, node: Node): Guest {
  const { context: { settings, local, say }, folder, stacks } = surroundings;
  const login = openLogin(surroundings, node);
  const { name, host } = login;
  const fileOf = (kind: Kind) => join(folder, `${name}.${kind}`);
  const write = (...files: [Kind, string][]) => (
    local.write(files.map(([kind, text]) => ({ path: fileOf(kind), text })))
  );
  const remove = async (...some: readonly Kind[]) => {
    for (const kind of some) await rm(fileOf(kind), { force: true });
  };
  const port = async () => {
    const text = await local.read(fileOf('port'));
    return text === undefined ? undefined : Number(text);
  };
  return {
    ...login, port,
    stack: async given => {
      const home = await host.home();
      return stacks.open({
        platform: 'vagrant', host, node, project: `orders-${name}`, address: node.address,
        port: given ?? await port() ?? DEFAULT_PORT,
        folder: `${home}/.state/docker/${name}`, infra: `${home}/infra`,
        // The machine is nothing but a node: its stack is ours, and its packet filter too. What else was given (a
        // Compose file, a project's name) is meant for the engine here, and images are handed over by `up`.
        owner: 'vagrant', firewall: true, settings: { ...settings, given: {} }, say,
      });
    },
    // the port is all that the former version of this file has left
    hasStack: () => existsSync(fileOf('stack')) || existsSync(fileOf('port')),
    isUp: () => existsSync(fileOf('up')),
    markBegun: () => write(['stack', '']),
    markUp: port => write(['port', String(port)], ['up', '']),
    markDown: () => remove('up'),
    forget: () => remove(...kinds),
  };
}

/** What went wrong, each node by its name; done when nothing did. */
export function together(failures: ReadonlyMap<string, string>): Outcome {
  if (failures.size === 0) return { done: undefined };
  const named = [...failures].map(([node, why]) => why.startsWith(`${node}: `) ? why : `${node}: ${why}`);
  return { failed: named.join('; ') };
}

export function reasonOf(outcome: { failed: string } | { impossible: string }): string {
  return 'failed' in outcome ? outcome.failed : outcome.impossible;
}
