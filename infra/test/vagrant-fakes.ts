// A host with stand-ins for vagrant, ssh and docker, and folders in place of VMs, in which shipped files really arrive.
import { chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { root, runIn } from './stack.ts';
import type { Run } from './stack.ts';

export type Host = {
  folder: string;
  port: number;
  vagrant: (args: string[], env?: NodeJS.ProcessEnv) => Promise<Run>;
  /** What was called so far, one line a call; forgets it. */
  calls: () => Promise<string[]>;
  machine: (node: string, state: string) => Promise<void>;
};

const fakes = {
  // Machines are files that hold their state.
  'bin/vagrant': `echo "vagrant $*" | sed 's/ --no-tty//' >> "$FAKE/calls"
verb=$1; shift
[ "$verb" != "\${FAKE_FAILS:-}" ] || { echo "nothing works today" >&2; exit 1; }
case $verb in
  status) for node in control worker1 worker2; do echo "1,$node,state,$(cat "$FAKE/machine.$node" 2>/dev/null || echo not_created)"; done ;;
  ssh-config) for node; do printf 'Host %s\\n  HostName 127.0.0.1\\n\\n' "$node"; done ;;
  up | halt | destroy) for node; do case $node in -*) continue ;; esac
    mkdir -p "$FAKE/vm/$node"
    case $verb in up) echo running > "$FAKE/machine.$node" ;; halt) echo poweroff > "$FAKE/machine.$node" ;; destroy) rm -rf "$FAKE/machine.$node" "$FAKE/vm/$node" ;; esac
    echo "==> $node: $verb"; done ;;
esac`,
  // A VM's shell is a shell in the VM's folder. The session is a file.
  'bin/ssh': `while [ $# -gt 0 ]; do case $1 in -F) shift 2 ;; -o) case $2 in ControlPath=*) session=\${2#*=} ;; esac; shift 2 ;; -O) control=$2; shift 2 ;; *) break ;; esac; done
case \${control:-} in check) exec test -e "$session" ;; exit) rm -f "$session"; exit ;; esac
node=$1 command=$2
[ "$(cat "$FAKE/machine.$node")" = running ] || exit 255
[ "$command" != true ] || { echo "session $node" >> "$FAKE/calls"; touch "$session"; exit; }
cd "$FAKE/vm/$node" && FAKE_HERE=$node HOME=$PWD exec sh -c "$command"`,
  // An engine is a list of names: the host's, or that of the VM in which this was called. An archive is its name.
  'bin/docker': `here=\${FAKE_HERE:-host}
case "$1 $2" in
  'version --format') [ "$here" != host ] || [ -z "\${FAKE_NO_ENGINE:-}" ] ;;
  'image inspect') grep -qx "$3" "$FAKE/images.$here" 2>/dev/null ;;
  'save '*) echo "$here: docker save $2" >> "$FAKE/calls"; echo "$2" ;;
  'load -q') name=$(gzip -dc); echo "$here: docker load $name" >> "$FAKE/calls"; echo "$name" >> "$FAKE/images.$here" ;;
esac`,
  // Stands where infra/docker stands, on the host and in the VMs.
  'infra/docker': `here=\${FAKE_HERE:-host}
echo "$here: docker $*\${ORDERS_ADDRESS:+ at $ORDERS_ADDRESS}\${LOG_LEVEL:+ log level $LOG_LEVEL}" >> "$FAKE/calls"
case $1 in
  images) printf '%s\\n' orders:sha256-\${FAKE_IMAGE:-aa} orders-stand-in/database:sha256-bb | tee -a "$FAKE/images.$here" ;;
  up) [ -n "$ORDERS_IMAGE" ] && [ -n "$ORDERS_DB_IMAGE" ] && touch infra/.env ;;
  status) echo "$NODE  api running" ;;
  inject) case $2 in port-dropped) exit 3 ;; drain) echo 'exit 0' ;; esac ;;
esac`,
};

export async function openHost(t: TestContext): Promise<Host> {
  const folder = await mkdtemp(join(tmpdir(), 'orders-host-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  for (const sub of ['infra', 'vagrant', 'bin', 'service', 'state']) await mkdir(join(folder, sub));
  for (const file of ['infra/vagrant', 'infra/vm', 'infra/nodes', 'infra/docker-compose.yml']) await cp(join(root, file), join(folder, file), { recursive: true });
  for (const [file, text] of Object.entries(fakes)) {
    await writeFile(join(folder, file), `#!/bin/sh\n${text}\n`);
    await chmod(join(folder, file), 0o755);
  }
  for (const file of ['vagrant/provision.sh', 'Dockerfile', '.dockerignore', 'package.json', 'package-lock.json', 'tsconfig.json']) await writeFile(join(folder, file), '');
  await writeFile(join(folder, 'vagrant/nodes.txt'), 'control 127.0.0.1 1 512\nworker1 127.0.0.1 1 512 # the same port forward\n');
  const port = await openService(t);
  const { NODE_TEST_CONTEXT: _, NODE: _n, TARGETS: _t, ...outside } = process.env;
  const env = { ...outside, FAKE: folder, PATH: `${join(folder, 'bin')}:${process.env['PATH'] ?? ''}`, ORDERS_STATE: join(folder, 'state'), ORDERS_PORT: String(port) };
  return {
    folder,
    port,
    vagrant: (args, more = {}) => runIn({ ...env, ...more }, join(folder, 'infra/vagrant'), args),
    calls: async () => {
      const lines = (await readFile(join(folder, 'calls'), 'utf8').catch(() => '')).split('\n').filter(line => line !== '');
      await rm(join(folder, 'calls'), { force: true });
      return lines;
    },
    machine: (node, state) => writeFile(join(folder, `machine.${node}`), `${state}\n`),
  };
}

function openService(t: TestContext): Promise<number> {
  const server = createServer((_, response) => response.end('{}'));
  t.after(() => { server.closeAllConnections(); server.close(); });
  return new Promise((resolve, reject) => {
    server.on('error', reject).listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}
