// Machines of a swarm that are those of vagrant/Vagrantfile: each has an engine, and is reached over SSH.
import { basename, join } from 'node:path';
import type { Context } from '../context.ts';
import { Trouble, lastWords } from '../docker/engine.ts';
import { Unreachable } from '../host.ts';
import type { Host } from '../host.ts';
import type { Node, Outcome } from '../platform.ts';
import { openLogin, reasonOf, together } from '../vagrant/guest.ts';
import type { Login } from '../vagrant/guest.ts';
import { openMachines } from '../vagrant/machines.ts';
import type { Machines } from '../vagrant/machines.ts';
import { boot } from '../vagrant/up.ts';
import type { Kind, Machine } from './machine.ts';

/** `ready` returns when its engine is as a swarm needs it; `isOurs`: this swarm made it, or found nothing in it. */
type Guest = Machine & {
  login: Login; ready: () => Promise<void>; isOurs: () => Promise<boolean>; claim: () => Promise<void>;
};
type Around = {
  context: Context; vagrant: Machines; folder: string; addresses: readonly string[]; powered: () => Promise<string[]>;
};

/** What it remembers is in the state folder under swarm/vagrant. */
export function openGuests(context: Context, nodes: readonly Node[]): Kind {
  const { local, settings } = context;
  const folder = join(settings.state, 'swarm', 'vagrant');
  const vagrant = openMachines(context);
  const provider = join(folder, 'provider');
  /** Before the first `start` there is nobody to ask, and none of them is ours. */
  const powered = async () => {
    const name = await local.read(provider);
    return name === undefined ? [] : succeeded(await vagrant.powered(name));
  };
  const addresses = nodes.map(({ address }) => address);
  const guests = nodes.map(node => openMachine({ context, vagrant, folder, addresses, powered }, node));
  const those = (some: readonly Machine[]) => guests.filter(guest => some.includes(guest));
  return {
    machines: guests, needs: 'vagrant',
    start: async some => {
      const wanted = those(some);
      if (wanted.length === 0) return;
      const strange = await selected(wanted, async guest => !await guest.isOurs());
      if (strange.length > 0) {
        const states = succeeded(await vagrant.states(strange.map(nameOf)));
        for (const guest of strange) if (states.get(nameOf(guest)) === 'not_created') await guest.claim();
      }
      const off = await selected(wanted, async guest => !await guest.isOn());
      await Promise.all(off.map(({ login }) => login.host.hangUp()));
      succeeded(together(await boot(context, vagrant, wanted.map(({ login }) => login))));
      const [first] = wanted.map(nameOf);
      if (first !== undefined && await local.read(provider) === undefined) {
        await local.write([{ path: provider, text: succeeded(await vagrant.provider(first)) }]);
      }
      await Promise.all(wanted.map(guest => guest.ready()));
    },
    stop: async some => {
      const on = await powered();
      const names = those(some).map(nameOf).filter(name => on.includes(name));
      await Promise.all(those(some).map(({ login }) => login.host.hangUp()));
      if (names.length > 0) succeeded(await vagrant.halt(names));
    },
    remove: async () => {
      await Promise.all(guests.map(({ login }) => login.host.hangUp()));
      const ours = await selected(guests, guest => guest.isOurs());
      if (ours.length > 0) succeeded(await vagrant.destroy(ours.map(nameOf)));
    },
    // nothing joins them that could be missing
    isRaised: async () => true,
  };
}

function openMachine({ context, vagrant, folder, addresses, powered }: Around, node: Node): Guest {
  const { local, settings: { scaled } } = context;
  const { name, address } = node;
  const login = openLogin({ context, machines: vagrant, folder }, node);
  const host: Host = {
    ...login.host, run: (argv, options) => login.host.run(argv, { deadlineMs: scaled(60_000), ...options }),
  };
  const asRoot = async (script: string, args: readonly string[], deadlineMs: number): Promise<string> => {
    const argv = ['sudo', '-n', 'sh', '-e', '-c', script, 'sh', ...args];
    const run = await host.run(argv, { deadlineMs: scaled(deadlineMs) });
    if (run.code === 0) return run.stdout;
    throw new Trouble(`${name}: ${lastWords(run.stderr) || `a command ended with ${run.code}`}`);
  };
  const mark = join(folder, `${name}.ours`);
  const claim = () => local.write([{ path: mark, text: '' }]);
  const hasPower = async () => (await powered()).includes(name);
  let answers = false;
  return {
    place: { node, address }, host, login, claim,
    isOurs: async () => await local.read(mark) !== undefined,
    // one that still boots is not on yet
    isOn: async () => {
      answers = await hasPower() && (answers || await isReached(host, scaled(20_000)));
      return answers;
    },
    ready: async () => {
      await asRoot(refusing, [], 60_000);
      await claim();
      await asRoot(readying, [address, filter(address, addresses), engineSettings], 180_000);
    },
    cut: async () => {
      await login.host.hangUp();
      if (await hasPower()) succeeded(await vagrant.cut(name));
      if (await hasPower()) throw new Trouble(`${name} still runs with its power cut`);
    },
    plug: async isIn => {
      await asRoot(`${finding}ip link set "$device" "$2"`, [address, isIn ? 'up' : 'down'], 60_000);
    },
    isPlugged: async () => (await asRoot(`${finding}ip -o link show dev "$device"`, [address], 60_000)).includes(',UP'),
    // in its memory: the passwords are among them, and go to the swarm from here
    lend: async (files, act) => {
      const at = (file: string) => `/dev/shm/orders/${basename(file)}`;
      try {
        const texts = await Promise.all(files.map(async file => ({ path: at(file), text: await textOf(local, file) })));
        await host.write(texts);
        return await act(at);
      } finally {
        await host.run(['rm', '-rf', '/dev/shm/orders']);
      }
    },
  };
}

