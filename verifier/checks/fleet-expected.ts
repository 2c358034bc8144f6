// All that is expected of a fleet's tasks and networks in their engines, value by value. Secrets and configurations are
// not among what an engine tells of a task, nor how long it may take to stop.
import type { SwarmFacts, Task } from '#infra/platform';
import { MIB, covering, environment, free, inherited, oneOf, there, within } from './expected.ts';
import type { Table } from './expected.ts';

type Kind = 'api' | 'router' | 'db' | 'etcd';

/** Undefined for a task that no fleet has. */
function kindOf({ service }: Task): Kind | undefined {
  return (['api', 'router', 'db', 'etcd'] as const).find(kind => service === kind || service.startsWith(`${kind}-`));
}

/** By name, as the engine sorts them. */
export function networksOf(task: Task): readonly string[] {
  const kind = kindOf(task);
  return kind === undefined ? [] : networks[kind];
}

/** All of these lead nowhere, but for `front`, on which only routers are. */
const networks: Readonly<Record<Kind, readonly string[]>> = {
  api: ['orders_private'], router: ['orders_database', 'orders_front', 'orders_private'],
  db: ['orders_consensus', 'orders_database'], etcd: ['orders_consensus'],
};

/** `tasks`: those of the machine whose engine tells. */
export function fleetNetworkTable(name: string, tasks: readonly Task[]): Table {
  const members = tasks.filter(task => networksOf(task).includes(name)).map(task => task.name);
  return {
    Driver: 'overlay', Scope: 'swarm', Id: there, Created: there, Members: within([...members, `${name}-endpoint`]),
    EnableIPv4: oneOf(true, undefined), 'IPAM.*': free('the swarm chooses the addresses'),
    'Peers.*': free('the machines on which a task is on it'), Peers: free('the machines on which a task is on it'),
    'Options.com.docker.network.driver.overlay.vxlanid_list': there,
    'Labels.com.docker.stack.namespace': 'orders',
    ...name === 'orders_front' ? {} : { Internal: true },
  };
}

/** Nothing is expected of a task that no fleet has, so that all of it is a difference. */
export function taskTable(facts: SwarmFacts, task: Task): Table {
  const kind = kindOf(task);
  if (kind === undefined) return {};
  const own = { api: apiTable, router: routerTable, db: dbTable, etcd: etcdTable };
  return { ...inherited(task), ...commonTable(task), ...own[kind](facts, task) };
}

