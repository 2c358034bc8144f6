// A host with stand-ins for vagrant, ssh and docker, and folders in place of VMs, in which shipped files really arrive.
import { appendFile, chmod, cp, mkdir, mkdtemp, open, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Context } from '../context.ts';
import type { Images, StackOptions } from '../docker/options.ts';
import type { Stack } from '../docker/stack/stack.ts';
import { openLocal } from '../local.ts';
import { faultNames } from '../platform.ts';
import type { FaultName, Node, Outcome, Platform } from '../platform.ts';
import { readSettings } from '../settings.ts';
import type { Stacks } from '../vagrant/guest.ts';
import { openVagrant } from '../vagrant/platform.ts';
import { root } from './stack.ts';

export type FakeHost = {
  folder: string;
  port: number;
  control: Node;
  worker1: Node;
  context: (env?: Record<string, string>) => Context;
  /** Opened again, as each command does it. */
  vagrant: (env?: Record<string, string>) => Platform;
  /** What was called so far, one line a call; forgets it. */
  calls: () => Promise<string[]>;
  /** How many commands went over SSH, the first of each session included; forgets it. */
  sshCalls: () => Promise<number>;
  /** What was said to people so far; forgets it. */
  said: () => string;
  /** The state of a machine, as Vagrant would tell it. */
  machine: (node: string, state: string) => Promise<void>;
  /**
   * From now on, until it is given '': `fails`: VERB [NODE] of vagrant; `prints`: what `vagrant status` says instead;
   * `no-engine` here; `save-fails`; `image`: the end of the service's image's name; `stack.NODE`: does not get ready,
   * and is then `silent` (all runs) or `refused` (nothing is left running).
   */
  set: (what: string, text: string) => Promise<void>;
};

const fakes = (folder: string) => ({
  // Machines are files that hold their state.
  vagrant: `FAKE='${folder}'
echo "vagrant $*" | sed 's/ --no-tty//' >> "$FAKE/calls"
if (: >&3) 2>/dev/null; then echo 'and its daemons keep the lock' >> "$FAKE/calls"; fi
verb=$1; shift
read -r bad who < "$FAKE/fails" || true
[ "$verb" != "$bad" ] || [ -n "$who" ] || { echo "nothing works today" >&2; exit 1; }
code=0
case $verb in
  status) if [ -s "$FAKE/prints" ]; then cat "$FAKE/prints"; exit; fi
    for node in control worker1 worker2; do
      echo "17,$node,provider-name,libvirt"
      echo "17,$node,state,$(cat "$FAKE/machine.$node" 2>/dev/null || echo not_created)"
    done ;;
  ssh-config) for node; do printf 'Host %s\\n  HostName 127.0.0.1\\n\\n' "$node"; done ;;
  up | halt | destroy) for node; do case $node in -*) continue ;; esac
    [ "$verb $node" != "$bad $who" ] || { echo "$node is broken" >&2; code=1; continue; }
    mkdir -p "$FAKE/vm/$node"
    case $verb in
      up) echo running > "$FAKE/machine.$node" ;;
      halt) echo poweroff > "$FAKE/machine.$node" ;;
      destroy) rm -rf "$FAKE/machine.$node" "$FAKE/vm/$node" ;;
    esac
    echo "==> $node: $verb"; echo "==> $node:  -- Memory: 1024M"; echo "    $node: a progress bar"; done ;;
esac
exit $code`,
  virsh: `FAKE='${folder}'
echo "virsh $*" >> "$FAKE/calls"
if (: >&3) 2>/dev/null; then echo 'and its daemons keep the lock' >> "$FAKE/calls"; fi
case $* in *' list --name')
  grep -lx running "$FAKE"/machine.* 2>/dev/null | sed 's/.*machine[.]/orders_/'; exit 0 ;; esac
for domain; do :; done
[ "$(cat "$FAKE/machine.\${domain#orders_}")" = running ] || { echo "error: no domain $domain" >&2; exit 1; }
echo shutoff > "$FAKE/machine.\${domain#orders_}"`,
  // A VM's shell is a shell in the VM's folder. The session is a file.
  ssh: `FAKE='${folder}'
while [ $# -gt 0 ]; do case $1 in
  -F) [ -s "$2" ] || exit 255; shift 2 ;;
  -o) case $2 in ControlPath=*) session=\${2#*=} ;; esac; shift 2 ;;
  -O) control=$2; shift 2 ;; *) break ;; esac; done
node=$1
case \${control:-} in
  check) [ -e "$session" ] && [ ! -e "$node.stale" ]; exit ;;
  exit) rm -f "$session"; exit ;;
esac
echo "$node" >> "$FAKE/ssh-calls"
[ "$(cat "$FAKE/machine.$node")" = running ] || { echo "connect: no route to host" >&2; exit 255; }
[ -e "$session" ] || { echo "session $node" >> "$FAKE/calls"; touch "$session"; }
# what runs there is not ended by whoever ends this
cd "$FAKE/vm/$node" && FAKE_HERE=$node HOME=$PWD exec setsid -w sh -c "$2"`,
  // An engine is a list of names: the host's, or that of the VM in which this was called. An archive is its name.
  docker: `FAKE='${folder}'
here=\${FAKE_HERE:-host}
case "$1 $2" in
  'version --format') [ "$here" != host ] || [ ! -s "$FAKE/no-engine" ] ;;
  'image inspect') shift 4; code=0
    for name; do
      if grep -qx "$name" "$FAKE/images.$here" 2>/dev/null; then echo there; continue; fi
      echo "Error: No such image: $name" >&2; code=1
    done
    exit $code ;;
  'save '*) echo "$here: docker save $2" >> "$FAKE/calls"
    echo "$2"
    [ ! -s "$FAKE/save-fails" ] || { echo 'write: no space left' >&2; exit 1; } ;;
  'load -q') name=$(gzip -dc) || exit
    echo "$here: docker load $name" >> "$FAKE/calls"
    echo "$name" >> "$FAKE/images.$here" ;;
  'stack '*) shift; echo "$here: docker $*" >> "$FAKE/calls" ;;
  images) echo "$here: docker images" >> "$FAKE/calls" ;;
esac`,
});

