// The engine of a node's host: what of the stack is in it, whose it is, and how commands reach it.
import { sep } from 'node:path';
import type { RunOptions } from '../host.ts';
import { RolledBack, messageOf } from '../platform.ts';
import type { Outcome } from '../platform.ts';
import { Unreadable, parseContainers, quote } from './inspect.ts';
import type { Container } from './inspect.ts';
import type { StackOptions } from './options.ts';

/**
 * The containers of a stack, by service; `preflight` has judged the settings and ended, `refused` is what
 * config-refused threw away.
 */
export type Sight = {
  all: Container[]; api: Container | undefined; db: Container | undefined;
  preflight: Container | undefined; refused: Container | undefined;
};
/** And what else is in the way of `up` or has to go with `destroy`. `now` is the host's clock in s. */
export type Survey = Sight & { volumes: string[]; networks: string[]; publishers: Publisher[]; now: number };
export type Publisher = { name: string; owner: string; ports: string };

/** Each call is a command on the host, which may cost half a second of SSH. */
export type Engine = {
  readonly options: StackOptions;
  /** Runs a shell's script with arguments ($1 …), gives its stdout; Trouble with its last words when it fails. */
  sh: (script: string, args: string[], options?: RunOptions) => Promise<string>;
  docker: (...args: string[]) => Promise<string>;
  /** Throws Trouble for a stack that is another's; `strangers`: other containers in the project may be anybody's. */
  look: (strangers?: 'strangers') => Promise<Sight>;
  survey: () => Promise<Survey>;
};

/** What makes a verb fail: the message is for people. */
export class Trouble extends Error {}

export type Service = 'api' | 'db';
/** The networks that each service is on. The order matters to old engines: whoever publishes comes last. */
export const networksOf: Record<Service, string[]> = { api: ['private', 'front'], db: ['private'] };

export function openEngine(options: StackOptions): Engine {
  const { host, node, project, settings } = options;
  const sh: Engine['sh'] = async (script, args, more = {}) => {
    const run = await host.run(['sh', '-c', script, 'sh', ...args], { deadlineMs: settings.scaled(60_000), ...more });
    if (run.code === 0) return run.stdout;
    throw new Trouble(`${node.name}: ${lastWords(run.stderr) || `a command ended with ${run.code}`}`);
  };
  const look = async (script: string, args: string[], strangers?: 'strangers') => {
    // a container may go between the two calls of the client
    const text = await sh(script, args).catch(() => sh(script, args));
    const { '': inspected = '', ...sections } = sectionsOf(text);
    return { sight: ours(options, parseContainers(inspected), strangers), sections };
  };
  return {
    options, sh,
    docker: (...args) => sh('exec docker "$@"', args),
    look: async strangers => (await look(looking, [project], strangers)).sight,
    survey: async () => {
      const { sight, sections } = await look(looking + surveying, [project, String(options.port)]);
      return {
        ...sight, now: Number(sections['now']),
        volumes: owned(options, sections['volumes']), networks: owned(options, sections['networks']),
        publishers: publishersIn(options, sections['publishers']),
      };
    },
  };
}

/** Turns what is thrown as Trouble into a failure; an unreachable host and faults of ours are passed on. */
export async function attempt<T>(act: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return { done: await act() };
  } catch (error) {
    if ([Trouble, Unreadable, RolledBack].some(kind => error instanceof kind)) return { failed: messageOf(error) };
    throw error;
  }
}

/** That service's container, or Trouble: it has gone, or `up` never made it. */
export function present({ options }: Engine, sight: Sight, service: Service): Container {
  const container = sight[service];
  if (container === undefined) throw new Trouble(`${options.node.name} has no container ${service}: make up`);
  return container;
}

/** The text before the first line `== NAME` under '', and after each one under its name. */
export function sectionsOf(text: string): Record<string, string> {
  const [first = '', ...rest] = text.split(/^== (.*)\n/m);
  const sections: Record<string, string> = { '': first };
  for (let i = 0; i < rest.length; i += 2) sections[rest[i] ?? ''] = rest[i + 1] ?? '';
  return sections;
}

