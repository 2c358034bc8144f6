// The faults of a fleet and their recoveries. A fault is born with its recovery, and both may run twice.
import { setTimeout as pause } from 'node:timers/promises';
import type { Context } from '../context.ts';
import { Trouble, attempt, lastWords } from '../docker/engine.ts';
import { RolledBack, badBuild, faultNames, newBuild } from '../platform.ts';
import type { Ended, Fault, FaultName, Faults, Node, Platform } from '../platform.ts';
import type { Fleet } from './fleet.ts';
import type { Machine } from './machine.ts';
import { askingMembers, leaderOf, parseMembers, switchover } from './members.ts';
import type { Member } from './members.ts';
import { awaitRouters, countsAll, rolloutsOf, settled, unhurried, STACK } from './stack.ts';
import { awaitMembers, isMember, leader, running } from './tasks.ts';
import type { Running } from './tasks.ts';
import type { Rollout } from './texts.ts';

/** `isHalted`: it was switched off by `halt`, and is not to come back before `up`. */
type Swarm = {
  context: Context; fleet: Fleet; isUp: (node: Node) => Promise<boolean>; isHalted: (node: Node) => Promise<boolean>;
};
/** As in Fault, but failing by throwing; nothing is in place on a swarm that is not up. */
type Row = {
  inject: (swarm: Swarm, node: Node) => Promise<Ended[] | void>;
  recover: (swarm: Swarm, node: Node) => Promise<void>;
  inPlace: (swarm: Swarm, node: Node) => Promise<boolean>;
};

type Act = (swarm: Swarm) => Promise<void>;

const rows: Partial<Record<FaultName, Row>> = {
  'replica-killed': once({
    inject: async ({ fleet }, node) => {
      const replicas = (await running(fleet)).filter(({ service }) => service === 'api');
      await kill(fleet, replicas.find(({ machine }) => isOf(machine, node)) ?? only(replicas, 'a replica'));
    },
    recover: awaitWhole, inPlace: isShort,
  }),
  upgrade: {
    inject: async swarm => { await bring(swarm, newBuild); },
    recover: bringBack, inPlace: isOther,
  },
  'bad-upgrade': {
    inject: async swarm => [await bringBadly(swarm)],
    recover: bringBack, inPlace: isOther,
  },
  'leader-killed': once({
    inject: async ({ fleet }) => kill(fleet, (await agreed(fleet)).chief),
    recover: awaitWhole, inPlace: isShort,
  }),
  'leader-frozen': once({
    inject: async ({ fleet }) => freeze(fleet, (await agreed(fleet)).chief),
    recover: undoing(thaw), inPlace: isFrozen,
  }),
  'standby-lost': once({
    inject: async ({ fleet }) => freeze(fleet, await confirming(fleet)),
    recover: undoing(thaw), inPlace: isFrozen,
  }),
  'node-lost': once({
    inject: async ({ fleet }, node) => {
      const { chief: { machine: chief } } = await agreed(fleet);
      const others = (await fleet.on()).filter(machine => machine !== chief && !isOf(machine, node));
      await only(others.slice(-1), 'a machine beside those of the leader and of the node that is asked').cut();
    },
    recover: returning(switchOn), inPlace: isCut,
  }),
  'leader-node-lost': once({
    inject: async (swarm, node) => (await leaderElsewhere(swarm, node)).cut(),
    recover: returning(switchOn), inPlace: isCut,
  }),
  split: once({
    inject: async (swarm, node) => (await leaderElsewhere(swarm, node)).plug(false),
    recover: returning(plugAll), inPlace: async ({ fleet }) => (await unplugged(fleet)).length > 0,
  }),
};

