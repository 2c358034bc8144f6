// All that is expected of the stack in Docker's engine, value by value. What is not in these tables is not expected.
import { isDeepStrictEqual } from 'node:util';
import type { ContainerFacts, Inspected, InspectedContainer, Json } from '#infra/platform';

/** Where values may differ between honest stacks: what is wanted in words, and whether a value is that. */
type Range = { wanted: string; holds: (seen: Json | undefined) => boolean };
/** By path; a path that ends in `*` stands for all that begin so and are not listed themselves. */
export type Table = Record<string, Json | Range | undefined>;
export type Service = 'api' | 'db';
/** `preflight` has judged the settings before the api was started, and has ended. */
export type Member = Service | 'preflight';

/** What is compared elsewhere, or is the engine's own choice; `why` is for the reader of the tables. */
export const free = (why: string): Range => ({ wanted: why, holds: () => true });
export const there: Range = { wanted: 'some value', holds: seen => seen !== undefined };
export const oneOf = (...values: (string | true | undefined)[]): Range => (
  { wanted: values.map(show).join(' or '), holds: seen => values.some(value => value === seen) }
);
export const within = (allowed: readonly string[]): Range => ({
  wanted: `none but ${allowed.join(' ')}`,
  holds: seen => seen === undefined || (Array.isArray(seen) && seen.every(item => allowed.includes(String(item)))),
});
export const covering = (...least: string[]): Range => ({
  wanted: `a list with ${least.join(' ')}`,
  holds: seen => Array.isArray(seen) && least.every(item => seen.includes(item)),
});

/** Each difference as `PATH is SEEN, not WANTED`. The value of a variable that nobody expects is not shown. */
export function differences(seen: Record<string, Json>, table: Table): string[] {
  const missing = Object.keys(table).filter(path => !path.endsWith('*') && !(path in seen));
  return [...Object.keys(seen), ...missing].flatMap(path => {
    const wanted = path in table ? table[path] : wildcardFor(path, table);
    const is = seen[path];
    const holds = isRange(wanted) ? wanted.holds(is) : isDeepStrictEqual(is, wanted);
    const shown = wanted === undefined && path.startsWith('Config.Env.') ? 'set' : show(is);
    return holds ? [] : [`${path} is ${shown}, not ${isRange(wanted) ? wanted.wanted : show(wanted)}`];
  });
}

/** What is expected of the containers that a stack has; of no other. */
export function containerTable(facts: ContainerFacts, service: Member, box: InspectedContainer): Table {
  const own = { api: apiTable, db: dbTable, preflight: preflightTable };
  return { ...inherited(box), ...commonTable(facts, service, box), ...own[service](facts) };
}

export function networkTable({ stack }: ContainerFacts, network: 'front' | 'private', boxes: readonly string[]): Table {
  return {
    Driver: 'bridge', Scope: 'local', 'IPAM.*': free('the engine chooses the addresses'), Id: there, Created: there,
    EnableIPv4: oneOf(true, undefined), Members: within(boxes),
    ...ownLabels('Labels', stack.owner), 'Labels.com.docker.compose.network': network,
    ...network === 'private' ? { Internal: true }
      : { 'Options.com.docker.network.bridge.enable_ip_masquerade': 'false' },
  };
}

export function volumeTable({ stack }: ContainerFacts): Table {
  return {
    Driver: 'local', Scope: 'local', Mountpoint: there, CreatedAt: there,
    ...ownLabels('Labels', stack.owner), 'Labels.com.docker.compose.volume': 'data',
  };
}

/** A network or volume by the name that it has in this stack. */
export function named(facts: ContainerFacts, list: readonly Inspected[], name: string): Record<string, Json> {
  return list.find(one => one.name === `${facts.stack.project}_${name}`)?.values ?? {};
}

