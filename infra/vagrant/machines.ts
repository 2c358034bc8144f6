// The machines of vagrant/Vagrantfile, through Vagrant. What it prints is read here, and nowhere else.
import { join } from 'node:path';
import type { Context } from '../context.ts';
import type { Run } from '../host.ts';
import type { Outcome } from '../platform.ts';

export type Machines = {
  /** Makes and boots them; a new one is provisioned in any case, the others when asked to. */
  up: (nodes: readonly string[], provision: boolean) => Promise<Outcome>;
  halt: (nodes: readonly string[]) => Promise<Outcome>;
  /** Off at once, as when its power goes: nothing in it hears of it. */
  cut: (node: string) => Promise<Outcome>;
  destroy: (nodes: readonly string[]) => Promise<Outcome>;
  /** Who runs a machine: `libvirt`, `virtualbox`. */
  provider: (node: string) => Promise<Outcome<string>>;
  /** The nodes whose machines have power, of the provider itself: in a moment, where Vagrant takes seconds. */
  powered: (provider: string) => Promise<Outcome<string[]>>;
  /** What Vagrant calls the state of each: `running`, `poweroff`, `shutoff`, `not_created` … */
  states: (nodes: readonly string[]) => Promise<Outcome<Map<string, string>>>;
  /** OpenSSH's settings for each: one call of Vagrant, which takes seconds, for all of them. */
  sshConfigs: (nodes: readonly string[]) => Promise<Outcome<Map<string, string>>>;
};

// A provider's daemons live on and would keep the lock of this verb, which programs inherit as their third file: only
// the shell in front keeps it, and ends with Vagrant.
const alone = ['sh', '-c', '"$@" 3>&-; exit $?', 'sh'];
/** A first `up` fetches a box and Debian packages. */
const ACT_MS = 45 * 60_000;
const LOOK_MS = 120_000;
/**
 * With the names of the Vagrantfile: `vagrant halt -f` would ask a guest of libvirt to end in order. `running` gives a
 * line for each machine that has power, in which `name` finds the node.
 */
type Provider = { switchOff: (node: string) => string[]; running: string[]; name: RegExp };
const virsh = ['virsh', '-q', '-c', 'qemu:///system'];
const providers: Readonly<Record<string, Provider>> = {
  libvirt: {
    switchOff: node => [...virsh, 'destroy', `orders_${node}`], running: [...virsh, 'list', '--name'],
    name: /^orders_(\S+)$/gm,
  },
  virtualbox: {
    switchOff: node => ['VBoxManage', 'controlvm', `orders-${node}`, 'poweroff'],
    running: ['VBoxManage', 'list', 'runningvms'], name: /^"orders-([^"]+)" /gm,
  },
};