/** Each of these takes a machine or a task away: a second one would take what the first has left. */
function once(row: Row): Row {
  return { ...row, inject: async (swarm, node) => {
    if (!await row.inPlace(swarm, node)) return row.inject(swarm, node);
  } };
}

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
      // first whatever keeps the swarm from answering, and nothing is waited for that a later step makes possible
      await plugAll(swarm);
      await switchOn(swarm);
      await thaw(swarm);
      await swarm.fleet.awaitNodes(await swarm.fleet.on());
      await returning(bringBack)(swarm);
    }),
  };
}

function undoing(act: Act): Act {
  return async swarm => {
    await act(swarm);
    await awaitWhole(swarm);
  };
}

/** Of machines: Swarm may call one lost once more that has just returned, until three of its heartbeats were heard. */
function returning(act: Act): Act {
  return async swarm => {
    const { context: { settings: { scaled } }, fleet } = swarm;
    await undoing(act)(swarm);
    let wholeSince = performance.now();
    while (performance.now() - wholeSince < 3 * fleet.heartbeatMs) {
      await pause(scaled(1_000));
      if (await countsAll(fleet)) continue;
      await awaitWhole(swarm);
      wholeSince = performance.now();
    }
  };
}

async function kill({ sh }: Fleet, { machine, container }: Running): Promise<void> {
  await sh(machine, 'exec docker kill "$1" >/dev/null', [container.id]);
}

async function freeze({ sh }: Fleet, { machine, container }: Running): Promise<void> {
  await sh(machine, 'exec docker pause "$1" >/dev/null', [container.id]);
}

/** The leader, by what it says of itself and by what all have agreed: during a change they are not the same. */
async function agreed(fleet: Fleet): Promise<{ chief: Running; members: Member[] }> {
  const chief = await leader(fleet);
  const { machine, container, service } = chief;
  const members = parseMembers(await fleet.sh(machine, 'exec docker exec "$@"', [container.id, ...askingMembers]));
  const name = leaderOf(members)?.name ?? 'nobody';
  if (name === service) return { chief, members };
  throw new Trouble(`${service} takes writes, and ${name} is agreed to lead: patience, or make recover`);
}

/** The standby without which the leader acknowledges nothing: losing the other one is hardly noticed. */
async function confirming(fleet: Fleet): Promise<Running> {
  const { members } = await agreed(fleet);
  const names = members.filter(({ role }) => role === 'confirms').map(({ name }) => name);
  const tasks = (await running(fleet)).filter(one => isMember(one) && names.includes(one.service));
  return only(tasks, 'a standby that confirms');
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
  const { say, settings: { scaled } } = context;
  for (let tries = 3, said = ''; ; tries -= 1) {
    const { chief: { machine, container, service } } = await agreed(fleet);
    if (!isOf(machine, node)) return machine;
    if (tries === 0) throw new Trouble(`the leader stays on ${node.name}, which has to stay in reach: ${said}`);
    const { service: candidate } = await confirming(fleet);
    say(`${service} hands over to ${candidate}`);
    const argv = ['docker', 'exec', container.id, ...switchover(service, candidate)];
    const { stderr, stdout } = await machine.host.run(argv, { deadlineMs: scaled(60_000) });
    said = lastWords(stderr + stdout); // a handover that fails ends with exit 0
    await awaitMembers(context, fleet);
  }
}

/** Swarm starts what is missing by itself: it is waited for, by the machines, since Swarm learns late what is gone. */
async function awaitWhole(swarm: Swarm): Promise<void> {
  const { context, fleet } = swarm;
  const { say, settings: { scaled } } = context;
  const on = await fleet.on();
  const off = fleet.machines.filter(machine => !on.includes(machine));
  await fleet.awaitNodes(on);
  if (off.length > 0) {
    say(`${off.map(({ host }) => host.name).join(' ')}: off, so that only the routers of the others are waited for`);
    return awaitRouters(swarm);
  }
  await settled(swarm, await unhurried(swarm));
  const end = performance.now() + scaled(180_000);
  for (let gone = await absent(fleet); gone.length > 0; gone = await absent(fleet)) {
    if (performance.now() > end) throw new Trouble(`not there in time: ${gone.join(', ')}`);
    await pause(scaled(300));
  }
  await awaitMembers(context, fleet);
  await awaitRouters(swarm);
}

