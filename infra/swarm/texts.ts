// What the swarm's manager prints, read strictly.
import { Unreadable, parseList, quote } from '../docker/inspect.ts';

export type ServiceState = { name: string; running: number; wanted: number };
/** One service: what its tasks are made from, and what became of its last update. */
export type Rollout = {
  name: string; spec: string; image: string; env: Readonly<Record<string, string>>;
  /** One task on each node; else one in all. */
  isOnEach: boolean;
  state: string | undefined; startedAt: string | undefined; message: string;
};

/** Lines of `docker service ls`: NAME RUNNING/WANTED. */
export function parseServices(text: string): ServiceState[] {
  return text.split('\n').filter(line => line !== '').map(line => {
    const [, name = '', running, wanted] = /^(\S+) (\d+)\/(\d+)( \(.*\))?$/.exec(line) ?? [];
    if (name === '') throw new Unreadable(`docker service ls: ${quote(line)}`);
    return { name, running: Number(running), wanted: Number(wanted) };
  });
}

/** What `docker service inspect` printed. */
export function parseRollouts(text: string): Rollout[] {
  return parseList(text, 'docker service inspect').map(parseRollout);
}

function parseRollout(service: unknown): Rollout {
  const [name, spec] = [at(service, 'Spec', 'Name'), at(service, 'Spec', 'TaskTemplate')];
  const image = at(spec, 'ContainerSpec', 'Image');
  if (typeof name !== 'string' || typeof image !== 'string') {
    throw new Unreadable(`docker service inspect: no name or no image in ${quote(service)}`);
  }
  const env = at(spec, 'ContainerSpec', 'Env') ?? [];
  if (!Array.isArray(env)) throw new Unreadable(`docker service inspect: Env is ${quote(env)}`);
  const pairs = env.map(line => String(line)).map(line => [line.split('=')[0] ?? '', line.replace(/^[^=]*=?/, '')]);
  const field = (key: string) => {
    const found = at(service, 'UpdateStatus', key);
    return typeof found === 'string' ? found : undefined;
  };
  return {
    name, spec: JSON.stringify(spec), image, env: Object.fromEntries(pairs) as Record<string, string>,
    isOnEach: at(service, 'Spec', 'Mode', 'Global') !== undefined,
    state: field('State'), startedAt: field('StartedAt'), message: field('Message') ?? '',
  };
}

function at(value: unknown, ...path: string[]): unknown {
  let here = value;
  for (const name of path) {
    if (typeof here !== 'object' || here === null) return undefined;
    here = (here as Record<string, unknown>)[name];
  }
  return here;
}

/** Swarm names a container STACK_SERVICE.SLOT.TASK; of a service with one on each node the slot is the node's id. */
export function serviceOf(name: string, stack: string): string {
  const [, service = ''] = new RegExp(`^${stack}_([a-z0-9-]+)\\.[a-z0-9]+\\.[a-z0-9]+$`).exec(name) ?? [];
  if (service === '') throw new Unreadable(`no task of ${stack}: ${quote(name)}`);
  return service;
}