/**
 * How a container has ended since then (s of the host's clock). One that runs tells none, so events are asked. What
 * ends in this very second is reported after one more.
 */
export async function exitCodes({ sh }: Engine, id: string, since: string, moreS: 0 | 1): Promise<string[]> {
  const asking = `
    docker events --since "$1" --until "$(($(date +%s) + $3))" --filter "container=$2" --filter event=die \\
      --format '{{.Actor.Attributes.exitCode}}'`;
  return linesOf(await sh(asking, [since, id, String(moreS)]));
}

export function linesOf(text: string): string[] {
  return text.split('\n').filter(line => line !== '');
}

/** The last lines of what a command said. */
export function lastWords(text: string, count = 3): string {
  return linesOf(text.trim()).slice(-count).join('\n');
}

function isAny(ip: string): boolean {
  return ['0.0.0.0', '[::]', '::'].includes(ip);
}

const looking = `
ids=$(docker ps -aq --no-trunc --filter "label=com.docker.compose.project=$1") || exit
if [ -z "$ids" ]; then echo '[]'; else docker inspect --type container $ids || exit; fi
`;
// by name, since what was made by hand bears no label of Compose
const surveying = `
echo '== volumes'; docker volume ls --filter "name=$1_" --format '{{.Name}} {{.Label "orders.owner"}}' || exit
echo '== networks'; docker network ls --filter "name=$1_" --format '{{.Name}} {{.Label "orders.owner"}}' || exit
echo '== publishers'
fields='{{.Names}}	{{.Label "com.docker.compose.project"}}	{{.Label "orders.owner"}}	{{.Ports}}'
docker ps --filter "publish=$2/tcp" --format "$fields" || exit
echo '== now'; date +%s
`;

/** Another's stack is not touched, and neither is one whose owner cannot be known. */
function ours(options: StackOptions, all: Container[], strangers?: 'strangers'): Sight {
  const { node, project, owner, folder } = options;
  for (const { name, owner: label, secrets, service } of all) {
    if (strangers && !['api', 'db'].includes(service)) continue;
    // before there were labels, a stack could be recognized by the secrets that it mounts
    const theirs = label ?? (secrets?.startsWith(folder + sep) ? owner : secrets ?? 'nobody who can be known');
    if (theirs !== owner) throw foreign(node.name, `container ${name}`, theirs);
  }
  const service = (wanted: Service | 'preflight') => all.find(({ service: is, oneOff }) => is === wanted && !oneOff);
  const refused = all.find(({ name }) => name === `${project}-refused`);
  return { all, api: service('api'), db: service('db'), preflight: service('preflight'), refused };
}

function owned({ node, project, owner }: StackOptions, section = ''): string[] {
  return linesOf(section).flatMap(line => {
    const [, name = '', theirs = ''] = /^(\S+) ?(.*)$/.exec(line) ?? [];
    if (!name.startsWith(`${project}_`)) return [];
    if (theirs !== '' && theirs !== owner) throw foreign(node.name, name, theirs);
    return [name];
  });
}

function foreign(node: string, what: string, owner: string): Trouble {
  return new Trouble(`${node}: the ${what} belongs to ${owner}, so nothing of that stack is touched; `
    + 'act on it from there, or give this one another name with ORDERS_PROJECT=');
}

/** Running containers of other projects that publish our port where we want it. */
function publishersIn({ project, address, port }: StackOptions, section = ''): Publisher[] {
  return linesOf(section).flatMap(line => {
    const [name = '', of, owner = '', ports] = line.split('\t');
    if (ports === undefined) throw new Unreadable(`docker ps: ${quote(line)}`);
    const taken = ports.split(', ').some(text => {
      const [, ip = '', published] = /^(.*):(\d+)->/.exec(text) ?? [];
      return published === String(port) && (ip === address || isAny(ip) || isAny(address));
    });
    return taken && of !== project ? [{ name, owner, ports }] : [];
  });
}