export function openMachines({ settings, local, say }: Context): Machines {
  const vagrant = (words: readonly string[], deadlineMs: number, onLine?: (line: string) => void) =>
    local.run([...alone, 'vagrant', ...words], {
      cwd: join(settings.root, 'vagrant'),
      env: { SCALE: String(settings.scale) },
      deadlineMs: settings.scaled(deadlineMs),
      ...onLine === undefined ? {} : { onLine },
    });
  const act = async (...words: string[]): Promise<Outcome> => {
    // --no-tty: its progress bars are drawn with carriage returns
    const ended = await vagrant([...words, '--no-tty'], ACT_MS, line => {
      if (isStep(line)) say(line.slice('==> '.length));
    });
    if (ended.code === 0) return { done: undefined };
    for (const line of complaints(ended)) say(line);
    return { failed: `vagrant ${words[0]} failed, see above` };
  };
  const look = async <T>(words: readonly string[], parse: (text: string) => Outcome<T>): Promise<Outcome<T>> => {
    const ended = await vagrant(words, LOOK_MS);
    if (ended.code === 0) return parse(ended.stdout);
    return { failed: `vagrant ${words[0]} failed: ${complaints(ended).join(' ')}` };
  };
  const provider = (node: string): Promise<Outcome<string>> => (
    look(['status', '--machine-readable'], text => {
      const told = parseStates(text, [node], 'provider-name');
      return 'done' in told ? { done: told.done.get(node) ?? '' } : told;
    })
  );
  const directly = async <T>(argv: readonly string[], parse: (text: string) => T): Promise<Outcome<T>> => {
    const ended = await local.run([...alone, ...argv], { deadlineMs: settings.scaled(LOOK_MS) });
    if (ended.code === 0) return { done: parse(ended.stdout) };
    return { failed: `${argv[0]} failed: ${complaints(ended).join(' ')}` };
  };
  const cut = async (node: string): Promise<Outcome> => {
    const told = await provider(node);
    if (!('done' in told)) return told;
    const argv = providers[told.done]?.switchOff(node);
    if (argv === undefined) return { failed: `the power of a machine of ${told.done} cannot be cut from here` };
    return directly(argv, () => undefined);
  };
  return {
    cut, provider,
    powered: async name => {
      const one = providers[name];
      if (one === undefined) return { failed: `which machines of ${name} have power cannot be seen from here` };
      return directly(one.running, text => parsePowered(text, one.name));
    },
    up: (nodes, provision) => act('up', ...provision ? ['--provision'] : [], ...nodes),
    halt: nodes => act('halt', ...nodes),
    destroy: nodes => act('destroy', '-f', ...nodes),
    states: nodes => look(['status', '--machine-readable'], text => parseStates(text, nodes)),
    sshConfigs: nodes => look(['ssh-config', ...nodes], text => parseSshConfigs(text, nodes)),
  };
}

/** Its steps are worth telling, its lists of settings (`==> control:  -- Memory: 1024M`) are not. */
function isStep(line: string): boolean {
  return line.startsWith('==> ') && !/^==> \S+:  --/.test(line);
}

function complaints({ stdout, stderr, code }: Run): string[] {
  const said = stderr.trim() === '' ? stdout : stderr;
  const lines = said.split('\n').map(line => line.trim()).filter(line => line !== '');
  return lines.length === 0 ? [`exit ${code}, and not a word`] : lines.slice(-20);
}

/** Lines `TIME,NODE,state,STATE` among others. Of every node that was asked for exactly one state is to be there. */
export function parseStates(text: string, nodes: readonly string[], type = 'state'): Outcome<Map<string, string>> {
  const rows = text.split(/\r?\n/).map(line => line.split(','));
  const told = rows.filter(([time = '', , kind]) => /^\d+$/.test(time) && kind === type);
  const states = new Map<string, string>();
  for (const node of nodes) {
    const seen = new Set(told.filter(([, name]) => name === node).map(([, , , state = '']) => state));
    const [state = ''] = seen;
    if (seen.size !== 1 || !/^[a-z_]+$/.test(state)) return unreadable('status', `no one ${type} of ${node}`, text);
    states.set(node, state);
  }
  return { done: states };
}

/** The nodes, each of a line of its own; machines of others are none of ours. */
export function parsePowered(text: string, name: RegExp): string[] {
  return [...text.matchAll(name)].map(([, node = '']) => node);
}

/** Blocks that begin with `Host NODE`; each is to name its machine's address. */
export function parseSshConfigs(text: string, nodes: readonly string[]): Outcome<Map<string, string>> {
  const blocks = text.replaceAll('\r\n', '\n').split(/^(?=Host )/m);
  const configs = new Map<string, string>();
  for (const node of nodes) {
    const block = blocks.find(one => one.split('\n')[0]?.trim() === `Host ${node}`);
    if (block === undefined || !/^\s+HostName \S+$/m.test(block)) {
      return unreadable('ssh-config', `no way into ${node}`, text);
    }
    configs.set(node, block);
  }
  return { done: configs };
}

function unreadable(verb: string, wanted: string, text: string): { failed: string } {
  return { failed: `vagrant ${verb} says ${wanted}; it said: ${JSON.stringify(text.slice(0, 500))}` };
}
