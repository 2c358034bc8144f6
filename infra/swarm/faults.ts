// The faults of a fleet and their recoveries. A fault is born with its recovery, and both may run twice.
import type { Context } from '../context.ts';
import { Trouble, attempt, lastWords } from '../docker/engine.ts';
import { RolledBack, badBuild, faultNames, newBuild } from '../platform.ts';
import type { Ended, Fault, FaultName, Faults, Node, Platform } from '../platform.ts';
import type { Fleet } from './fleet.ts';
import type { Machine } from './machine.ts';
import { askingMembers, parseMembers, switchover } from './members.ts';
import { rolloutOf, settled, STACK } from './stack.ts';
import { awaitMembers, leader, running } from './tasks.ts';
import type { Running } from './tasks.ts';

type Swarm = { context: Context; fleet: Fleet; isUp: (node: Node) => Promise<boolean> };
/** As in Fault, but failing by throwing; nothing is in place on a swarm that is not up. */
type Row = {
  inject: (swarm: Swarm, node: Node) => Promise<Ended[] | void>;
  recover: (swarm: Swarm, node: Node) => Promise<void>;
  inPlace: (swarm: Swarm, node: Node) => Promise<boolean>;
};


const rows: Partial<Record<FaultName, Row>> = {
  'replica-killed': {
    inject: async ({ fleet }, node) => {
      const replicas = (await running(fleet)).filter(({ service }) => service === 'api');
      await kill(fleet, replicas.find(({ machine }) => isOf(machine, node)) ?? only(replicas, 'a replica'));
    },
    recover: awaitWhole, inPlace: isShort,
  },
  upgrade: {
    inject: async swarm => { await bring(swarm, newBuild); },
    recover: bringBack, inPlace: isOther,
  },
  'bad-upgrade': {
    inject: async swarm => [await bringBadly(swarm)],
    recover: bringBack, inPlace: isOther,
  },
  'leader-killed': {
    inject: async ({ fleet }) => kill(fleet, await leader(fleet)),
    recover: awaitWhole, inPlace: isShort,
  },
  'leader-frozen': {
    inject: async ({ fleet }) => {
      const { machine, container } = await leader(fleet);
      await fleet.sh(machine, 'exec docker pause "$1" >/dev/null', [container.id]);
    },
    recover: thaw, inPlace: async ({ fleet }) => (await paused(fleet)).length > 0,
  },
  'standby-lost': {
    // the one that confirms: of the other nobody would notice anything
    inject: async ({ fleet }) => {
      const confirming = await confirms(fleet, await leader(fleet));
      const standbys = (await running(fleet)).filter(({ service }) => service === confirming);
      const { machine, container } = only(standbys, 'a standby');
      await fleet.sh(machine, 'exec docker pause "$1" >/dev/null', [container.id]);
    },
    recover: thaw, inPlace: async ({ fleet }) => (await paused(fleet)).length > 0,
  },
  'node-lost': {
    inject: async ({ fleet }, node) => {
      const { machine: chief } = await leader(fleet);
      const others = fleet.machines.filter(machine => machine !== chief && !isOf(machine, node) && machine.isOn());
      await only(others.slice(-1), 'a machine beside those of the leader and of the node that is asked').cut();
    },
    recover: switchOn, inPlace: async ({ fleet }) => fleet.machines.some(machine => !machine.isOn()),
  },
  'leader-node-lost': {
    inject: async (swarm, node) => (await leaderElsewhere(swarm, node)).cut(),
    recover: switchOn, inPlace: async ({ fleet }) => fleet.machines.some(machine => !machine.isOn()),
  },
  split: {
    inject: async (swarm, node) => (await leaderElsewhere(swarm, node)).plug(false),
    recover: plugAll, inPlace: async ({ fleet }) => (await unplugged(fleet)).length > 0,
  },
};

/** All of them, and what undoes whatever is in place. */
export function openFaults(swarm: Swarm): Pick<Platform, 'faults' | 'mend'> {
  const { isUp } = swarm;
  const faultOf = (name: FaultName): Fault => {
    const row = rows[name];
    if (row === undefined) {
      const reason = `${name} is no fault of a swarm; PLATFORM=docker gives it on a stack of one node`;
      const recover = async () => ({ done: undefined });
      return { inject: async () => ({ impossible: reason }), recover, inPlace: async () => false };
    }
    return {
      inject: node => attempt(async () => (await row.inject(swarm, node)) ?? undefined),
      recover: node => attempt(async () => { if (await isUp(node)) await row.recover(swarm, node); }),
      inPlace: async node => await isUp(node) && row.inPlace(swarm, node),
    };
  };
  return {
    faults: Object.fromEntries(faultNames.map(name => [name, faultOf(name)])) as Faults,
    mend: node => attempt(async () => {
      if (!await isUp(node)) return;
      await plugAll(swarm);
      await switchOn(swarm);
      await thaw(swarm);
      await bringBack(swarm);
    }),
  };
}