function commonTable({ node, stack }: ContainerFacts, service: Member, box: InspectedContainer): Table {
  const { project, owner, engine } = stack;
  const short = box.id.slice(0, 12);
  const networks = { api: ['front', 'private'], db: ['private'], preflight: [] }[service];
  return {
    'HostConfig.CapDrop': ['ALL'],
    'HostConfig.CgroupnsMode': engine.cgroup === '1' ? oneOf('host', 'private') : 'private',
    'HostConfig.IpcMode': 'private',
    'HostConfig.LogConfig.Config.max-file': '3',
    'HostConfig.LogConfig.Config.max-size': '10m',
    'HostConfig.LogConfig.Type': 'json-file',
    'HostConfig.NanoCpus': 1_000_000_000,
    'HostConfig.NetworkMode': oneOf(...networks.map(name => `${project}_${name}`)),
    'HostConfig.ReadonlyRootfs': true,
    'HostConfig.RestartPolicy.Name': 'unless-stopped',
    'HostConfig.SecurityOpt': ['no-new-privileges:true'],
    'HostConfig.Ulimits': [{ Name: 'nofile', Hard: 16384, Soft: 16384 }],
    'HostConfig.Runtime': engine.runtime,
    // defaults that grow with the engine's versions: without them they would be empty
    'HostConfig.MaskedPaths': covering('/proc/kcore', '/proc/keys', '/proc/timer_list', '/sys/firmware'),
    'HostConfig.ReadonlyPaths': covering('/proc/bus', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'),
    'HostConfig.ShmSize': free('it counts against the memory limit'),
    'HostConfig.ConsoleSize': free('of whoever made it'),
    'HostConfig.Binds': free('what comes of it is in Mounts'),
    'HostConfig.Mounts': free('what comes of it is in Mounts'),
    'Config.Image': free('the check of the image compares it'),
    'Config.AttachStdout': free('of whoever made it'),
    'Config.AttachStderr': free('of whoever made it'),
    'Config.Hostname': service === 'api' ? node : short,
    ...ownLabels('Config.Labels', owner),
    'Config.Labels.com.docker.compose.service': service,
    'Config.Labels.com.docker.compose.project': project,
    'Config.Labels.com.docker.compose.oneoff': 'False',
    'NetworkSettings.SandboxID': free('the engine chooses it'),
    'NetworkSettings.SandboxKey': free('the engine chooses it'),
    'NetworkSettings.Ports.*': free('the rung published compares it'),
    ...Object.assign({}, ...networks.map(name => endpoint(`${project}_${name}`, [box.name, service, short, node]))),
  };
}

function endpoint(network: string, names: string[]): Table {
  const path = `NetworkSettings.Networks.${network}`;
  const chosen = ['EndpointID', 'Gateway', 'IPAddress', 'IPPrefixLen', 'MacAddress'];
  return {
    [`${path}.NetworkID`]: there, [`${path}.Aliases`]: within(names), [`${path}.DNSNames`]: within(names),
    ...Object.fromEntries(chosen.map(name => [`${path}.${name}`, free('the engine chooses it')])),
  };
}

function apiTable(facts: ContainerFacts): Table {
  const { settings } = facts.stack;
  return {
    ...serviceTable(facts),
    'HostConfig.DnsOptions': ['ndots:1'],
    'HostConfig.DnsSearch': ['.'],
    'HostConfig.PortBindings.8000/tcp':
      [{ HostIp: settings['ORDERS_ADDRESS'] ?? '', HostPort: settings['ORDERS_PORT'] ?? '' }],
    'Config.StopTimeout': 12,
    'Config.Healthcheck.Interval': nanoseconds(settings['ORDERS_HEALTH_INTERVAL'] ?? '10s'),
    'Config.Healthcheck.Timeout': nanoseconds(settings['ORDERS_HEALTH_TIMEOUT'] ?? '5s'),
  };
}

function preflightTable(facts: ContainerFacts): Table {
  return {
    ...serviceTable(facts),
    'HostConfig.NetworkMode': 'none',
    'HostConfig.RestartPolicy.Name': 'no',
    'NetworkSettings.Networks.none.*': free('a network with nothing on it'),
    'Config.Image': facts.stack.wanted.service ?? free('the check of the image names it'),
    'Config.Cmd': ['/app/service/main.js', '--check'],
  };
}

/** What the api and its preflight have in common. */
function serviceTable({ stack }: ContainerFacts): Table {
  const { settings, secrets } = stack;
  const given = Object.entries(settings).filter(([name]) => !name.startsWith('ORDERS_'));
  return {
    'HostConfig.Memory': 256 * MIB,
    'HostConfig.MemorySwap': 256 * MIB,
    'HostConfig.PidsLimit': 64,
    'Config.User': '65532:65532',
    ...environment({
      PORT: '8000', HOST: '0.0.0.0', DATABASE_HOST: 'db', DATABASE_PORT: '5432', DATABASE_NAME: 'orders',
      DATABASE_USER: 'orders', DATABASE_PASSWORD_FILE: '/run/secrets/database_password', SERVICE_NAME: 'orders',
      ENV: settings['ORDERS_ENV'] ?? 'production', ...Object.fromEntries(given),
    }),
    ...bind('/run/secrets/database_password', `${secrets}/database_password`),
  };
}

function dbTable({ stack }: ContainerFacts): Table {
  const { settings, secrets, infra, project } = stack;
  return {
    'HostConfig.Memory': 512 * MIB,
    'HostConfig.MemorySwap': 512 * MIB,
    'HostConfig.PidsLimit': 100,
    'HostConfig.Tmpfs./tmp': 'noexec,nosuid,nodev,size=64m,mode=1777',
    'HostConfig.Tmpfs./var/run/postgresql': 'noexec,nosuid,nodev,size=1m,uid=999,gid=999,mode=0775',
    'Config.User': '999:999',
    'Config.StopSignal': 'SIGINT',
    'Config.StopTimeout': 30,
    ...environment({
      POSTGRES_USER: 'postgres', POSTGRES_DB: 'orders', POSTGRES_PASSWORD_FILE: '/run/secrets/postgres_password',
      POSTGRES_INITDB_ARGS: '--data-checksums --auth-host=scram-sha-256',
    }),
    'Config.Healthcheck.Test': ['CMD', 'pg_isready', '-q', '-h', '127.0.0.1', '-U', 'orders', '-d', 'orders'],
    'Config.Healthcheck.Interval': nanoseconds(settings['ORDERS_HEALTH_INTERVAL'] ?? '5s'),
    'Config.Healthcheck.Timeout': nanoseconds(settings['ORDERS_HEALTH_TIMEOUT'] ?? '4s'),
    'Config.Healthcheck.StartPeriod': 60_000_000_000,
    'Config.Healthcheck.Retries': 3,
    ...bind('/run/secrets/database_password', `${secrets}/database_password`),
    ...bind('/run/secrets/postgres_password', `${secrets}/postgres_password`),
    ...bind('/docker-entrypoint-initdb.d/role.sh', `${infra}/role.sh`),
    'Mounts./var/lib/postgresql/data.Type': 'volume',
    'Mounts./var/lib/postgresql/data.Name': `${project}_data`,
    'Mounts./var/lib/postgresql/data.Driver': 'local',
    'Mounts./var/lib/postgresql/data.RW': true,
    'Mounts./var/lib/postgresql/data.Source': there,
    'Mounts./var/lib/postgresql/data.Mode': oneOf(undefined, 'z', 'rw'),
  };
}

export const MIB = 1024 * 1024;
// What an image decides; all else in a container's Config was given when it was made.
const ofImages = /^Config\.(Env\.|Labels\.|Healthcheck\.|(Cmd|Entrypoint|Shell|WorkingDir|StopSignal)$)/;

export function inherited({ image = {} }: Pick<InspectedContainer, 'image'>): Table {
  return Object.fromEntries(Object.entries(image).filter(([path]) => ofImages.test(path)));
}

function ownLabels(path: string, owner: string): Table {
  const notes = free('notes that Compose makes for itself');
  return { [`${path}.orders.owner`]: owner, [`${path}.com.docker.compose.*`]: notes };
}

export function environment(values: Record<string, string>): Table {
  const set = Object.entries(values).filter(([, value]) => value !== '');
  return Object.fromEntries(set.map(([name, value]) => [`Config.Env.${name}`, value]));
}

/** A file that is mounted and cannot be written: RW would be true. */
function bind(to: string, from: string): Table {
  const path = `Mounts.${to}`;
  return {
    [`${path}.Type`]: 'bind', [`${path}.Source`]: from, [`${path}.Propagation`]: 'rprivate',
    [`${path}.Mode`]: oneOf(undefined, 'ro', 'z'),
  };
}

/** `10s`, `15000ms`. */
function nanoseconds(text: string): Json {
  const [, number = '', unit = ''] = /^(\d+)(ms|s)$/.exec(text) ?? [];
  return Number(number) * (unit === 's' ? 1_000_000_000 : 1_000_000);
}

function wildcardFor(path: string, table: Table): Json | Range | undefined {
  const pattern = Object.keys(table).find(key => key.endsWith('*') && path.startsWith(key.slice(0, -1)));
  return pattern === undefined ? undefined : table[pattern];
}

function isRange(wanted: Json | Range | undefined): wanted is Range {
  return typeof wanted === 'object' && wanted !== null && 'holds' in wanted && typeof wanted.holds === 'function';
}

function show(value: Json | undefined): string {
  return value === undefined ? 'nothing' : JSON.stringify(value);
}