export async function openHost(t: TestContext): Promise<FakeHost> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'orders-host-')));
  t.after(() => rm(folder, { recursive: true, force: true }));
  for (const sub of ['infra', 'vagrant', 'bin', 'service', 'state']) await mkdir(join(folder, sub));
  for (const file of ['infra/docker-compose.yml', 'infra/role.sh']) await cp(join(root, file), join(folder, file));
  for (const [name, text] of Object.entries(fakes(folder))) {
    await writeFile(join(folder, 'bin', name), `#!/bin/sh\n${text}\n`);
    await chmod(join(folder, 'bin', name), 0o755);
  }
  const sources = [
    'Dockerfile', '.dockerignore', 'package.json', 'package-lock.json', 'tsconfig.json', 'service/main.ts',
  ];
  for (const file of ['vagrant/provision.sh', 'fails', ...sources]) await writeFile(join(folder, file), '');
  const port = await openPort(t);
  const lock = await open(join(folder, 'lock'), 'w');
  t.after(() => lock.close());
  let said: string[] = [];
  const context = (more: Record<string, string> = {}): Context => {
    const env = {
      PATH: `${join(folder, 'bin')}:${process.env['PATH'] ?? ''}`, HOME: folder,
      ORDERS_STATE: join(folder, 'state'), ORDERS_PORT: String(port), ...more,
    };
    const read = readSettings(env, folder);
    if ('complaints' in read) throw new Error(read.complaints.join('; '));
    return {
      settings: read.settings, local: openLocal(read.settings.env, () => lock.fd), say: line => said.push(line),
    };
  };
  const textOf = (name: string) => readFile(join(folder, name), 'utf8').catch(() => '');
  const linesOf = async (name: string) => {
    const lines = (await textOf(name)).split('\n').filter(line => line !== '');
    await rm(join(folder, name), { force: true });
    return lines;
  };
  return {
    folder, port, context,
    control: { name: 'control', local: '127.0.0.1', address: '127.0.0.1' },
    worker1: { name: 'worker1', local: '127.0.0.2', address: '127.0.0.1' },
    vagrant: more => openVagrant(context(more), fakeStacks(folder, textOf)),
    calls: () => linesOf('calls'),
    sshCalls: async () => (await linesOf('ssh-calls')).length,
    said: () => {
      const text = said.join('\n');
      said = [];
      return text;
    },
    machine: (node, state) => writeFile(join(folder, `machine.${node}`), `${state}\n`),
    set: (what, text) => writeFile(join(folder, what), text),
  };
}