async function kill({ sh }: Fleet, { machine, container }: Running): Promise<void> {
  await sh(machine, 'exec docker kill "$1" >/dev/null', [container.id]);
}

function only<T>([one]: readonly T[], what: string): T {
  if (one === undefined) throw new Trouble(`the swarm has not ${what}: make status`);
  return one;
}

function isOf({ place }: Machine, node: Node): boolean {
  return place.node.name === node.name;
}

/** The leader's machine; from the node that is asked, which has to stay in reach, it is moved away first. */
async function leaderElsewhere({ context, fleet }: Swarm, node: Node): Promise<Machine> {
  const { machine, container, service } = await leader(fleet);
  if (!isOf(machine, node)) return machine;
  const candidate = await confirms(fleet, { machine, container });
  const argv = ['docker', 'exec', container.id, ...switchover(service, candidate)];
  const run = await machine.host.run(argv, { deadlineMs: context.settings.scaled(60_000) });
  if (run.code !== 0) throw new Trouble(`the leader could not be moved: ${lastWords(run.stderr + run.stdout)}`);
  await awaitMembers(context, fleet);
  return (await leader(fleet)).machine;
}

/** The service of the member without which the leader acknowledges nothing. */
async function confirms(fleet: Fleet, { machine, container }: Pick<Running, 'machine' | 'container'>): Promise<string> {
  const members = parseMembers(await fleet.sh(machine, 'exec docker exec "$@"', [container.id, ...askingMembers]));
  return only(members.filter(({ role }) => role === 'confirms'), 'a standby that confirms').name;
}

/** Swarm starts what is missing by itself: it is waited for. */
async function awaitWhole({ context, fleet }: Swarm): Promise<void> {
  await settled({ context, fleet }, await rolloutOf(fleet));
  await awaitMembers(context, fleet);
}

async function isShort({ fleet }: Swarm): Promise<boolean> {
  const text = await fleet.ask(['docker', 'service', 'ls', '--format', '{{.Replicas}}']);
  return text.split('\n').some(line => line !== '' && line.split('/')[0] !== line.split('/')[1]?.split(' ')[0]);
}

async function paused(fleet: Fleet): Promise<Running[]> {
  return (await running(fleet)).filter(({ container }) => container.status === 'paused');
}

async function thaw(swarm: Swarm): Promise<void> {
  for (const { machine, container } of await paused(swarm.fleet)) {
    await swarm.fleet.sh(machine, 'exec docker unpause "$1" >/dev/null', [container.id]);
  }
  await awaitWhole(swarm);
}

async function switchOn(swarm: Swarm): Promise<void> {
  if (swarm.fleet.machines.some(machine => !machine.isOn())) await swarm.fleet.assemble();
  await awaitWhole(swarm);
}

async function unplugged(fleet: Fleet): Promise<Machine[]> {
  const out = await Promise.all(fleet.machines.map(async machine => machine.isOn() && !await machine.isPlugged()));
  return fleet.machines.filter((_, i) => out[i]);
}

async function plugAll(swarm: Swarm): Promise<void> {
  for (const machine of await unplugged(swarm.fleet)) await machine.plug(true);
  await awaitWhole(swarm);
}

/** Another build by what it says of itself, rolled out as `up` does it: Swarm replaces one replica after the other. */
async function bring({ context, fleet }: Swarm, env: Readonly<Record<string, string>>): Promise<void> {
  const before = await rolloutOf(fleet);
  const adds = Object.entries(env).flatMap(([name, value]) => ['--env-add', `${name}=${value}`]);
  await fleet.ask(['docker', 'service', 'update', '--detach', '--quiet', ...adds, `${STACK}_api`]);
  await settled({ context, fleet }, before);
}

/** What `up` would have said is the finding; a build that was taken after all is a failure. */
async function bringBadly(swarm: Swarm): Promise<Ended> {
  const began = performance.now();
  try {
    await bring(swarm, badBuild);
  } catch (error) {
    if (!(error instanceof RolledBack)) throw error;
    return { exit: 1, ms: Math.round(performance.now() - began), stderr: error.message };
  }
  throw new Trouble('a build that cannot be ready was taken for one that is');
}

async function isOther({ fleet }: Swarm): Promise<boolean> {
  return (await rolloutOf(fleet))?.env['GIT_SHA'] !== undefined;
}

async function bringBack(swarm: Swarm): Promise<void> {
  const { context, fleet } = swarm;
  const before = await rolloutOf(fleet);
  if (before?.env['GIT_SHA'] !== undefined) {
    const removes = ['GIT_SHA', 'BUILD_TIME'].flatMap(name => ['--env-rm', name]);
    const adds = ['--env-add', 'DATABASE_NAME=orders'];
    await fleet.ask(['docker', 'service', 'update', '--detach', '--quiet', ...removes, ...adds, `${STACK}_api`]);
    await settled({ context, fleet }, before);
  }
}
