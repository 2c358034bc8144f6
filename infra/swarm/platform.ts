// The platform of a fleet: Docker Swarm over the nodes of nodes.txt, each a machine of its own.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Context } from '../context.ts';
import { tellFinding } from '../doctor/finding.ts';
import { lacksOf } from '../doctor/needs.ts';
import { Trouble, attempt, lastWords } from '../docker/engine.ts';
import { imagesHere } from '../docker/image.ts';
import { readEnv } from '../docker/stack/env-file.ts';
import { superuser } from '../database/faults.ts';
import { readNodes } from '../nodes.ts';
import type { MachineKind, Node, Platform } from '../platform.ts';
import { openFaults } from './faults.ts';
import { kindFile, openFleet } from './fleet.ts';
import type { Fleet } from './fleet.ts';
import { paceOf, paced } from './pace.ts';
import { PORT } from './places.ts';
import { distribute, rollOut, secretsOf } from './stack.ts';
import type { Values } from './stack.ts';
import { awaitMembers, factsOf, leader, running, servedFile } from './tasks.ts';

/** What it makes is in the state folder under swarm/, in its machines, and in what joins them. */
export function openSwarm(context: Context): Platform {
  const { local, say, settings } = context;
  const nodes = readNodes(settings.root);
  const fleet = openFleet(context, nodes);
  const placeOf = ({ name }: Node) => fleet.machines.find(({ place }) => place.node.name === name)?.place;
  const marker = (node: Node) => join(settings.state, 'swarm', `${node.name}.up`);
  const haltMark = (node: Node) => join(settings.state, 'swarm', `${node.name}.halted`);
  const isHalted = async (node: Node) => await local.read(haltMark(node)) !== undefined;
  /** The mark says whose it is, so that in a copy of the state folder it means nothing. */
  const isUp = async (node: Node) =>
    await local.read(marker(node)) === `${settings.state}\n` && await fleet.isRaised();
  const unmark = async (some: readonly Node[]) => { await local.run(['rm', '-f', ...some.map(marker)]); };

  return {
    name: 'swarm',
    up: async asked => {
      const { machines: said } = settings;
      if (said !== undefined && said !== fleet.kind) return { failed: otherKind(fleet.kind, said) };
      const [lack] = await lacksOf(fleet.needs, context);
      if (lack !== undefined) return { failed: tellFinding(lack) };
      const images = await imagesHere(context);
      if (!('done' in images)) return images;
      return attempt(async () => {
        const values = await valuesOf(context, images.done.service);
        // before anything is started: whatever becomes of this, what runs belongs to somebody, who can destroy it
        await local.write([
          { path: kindFile(settings.state), text: `${fleet.kind}\n` },
          ...asked.map(node => ({ path: marker(node), text: `${settings.state}\n` })),
        ]);
        await local.run(['rm', '-f', ...nodes.map(haltMark)]);
        await fleet.assemble();
        say(`${fleet.machines.length} machines are one swarm`);
        await distribute({ context, fleet }, imagesIn(values));
        await rollOut({ context, fleet }, values);
        await local.write([{ path: servedFile(context), text: JSON.stringify(values) }]);
        await awaitMembers(context, fleet);
        // a right that this checkout gives or takes reaches a database that another one made
        const { machine, container } = await leader(fleet);
        await fleet.sh(machine, 'exec docker exec "$1" role.sh', [container.id]);
      });
    },
    halt: asked => attempt(async () => {
      await unmark(asked);
      await local.write(asked.map(node => ({ path: haltMark(node), text: '' })));
      const all = fleet.machines.filter(({ place }) => asked.some(node => node.name === place.node.name));
      await fleet.stop(all);
      say(`${all.map(({ host }) => host.name).join(' ')}: stopped, the data is kept`);
    }),
    destroy: asked => attempt(async () => {
      if (asked.length < nodes.length) {
        throw new Trouble('a swarm is removed as a whole: make destroy, without NODE; make halt stops a node');
      }
      await unmark(nodes);
      await fleet.disband();
      const removed = await local.run(['rm', '-rf', join(settings.state, 'swarm')]);
      if (removed.code !== 0) throw new Trouble(lastWords(removed.stderr));
      say('gone, with its data');
    }),
    status: async asked => {
      const all = await attempt(() => running(fleet));
      const on = await fleet.on();
      return Promise.all(asked.map(async node => {
        const isOn = on.some(({ place }) => place.node.name === node.name);
        const own = 'done' in all ? all.done.filter(({ machine }) => machine.place.node.name === node.name) : [];
        const where = await isUp(node) ? `${placeOf(node)?.address}:${PORT}` : 'not up';
        const told = 'done' in all ? own.map(({ service }) => service).sort().join(' ') || 'nothing runs'
          : Object.values(all).join();
        const runs = isOn && own.some(({ service }) => service === 'router');
        return { node: node.name, line: `${node.name}  machine ${isOn ? `on: ${told}` : 'off'}  ${where}`, runs };
      }));
    },
    logs: (asked, write) => attempt(async () => {
      for (const { machine, container, service } of await running(fleet)) {
        const { name } = machine.host;
        if (!asked.some(node => node.name === name)) continue;
        const onLine = (line: string) => write(`${name} ${service} | ${line}`);
        const args = [String(settings.lines), container.id];
        await fleet.sh(machine, 'exec docker logs --tail "$1" "$2" 2>&1', args, { onLine });
      }
    }),
    targets: async asked => {
      const up = await Promise.all(asked.map(async node => await isUp(node) ? placeOf(node) : undefined));
      return up.flatMap(place => place === undefined ? [] : {
        node: place.node.name, host: place.address, port: PORT,
      });
    },
    facts: async node => factsOf(context, fleet, node),
    machine: async () => ({ impossible: 'a router leads to any replica: who answers tells nothing of the way' }),
    leaks: () => attempt(() => leaks(context, fleet)),
    inDatabase: () => async (script, more) => {
      const { machine, container } = await leader(fleet);
      const login = Object.entries(superuser).flatMap(([name, value]) => ['-e', `${name}=${value}`]);
      return machine.host.run(['docker', 'exec', '-i', ...login, container.id, 'sh', '-c', script], more);
    },
    ...openFaults({ context, fleet, isUp, isHalted }),
  };
}