function nameOf({ place }: Machine): string {
  return place.node.name;
}

async function selected<T>(all: readonly T[], are: (one: T) => Promise<boolean>): Promise<T[]> {
  const which = await Promise.all(all.map(are));
  return all.filter((_, i) => which[i]);
}

async function isReached(host: Host, deadlineMs: number): Promise<boolean> {
  try {
    return (await host.run(['true'], { deadlineMs })).code === 0;
  } catch (error) {
    if (error instanceof Unreachable) return false;
    throw error;
  }
}

async function textOf(local: Host, file: string): Promise<string> {
  const text = await local.read(file);
  if (text === undefined) throw new Trouble(`${file} is not there`);
  return text;
}

function succeeded<T>(outcome: Outcome<T>): T {
  if ('done' in outcome) return outcome.done;
  throw new Trouble(reasonOf(outcome));
}

/** Nobody gets new privileges, and no question for a member that is away goes outside: a stack file cannot say it. */
const engineSettings = `${JSON.stringify({
  'no-new-privileges': true, 'dns-opts': ['ndots:1'], 'log-opts': { 'max-size': '10m', 'max-file': '3' },
})}\n`;

/** The swarm's own ports are for its machines, over their network: whoever reaches them could try to join. */
export function filter(own: string, machines: readonly string[]): string {
  const ports = ['tcp 2377', 'tcp 7946', 'udp 7946', 'udp 4789'].map(port => port.split(' '));
  return [
    '#!/bin/sh', '# Lets the other machines of the swarm in. Run before each start of the engine.', 'set -eu',
    'iptables -w -N ORDERS-SWARM 2>/dev/null || iptables -w -F ORDERS-SWARM',
    'iptables -w -A ORDERS-SWARM -i lo -j ACCEPT',
    ...machines.map(machine => `iptables -w -A ORDERS-SWARM -s ${machine} -d ${own} -j ACCEPT`),
    'iptables -w -A ORDERS-SWARM -j DROP',
    ...ports.map(([protocol, port]) => `INPUT -p ${protocol} --dport ${port} -j ORDERS-SWARM`)
      .map(rule => `iptables -w -C ${rule} 2>/dev/null || iptables -w -I ${rule}`),
    '',
  ].join('\n');
}

const finding = `
device=$(ip -o -4 addr show to "$1/32" | awk 'NR == 1 { print $2 }')
[ -n "$device" ] || { echo "no device has the address $1" >&2; exit 1; }
`;

// without its platform a stack is nobody's, and its orders are somebody's
const refusing = `
stack=$(docker ps -aq --filter label=com.docker.compose.project) || exit
[ -z "$stack" ] || { echo "has a Compose stack: make destroy PLATFORM=vagrant removes it and its orders" >&2; exit 1; }
`;

const readying = `
${finding}
ip link set "$device" up
changed=''
place() { # FILE TEXT MODE
  [ "$(cat "$1" 2>/dev/null; echo .)" != "$2." ] || return 0
  mkdir -p "$(dirname "$1")"
  printf %s "$2" >"$1"
  chmod "$3" "$1"
  changed=yes
}
place /usr/local/sbin/orders-swarm-filter "$2" 755
place /etc/docker/daemon.json "$3" 644
place /etc/systemd/system/docker.service.d/orders.conf '[Service]
ExecStartPre=/usr/local/sbin/orders-swarm-filter
' 644
if [ -n "$changed" ]; then
  systemctl daemon-reload
  systemctl restart docker
else
  /usr/local/sbin/orders-swarm-filter
  systemctl start docker
fi
docker version >/dev/null
`;
