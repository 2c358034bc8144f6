// What is between the service and those who ask: the containers' networks, the forwarded port, the packet filter.
import { get } from 'node:http';
import { Trouble, networksOf } from '../engine.ts';
import type { Engine, Sight } from '../engine.ts';
import type { Container } from '../inspect.ts';

/** What /ready said, or why nothing came: `refused` when nobody listens there. */
export type Answer = { status: number; body: string } | { error: string; refused: boolean };

/** Asks /ready from this machine, on a connection of its own. */
export function askReady(host: string, port: number, deadlineMs: number): Promise<Answer> {
  return new Promise(resolve => {
    const request = get({ host, port, path: '/ready', agent: false }, answer => {
      let body = '';
      answer.setEncoding('utf8').on('data', text => { body += text; });
      answer.on('end', () => end({ status: answer.statusCode ?? 0, body: body.trim() })).on('error', fail);
    }).on('error', fail);
    const timer = setTimeout(() => request.destroy(new Error(`no answer in ${deadlineMs} ms`)), deadlineMs);
    function end(answer: Answer): void {
      clearTimeout(timer);
      request.destroy();
      resolve(answer);
    }
    function fail(error: NodeJS.ErrnoException): void {
      end({ error: error.message, refused: error.code === 'ECONNREFUSED' });
    }
  });
}

/** Puts every container that is there back on the networks that it has left. */
export async function reconnect({ docker, options }: Engine, sight: Sight): Promise<void> {
  for (const service of ['db', 'api'] as const) {
    const container = sight[service];
    for (const name of container === undefined ? [] : networksOf[service]) {
      const network = `${options.project}_${name}`;
      if (container === undefined || container.networks.includes(network)) continue;
      options.say(`${options.node.name}: ${service} was cut off from the network ${name}, it is connected again`);
      await docker('network', 'connect', '--alias', service, network, container.id);
    }
  }
}

/** Takes the published port away; the process lives on. */
export async function closePort({ docker, look, options }: Engine): Promise<void> {
  // Old engines (20.10, not 26) then publish through the internal network instead: there that one goes too, and the
  // service is without its database meanwhile.
  for (const name of ['front', 'private']) {
    const { api } = await look();
    const network = `${options.project}_${name}`;
    if (api === undefined || !api.networks.includes(network)) continue;
    if (name === 'front' || api.published.length > 0) await docker('network', 'disconnect', network, api.id);
  }
}

/** The port is not published: the container is off the network that does it, or the engine has lost it. */
export function isPortClosed({ options }: Engine, api: Container): boolean {
  return !api.networks.includes(`${options.project}_front`) || (api.status === 'running' && api.published.length === 0);
}

/**
 * A forwarder of the engine that was killed is never started again while its container runs. So the port is published
 * again with the network; that keeps the process. If that does not help the container is restarted.
 */
export async function republish(engine: Engine, api: Container): Promise<void> {
  const { docker, look, options: { address, port, project, say, node, settings } } = engine;
  say(`${node.name}: nobody forwards ${address}:${port}, it is published again`);
  const answers = async () => {
    const answer = await askReady(address, port, settings.scaled(2_000));
    return 'status' in answer || !answer.refused;
  };
  await docker('network', 'disconnect', `${project}_front`, api.id);
  await reconnect(engine, await look());
  if (await answers()) return;
  say(`${node.name}: the service is restarted for it`);
  await docker('restart', api.id);
}

/** Drops every packet to the service's port before the engine's own rules are reached. */
export async function dropPort(engine: Engine): Promise<void> {
  if (await firewall(engine, 'add') === 'there') return;
  throw new Trouble(`${engine.options.node.name}: the rule could not be set`);
}

export async function clearFirewall(engine: Engine): Promise<void> {
  if (engine.options.firewall) await firewall(engine, 'clear');
}

export async function isPortDropped(engine: Engine): Promise<boolean> {
  return engine.options.firewall && await firewall(engine, 'look') === 'there';
}

const filtering = `
rule() {
  as=''
  [ "$(id -u)" = 0 ] || as='sudo -n'
  $as iptables -w -t raw "$1" PREROUTING -d "$address" -p tcp --dport "$port" \\
    -m comment --comment orders-port-dropped -j DROP
}
act=$1 address=$2 port=$3
# without the table nothing can be in it; what else is wrong shows when a rule is set
case $act in
  add) rule -C 2>/dev/null || rule -I ;;
  clear) while rule -C 2>/dev/null; do rule -D || exit; done ;;
esac
if rule -C 2>/dev/null; then echo there; else echo absent; fi
`;

async function firewall({ sh, options: { address, port } }: Engine, act: 'add' | 'clear' | 'look'): Promise<string> {
  return (await sh(filtering, [act, address, String(port)])).trim();
}