/** Stands where the shared Compose stack stands: each of its verbs is a call over its host, and a line of the calls. */
function fakeStacks(folder: string, textOf: (name: string) => Promise<string>): Stacks {
  const images = async (engine: string): Promise<Outcome<Images>> => {
    const service = `orders:sha256-${await textOf('image') || 'aa'}`;
    const both = { service, database: 'orders-stand-in/database:sha256-bb' };
    await appendFile(join(folder, 'calls'), `${engine}: docker images\n`);
    await appendFile(join(folder, `images.${engine}`), `${both.service}\n${both.database}\n`);
    return { done: both };
  };
  return {
    imagesHere: () => images('host'),
    imagesWanted: async () => ({ service: undefined, database: '' }),
    imagesOn: async (_, { host, sources }) => {
      const built = await host.run(['cat', `${sources}/Dockerfile`]);
      return built.code === 0 ? images(host.name) : { failed: 'there are no sources' };
    },
    open: options => fakeStack(options, () => textOf(`stack.${options.node.name}`)),
  };
}

function fakeStack(options: StackOptions, mood: () => Promise<string>): Stack {
  const { host, address, port, settings, infra } = options;
  const call = async (...words: string[]): Promise<{ done: undefined }> => {
    await host.run(['docker', 'stack', ...words, 'at', address]);
    return { done: undefined };
  };
  const fault = (name: FaultName): Stack['faults'][FaultName] => ({
    inject: async spoilt => {
      if (name === 'port-dropped') return { impossible: 'no packet filter' };
      await call('inject', name, ...(spoilt ?? []).flatMap(({ variable, how }) => [variable, how]));
      return { done: name === 'drain' ? [{ exit: 0, ms: 1, stderr: '' }] : undefined };
    },
    recover: isUp => call('recover', name, isUp ? 'up' : 'down'),
    inPlace: async () => (await host.run(['true'])).code === 0,
  });
  const all = faultNames.map(name => [name, fault(name)] as const);
  return {
    inDatabase: async script => host.run(['sh', '-c', script]),
    up: async ({ service, database }) => {
      const { LOG_LEVEL: level } = settings.service;
      await call('up', service, database, ...level === undefined ? [] : [level]);
      if (await host.read(`${infra}/docker-compose.yml`) === undefined) return { failed: 'no Compose file' };
      await host.write([{ path: `${infra}/.env`, text: `ORDERS_PORT=${port}\n` }]);
      return await mood() === '' ? { done: undefined } : { failed: 'not ready in time' };
    },
    halt: () => call('halt'),
    destroy: () => call('destroy'),
    status: async () => {
      await host.run(['true']);
      return { line: 'api running', runs: await mood() !== 'refused', stopped: await mood() === 'refused' };
    },
    logs: async write => {
      write(`${host.name} api | a line`);
      return call('logs');
    },
    facts: async () => {
      const home = (await host.run(['pwd'])).stdout.trim();
      return {
        failed: `asked in ${home}, of port ${port}, given ${Object.keys(settings.given).join(' ') || 'nothing'}`,
      };
    },
    leaks: async () => ({ done: [] }),
    mend: isUp => call('mend', isUp ? 'up' : 'down'),
    faults: Object.fromEntries(all) as Stack['faults'],
  };
}

/** A port of 127.0.0.1 on which something accepts connections. */
function openPort(t: TestContext): Promise<number> {
  const server = createServer(socket => socket.destroy());
  t.after(() => server.close());
  return new Promise((resolve, reject) => {
    server.on('error', reject).listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}