async function valuesOf(context: Context, image: string): Promise<Values> {
  const { settings, local } = context;
  const script = join(settings.infra, 'images', 'build');
  const run = await local.run([script, 'cluster'], {
    deadlineMs: settings.scaled(900_000), env: { ORDERS_STATE: settings.state }, onLine: context.say,
  });
  if (run.code !== 0) throw new Trouble('the images of the database could not be made: infra/images/build cluster');
  const { ENV = 'production', LOG_LEVEL = 'info', ...service } = settings.service;
  return {
    ...await clusterImages(context), ...await configsOf(context), ORDERS_IMAGE: image,
    ORDERS_ENV: ENV, LOG_LEVEL, ORDERS_PACE: String(paceOf(settings.scale)), ...service,
  };
}

/** What the configurations say, in short. */
async function configsOf({ settings, local }: Context): Promise<Values> {
  const digest = async (file: string) => {
    const text = paced(await local.read(join(settings.infra, 'swarm', file)) ?? '', paceOf(settings.scale));
    return createHash('sha256').update(text).digest('hex').slice(0, 12);
  };
  return { ORDERS_PATRONI_CONFIG: await digest('patroni.yml'), ORDERS_HAPROXY_CONFIG: await digest('haproxy.cfg') };
}

async function clusterImages({ settings, local }: Context): Promise<Values> {
  return readEnv(await local.read(join(settings.state, 'cluster.env')) ?? '');
}

function imagesIn(values: Values): string[] {
  return Object.entries(values).flatMap(([name, value]) => name.endsWith('_IMAGE') ? value : []);
}

async function leaks({ settings, local }: Context, fleet: Fleet): Promise<string[]> {
  const secrets = await Promise.all(secretsOf(settings.state).map(path => local.read(path)));
  const stray = secretsOf(settings.state).filter((_, i) => !secrets[i]);
  if (stray.length > 0) throw new Trouble(`no password in ${stray.join(', ')}`);
  const input = secrets.map(secret => `${secret}\n`).join('');
  const found = await Promise.all((await running(fleet)).map(async ({ service, machine, container }) => {
    const told = await fleet.sh(machine, leaking, [container.id], { input });
    return told.trim() === 'leaks' ? [`${service} on ${machine.host.name}`] : [];
  }));
  return found.flat();
}

function otherKind(is: MachineKind, said: MachineKind): string {
  return `the machines of this swarm are MACHINES=${is}: make destroy comes before MACHINES=${said}`;
}

// The passwords come on stdin, since anybody on the machine can see an argument. It may be a socket, which cannot be
// opened again by a name.
const leaking = `
secrets=$(cat)
docker logs --tail 1 "$1" >/dev/null 2>&1 || { echo "no log of $1" >&2; exit 1; }
if docker logs "$1" 2>&1 | grep -qF -f /dev/fd/3 3<<END
$secrets
END
then echo leaks; fi
`;
