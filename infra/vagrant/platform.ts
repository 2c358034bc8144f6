// The platform of virtual machines: a Compose stack in each VM of vagrant/Vagrantfile, one VM a node, driven over SSH.
import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Context } from '../context.ts';
import { imagesHere, imagesOn, imagesWanted } from '../docker/image.ts';
import { openStack } from '../docker/stack/stack.ts';
import { Unreachable } from '../host.ts';
import { answered, faultNames } from '../platform.ts';
import type { Fault, FaultName, Faults, Node, Outcome, Platform, Target } from '../platform.ts';
import { openGuest, reasonOf, together } from './guest.ts';
import type { Guest, Stacks, Surroundings } from './guest.ts';
import { factsInside } from './inside.ts';
import { openMachines } from './machines.ts';
import { bringUp } from './up.ts';

const noDisk = 'ORDERS_DISK_MB is for the platforms process and docker: '
  + 'on vagrant the power of the whole machine is cut; leave it away';
const ours: Stacks = { open: openStack, imagesHere, imagesOn, imagesWanted };

/** All that it makes outside the machines lies in the state folder's `vagrant`. Nothing is looked at or started yet. */
export function openVagrant(context: Context, stacks = ours): Platform {
  const { settings, say } = context;
  const folder = join(settings.state, 'vagrant');
  const machines = openMachines(context);
  const surroundings: Surroundings = { context, machines, folder, stacks };
  const known = new Map<string, Guest>();
  const guestOf = (node: Node): Guest => {
    const guest = known.get(node.name) ?? openGuest(surroundings, node);
    known.set(node.name, guest);
    return guest;
  };

  /** Services first, then machines. Gives the machines that run; one that is down already is no error. */
  const stopStacks = async (guests: readonly Guest[]): Promise<Outcome<string[]>> => {
    const states = await machines.states(guests.map(({ name }) => name));
    if (!('done' in states)) return states;
    const runs = ({ name }: Guest) => states.done.get(name) === 'running';
    await Promise.all(guests.map(async guest => {
      await guest.markDown();
      const state = states.done.get(guest.name);
      if (runs(guest) && guest.hasStack()) await stopStack(guest);
      else if (runs(guest)) say(`${guest.name}: has no stack to stop`);
      else if (state === 'not_created') say(`${guest.name}: has no machine`);
      else say(`${guest.name}: its machine is down already (${state})`);
      await guest.host.hangUp();
    }));
    return { done: guests.filter(runs).map(({ name }) => name) };
  };
  const stopStack = async (guest: Guest): Promise<void> => {
    say(`${guest.name}: stopping the services`);
    const stopped = await answered(async () => (await guest.stack()).halt());
    if ('done' in stopped) return;
    say(`${guest.name}: ${reasonOf(stopped)}; what was not stopped one by one its machine's shutdown will stop`);
  };
  const halt: Platform['halt'] = async nodes => {
    const running = await stopStacks(nodes.map(guestOf));
    if (!('done' in running)) return running;
    const names = running.done.join(' ');
    if (names === '') return { done: undefined };
    say(`stopping the machines: ${names}`);
    const halted = await machines.halt(running.done);
    return 'done' in halted ? halted : { failed: `the machines could not be stopped: ${names} (${reasonOf(halted)})` };
  };
  const destroy: Platform['destroy'] = async nodes => {
    const guests = nodes.map(guestOf);
    const stopped = await stopStacks(guests);
    if (!('done' in stopped)) return stopped;
    const names = guests.map(({ name }) => name);
    say(`removing the machines: ${names.join(' ')}`);
    const removed = await machines.destroy(names);
    if (!('done' in removed)) {
      return { failed: `the machines could not be removed: ${names.join(' ')} (${reasonOf(removed)})` };
    }
    for (const guest of guests) await guest.forget();
    // the archives serve every machine, and go with the last
    const left = existsSync(folder) ? await readdir(folder) : [];
    if (!left.some(file => file.endsWith('.ssh'))) await rm(folder, { recursive: true, force: true });
    return { done: undefined };
  };

  const status: Platform['status'] = async nodes => {
    const states = await machines.states(nodes.map(({ name }) => name));
    if (!('done' in states)) throw new Error(reasonOf(states));
    return Promise.all(nodes.map(guestOf).map(async guest => {
      const { name: node } = guest;
      const state = states.done.get(node) ?? '';
      const line = `${node}  machine ${state.replaceAll('_', ' ')}`;
      if (state !== 'running') return { node, line, runs: false };
      if (!guest.hasStack()) return { node, line: `${line}  no stack  ${guest.node.address}`, runs: true };
      const seen = await answered(async () => ({ done: await (await guest.stack()).status() }));
      if (!('done' in seen)) return { node, line: `${line}  but no stack answers: ${reasonOf(seen)}`, runs: false };
      const where = guest.isUp() ? `${guest.node.address}:${await guest.port() ?? '?'}` : 'not up';
      return { node, line: `${line}  ${seen.done.line}  ${where}`, runs: seen.done.runs };
    }));
  };
  const logs: Platform['logs'] = async (nodes, write) => {
    const failures = new Map<string, string>();
    for (const guest of nodes.map(guestOf)) {
      const told = await answered(async () => (await guest.stack()).logs(write));
      if (!('done' in told)) failures.set(guest.name, reasonOf(told));
    }
    return together(failures);
  };

  const fault = (name: FaultName): Fault => ({
    inject: (node, spoilt) => answered(async () => (await guestOf(node).stack()).faults[name].inject(spoilt)),
    recover: node => answered(async () => (await guestOf(node).stack()).faults[name].recover(guestOf(node).isUp())),
    // a machine that was halted has nothing in place, and must not be asked
    inPlace: async node => guestOf(node).isUp() && (await guestOf(node).stack()).faults[name].inPlace(true),
  });
  const isOff = async ({ name }: Node): Promise<boolean> => {
    const states = await machines.states([name]);
    if (!('done' in states)) throw new Error(reasonOf(states));
    return states.done.get(name) !== 'running';
  };
  // The node counts as up all the while, for nobody has halted it.
  const powerCut: Fault = {
    inject: async node => {
      await guestOf(node).host.hangUp();
      return answered(async () => {
        const cut = await isOff(node) ? { done: undefined } : await machines.cut(node.name);
        return 'done' in cut ? { done: undefined } : cut;
      });
    },
    recover: async node => {
      if (guestOf(node).isUp()) return answered(() => bringUp(surroundings, [guestOf(node)], []));
      say(`${node.name} is not up: nothing to recover`);
      return { done: undefined };
    },
    inPlace: async node => guestOf(node).isUp() && isOff(node),
  };
  const mend = async (node: Node): Promise<Outcome> => {
    try {
      return await (await guestOf(node).stack()).mend(guestOf(node).isUp());
    } catch (error) {
      // `up` undoes whatever was broken in it before as well
      if (error instanceof Unreachable && await powerCut.inPlace(node)) return powerCut.recover(node);
      throw error;
    }
  };
  return {
    name: 'vagrant', halt, destroy, status, logs,
    up: async (nodes, all = []) => {
      if (settings.diskMb !== undefined) return { failed: noDisk };
      const others = all.filter(({ name }) => !nodes.some(node => node.name === name));
      return bringUp(surroundings, nodes.map(guestOf), others.map(guestOf));
    },
    machine: (node, services) => answered(() => (
      factsInside({ node, host: guestOf(node).host, services, scaled: settings.scaled })
    )),
    targets: async nodes => (await Promise.all(nodes.map(guestOf).map(targetsOf))).flat(),
    facts: node => answered(async () => {
      const wanted = await stacks.imagesWanted(context, [settings.state, folder].map(where => join(where, 'image')));
      return (await guestOf(node).stack()).facts(wanted);
    }),
    leaks: node => answered(async () => (await guestOf(node).stack()).leaks()),
    inDatabase: node => async (script, more) => (await guestOf(node).stack()).inDatabase(script, more),
    mend: node => answered(() => mend(node)),
    faults: { ...Object.fromEntries(faultNames.map(name => [name, fault(name)])) as Faults, 'power-cut': powerCut },
  };
}

/** One when it is up, else none. */
async function targetsOf({ name, node, isUp, port }: Guest): Promise<Target[]> {
  const at = await port();
  return isUp() && at !== undefined ? [{ node: name, host: node.address, port: at }] : [];
}