function commonTable(task: Task): Table {
  return {
    'HostConfig.CapDrop': ['ALL'],
    'HostConfig.CgroupnsMode': oneOf('host', 'private'),
    'HostConfig.IpcMode': 'private',
    'HostConfig.LogConfig.Config.max-file': '3',
    'HostConfig.LogConfig.Config.max-size': '10m',
    'HostConfig.LogConfig.Type': 'json-file',
    'HostConfig.NanoCpus': 1_000_000_000,
    // how an engine calls its default, 26 the second; on which networks a task is, the check of them says
    'HostConfig.NetworkMode': oneOf('default', 'bridge'),
    'HostConfig.ReadonlyRootfs': true,
    'HostConfig.Runtime': 'runc',
    'HostConfig.DnsSearch': ['.'],
    'HostConfig.MaskedPaths': covering('/proc/kcore', '/proc/keys', '/proc/timer_list', '/sys/firmware'),
    'HostConfig.ReadonlyPaths': covering('/proc/bus', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'),
    'HostConfig.ShmSize': free('it counts against the memory limit'),
    'HostConfig.ConsoleSize': free('of whoever made it'),
    'HostConfig.Isolation': oneOf('default', undefined),
    'HostConfig.Mounts': free('what comes of it is in Mounts'),
    'HostConfig.RestartPolicy.Name': oneOf('no', undefined),
    'Config.Image': free('the check of the image compares it'),
    'Config.Hostname': task.id,
    'Config.Labels.com.docker.stack.namespace': 'orders',
    'Config.Labels.com.docker.swarm.service.name': `orders_${task.service}`,
    'Config.Labels.com.docker.swarm.task.name': task.name,
    'Config.Labels.com.docker.swarm.node.id': there,
    'Config.Labels.com.docker.swarm.service.id': there,
    'Config.Labels.com.docker.swarm.task.id': there,
    'NetworkSettings.SandboxID': free('the engine chooses it'),
    'NetworkSettings.SandboxKey': free('the engine chooses it'),
    'NetworkSettings.Ports.*': free('the rung published compares it'),
    ...Object.fromEntries(networksOf(task).map(name => (
      [`NetworkSettings.Networks.${name}.*`, free('the check of the networks compares it')]
    ))),
  };
}

function apiTable({ settings }: SwarmFacts): Table {
  const given = Object.entries(settings).filter(([name]) => !name.startsWith('ORDERS_'));
  return {
    ...limits(256, 64), 'Config.User': '65532:65532',
    'HostConfig.Ulimits': [{ Name: 'nofile', Hard: 16384, Soft: 16384 }],
    ...environment({
      PORT: '8000', HOST: '0.0.0.0', DATABASE_HOST: 'db', DATABASE_PORT: '5432', DATABASE_NAME: 'orders',
      DATABASE_USER: 'orders', DATABASE_PASSWORD_FILE: '/run/secrets/database_password', SERVICE_NAME: 'orders',
      ENV: settings['ORDERS_ENV'] ?? 'production', ...Object.fromEntries(given),
    }),
    'Config.Healthcheck.Test': there,
    'Config.Healthcheck.Interval': 5_000_000_000 * paceOf(settings),
    'Config.Healthcheck.Timeout': 20_000_000_000 * paceOf(settings),
    'Config.Healthcheck.StartPeriod': 20_000_000_000,
    'Config.Healthcheck.Retries': 3,
  };
}

function routerTable(): Table {
  return {
    ...limits(128, 64), 'Config.User': '999:999',
    'HostConfig.PortBindings.8000/tcp': [{ HostIp: '', HostPort: '8000' }],
  };
}

function dbTable(_: SwarmFacts, { service }: Task): Table {
  return {
    ...limits(512, 150), 'Config.User': '999:999',
    ...environment({ PATRONI_NAME: service }),
    ...volume('/var/lib/postgresql/data', service),
    ...inMemory('/var/run/postgresql'), ...inMemory('/tmp'),
  };
}

function etcdTable({ nodes, settings }: SwarmFacts, { service }: Task): Table {
  const pace = paceOf(settings);
  const peers = nodes.map(node => `etcd-${node}=http://etcd-${node}:2380`);
  return {
    ...limits(256, 100), 'Config.User': '999:999',
    ...environment({
      ETCD_NAME: service, ETCD_DATA_DIR: '/var/lib/etcd/data', ETCD_INITIAL_CLUSTER_TOKEN: '(not shown)',
      ETCD_INITIAL_CLUSTER: peers.join(), ETCD_INITIAL_ADVERTISE_PEER_URLS: `http://${service}:2380`,
      ETCD_ADVERTISE_CLIENT_URLS: `http://${service}:2379`, ETCD_LISTEN_CLIENT_URLS: 'http://0.0.0.0:2379',
      ETCD_LISTEN_PEER_URLS: 'http://0.0.0.0:2380',
      ETCD_HEARTBEAT_INTERVAL: String(200 * pace), ETCD_ELECTION_TIMEOUT: String(2_000 * pace),
      ETCD_AUTO_COMPACTION_MODE: 'periodic', ETCD_AUTO_COMPACTION_RETENTION: '1h', ETCD_LOG_LEVEL: 'warn',
    }),
    ...volume('/var/lib/etcd', service),
  };
}

/** On a slow machine some times of the stack are a whole number of times as long. */
function paceOf(settings: SwarmFacts['settings']): number {
  return Number(settings['ORDERS_PACE'] ?? '1');
}

// the engine adds as much swap: a service of a swarm has no setting for it
function limits(memoryMib: number, processes: number): Table {
  const bytes = memoryMib * MIB;
  return { 'HostConfig.Memory': bytes, 'HostConfig.MemorySwap': 2 * bytes, 'HostConfig.PidsLimit': processes };
}

function volume(to: string, service: string): Table {
  return of(to, {
    Type: 'volume', Name: `orders_${service}`, Driver: 'local', RW: true, Source: there, Mode: oneOf(undefined, 'z'),
  });
}

function inMemory(to: string): Table {
  return of(to, { Type: 'tmpfs', RW: true });
}

function of(to: string, values: Table): Table {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [`Mounts.${to}.${name}`, value]));
}