/** The tasks that do not run, each by its service and what is there of it; one that is not healthy yet does not. */
async function absent(fleet: Fleet): Promise<string[]> {
  const tasks = (await running(fleet)).filter(({ container: { status, health } }) => (
    status === 'running' && (health === null || health === 'healthy')
  ));
  return (await rolloutsOf(fleet)).flatMap(({ name, isOnEach }) => {
    const own = tasks.filter(({ service }) => `${STACK}_${service}` === name);
    const nodes = new Set(own.map(({ machine }) => machine.place.node.name)).size;
    const wanted = isOnEach ? fleet.machines.length : 1;
    return nodes < wanted ? `${name} on ${nodes} of ${wanted}` : [];
  });
}

async function isShort({ fleet }: Swarm): Promise<boolean> {
  return (await absent(fleet)).length > 0;
}

async function paused(fleet: Fleet): Promise<Running[]> {
  return (await running(fleet)).filter(({ container }) => container.status === 'paused');
}

async function isFrozen({ fleet }: Swarm): Promise<boolean> {
  return (await paused(fleet)).length > 0;
}

async function thaw({ fleet }: Swarm): Promise<void> {
  for (const { machine, container } of await paused(fleet)) {
    await fleet.sh(machine, 'exec docker unpause "$1" >/dev/null', [container.id]);
  }
}

/** Those that are off though nobody halted them. */
async function cutOff({ fleet, isHalted }: Swarm): Promise<Machine[]> {
  const out = await Promise.all(fleet.machines.map(async machine => (
    !await machine.isOn() && !await isHalted(machine.place.node)
  )));
  return fleet.machines.filter((_, i) => out[i]);
}

async function isCut(swarm: Swarm): Promise<boolean> {
  return (await cutOff(swarm)).length > 0;
}

/** Only that: the rest is the swarm's own doing. */
async function switchOn(swarm: Swarm): Promise<void> {
  await swarm.fleet.start(await cutOff(swarm));
}

async function unplugged(fleet: Fleet): Promise<Machine[]> {
  const on = await fleet.on();
  const out = await Promise.all(on.map(async machine => !await machine.isPlugged()));
  return on.filter((_, i) => out[i]);
}

async function plugAll({ fleet }: Swarm): Promise<void> {
  for (const machine of await unplugged(fleet)) await machine.plug(true);
}

/** Another build by what it says of itself, rolled out as `up` does it: Swarm replaces one replica after the other. */
async function bring(swarm: Swarm, env: Readonly<Record<string, string>>): Promise<void> {
  const before = await unhurried(swarm);
  const adds = Object.entries(env).flatMap(([name, value]) => ['--env-add', `${name}=${value}`]);
  await swarm.fleet.tell(['docker', 'service', 'update', '--detach', '--quiet', ...adds, `${STACK}_api`]);
  await settled(swarm, before);
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
  return isOtherBuild(await rolloutsOf(fleet));
}

function isOtherBuild(all: readonly Rollout[]): boolean {
  return all.some(({ name, env }) => name === `${STACK}_api` && env['GIT_SHA'] !== undefined);
}

/** Also in the middle of an update, which is waited for; a build that is bad gives way by itself meanwhile. */
async function bringBack(swarm: Swarm): Promise<void> {
  const before = await unhurried(swarm);
  if (!isOtherBuild(before)) return;
  const removes = ['GIT_SHA', 'BUILD_TIME'].flatMap(name => ['--env-rm', name]);
  const adds = ['--env-add', 'DATABASE_NAME=orders'];
  await swarm.fleet.tell(['docker', 'service', 'update', '--detach', '--quiet', ...removes, ...adds, `${STACK}_api`]);
  await settled(swarm, before);
}
