// The rules about containers: an honest stack holds every one, and each way to weaken it is seen by its own rules.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerFacts, Json } from '#infra/platform';
import { neverRestarted, nothingToCompare, rules, sameEverywhere } from '../checks/container-rules.ts';
import { changed, recorded, recordedBy26, target, targetOf } from './recorded.ts';

const { port } = target;
const brokenBy = (facts: ContainerFacts) =>
  rules.filter(({ judge }) => judge(facts, target) !== null).map(({ id }) => id);

test('an honest stack holds every rule, on engines of either age', () => {
  for (const facts of [recorded, recordedBy26]) {
    const findings = rules.map(({ id, judge }) => [id, judge(facts, targetOf(facts))]);
    assert.deepEqual(findings.filter(([, finding]) => finding !== null), []);
  }
});

type Way = [way: string, red: string[], change: (facts: ContainerFacts) => void];
type Which = 'api' | 'db' | 'preflight';
const { project } = recorded.stack;
const valuesOf = ({ stack }: ContainerFacts, which: Which) =>
  stack.containers.find(({ service }) => service === which)?.values ?? {};
/** One value that the engine tells of a container; undefined: none. */
const set = (which: Which, path: string, value: Json | undefined) => (facts: ContainerFacts) => {
  const values = valuesOf(facts, which);
  delete values[path];
  if (value !== undefined) values[path] = value;
};
const drop = (which: Which, ...paths: string[]) => (facts: ContainerFacts) => {
  for (const path of paths) set(which, path, undefined)(facts);
};
const network = ({ stack }: ContainerFacts, name: string) =>
  stack.networks.find(one => one.name === `${project}_${name}`)?.values ?? {};
const mount = (which: Which, to: string, from: string) => (facts: ContainerFacts) => {
  set(which, `Mounts.${to}.Type`, 'bind')(facts);
  set(which, `Mounts.${to}.Source`, from)(facts);
  set(which, `Mounts.${to}.RW`, true)(facts);
};
const other = 'ab'.repeat(32);
const stranger = {
  id: 'f'.repeat(64), name: `${project}-tool-1`, service: 'tool', state: 'exited', image: undefined,
  values: {
    'Config.User': 'root', 'Mounts./var/run/docker.sock.Source': '/var/run/docker.sock',
    'HostConfig.PortBindings.9000/tcp': [{ HostIp: '', HostPort: '9000' }],
  },
};

const settings = (which: Which, path: string, value?: Json): Way =>
  [`${which} with ${path} ${value === undefined ? 'missing' : JSON.stringify(value)}`, [`${which}-settings`],
    set(which, path, value)];
const ways: Way[] = [
  ...(['api', 'db'] as const).flatMap((which): Way[] => [
    [`the Docker socket in ${which}`, [`${which}-settings`],
      mount(which, '/var/run/docker.sock', '/var/run/docker.sock')],
    [`the host's root in ${which}`, [`${which}-settings`], mount(which, '/host', '/')],
    [`a secret of ${which} that can be written`, [`${which}-settings`],
      set(which, 'Mounts./run/secrets/database_password.RW', true)],
    settings(which, 'HostConfig.PidMode', 'host'),
    settings(which, 'HostConfig.IpcMode', 'host'),
    settings(which, 'HostConfig.IpcMode', 'shareable'),
    settings(which, 'HostConfig.UTSMode', 'host'),
    settings(which, 'HostConfig.UsernsMode', 'host'),
    settings(which, 'HostConfig.NetworkMode', 'host'),
    settings(which, 'HostConfig.CgroupParent', '/other'),
    settings(which, 'HostConfig.Privileged', true),
    settings(which, 'HostConfig.PublishAllPorts', true),
    settings(which, 'HostConfig.CapAdd', ['NET_ADMIN']),
    settings(which, 'HostConfig.CapDrop'),
    settings(which, 'HostConfig.Devices', [{ PathOnHost: '/dev/sda' }]),
    settings(which, 'HostConfig.Sysctls.net.ipv4.ip_forward', '1'),
    settings(which, 'HostConfig.GroupAdd', ['0']),
    settings(which, 'HostConfig.ExtraHosts', ['db:203.0.113.1']),
    settings(which, 'HostConfig.VolumesFrom', ['other']),
    settings(which, 'HostConfig.Runtime', 'other'),
    settings(which, 'HostConfig.OomScoreAdj', -1000),
    settings(which, 'HostConfig.OomKillDisable', true),
    settings(which, 'HostConfig.SecurityOpt', ['no-new-privileges:true', 'apparmor=unconfined']),
    settings(which, 'HostConfig.MaskedPaths'),
    settings(which, 'HostConfig.ReadonlyPaths'),
    settings(which, 'HostConfig.Memory'),
    settings(which, 'HostConfig.MemorySwap', -1),
    settings(which, 'HostConfig.PidsLimit'),
    settings(which, 'HostConfig.NanoCpus'),
    settings(which, 'HostConfig.Ulimits'),
    settings(which, 'HostConfig.RestartPolicy.Name', 'no'),
    settings(which, 'HostConfig.LogConfig.Config.max-size'),
    settings(which, 'HostConfig.LogConfig.Type', 'none'),
    settings(which, 'HostConfig.Tmpfs./tmp', 'exec,size=64m,mode=1777'),
    settings(which, 'HostConfig.ReadonlyRootfs'),
    settings(which, 'Config.User', '65532:0'),
    settings(which, 'Config.Cmd', ['postgres', '-c', 'fsync=off']),
    settings(which, 'Config.Entrypoint', ['sh']),
    settings(which, 'Config.Healthcheck.Test', ['NONE']),
    settings(which, 'Config.Env.DATABASE_PASSWORD', '(not shown)'),
    settings(which, 'Config.Env.POSTGRES_PASSWORD', '(not shown)'),
    settings(which, 'Config.Env.NODE_OPTIONS', '--inspect=0.0.0.0'),
    settings(which, 'Config.Labels.orders.owner', 'another'),
    settings(which, `NetworkSettings.Networks.other.NetworkID`, 'a'),
    settings(which, `NetworkSettings.Networks.${project}_private.NetworkID`),
    settings(which, `NetworkSettings.Networks.${project}_private.Aliases`, [which, 'postgres']),
    settings(which, `NetworkSettings.Networks.${project}_private.GlobalIPv6Address`, 'fd00::2'),
    [`${which} as root`, [`${which}-user`], facts => { facts[which].uid = 0; }],
    [`${which} with a user that is not seen`, [`${which}-user`], facts => { facts[which].uid = null; }],
    [`${which} with user root`, [`${which}-user`], facts => { facts[which].user = 'root'; }],
    [`${which} with no user`, [`${which}-user`], facts => { facts[which].user = ''; }],
    [`${which} with a writable root`, [`${which}-root`], facts => { facts[which].read_only = false; }],
    [`${which} with a capability`, [`${which}-capabilities`], facts => { facts[which].cap_eff = '0000000000000400'; }],
    [`${which} with a full bound`, [`${which}-capabilities`], facts => { facts[which].cap_bnd = '00000000a80425fb'; }],
    [`${which} with new privileges`, [`${which}-privileges`], facts => { facts[which].no_new_privileges = false; }],
    [`${which} without a filter of calls`, [`${which}-privileges`], facts => { facts[which].seccomp = 0; }],
    [`${which} on a floating base`, [`${which}-base`], facts => {
      facts[which].base = { ...facts[which].base, name: 'node:24', digest: '' };
    }],
    [`another image of ${which}`, [`${which}-image`], facts => { facts[which].image = `orders:sha256-${other}`; }],
    [`a moved tag of ${which}`, [`${which}-image`], facts => { facts[which].image_id = `sha256:${other}`; }],
  ]),
  settings('preflight', 'HostConfig.RestartPolicy.Name', 'always'),
  settings('preflight', 'HostConfig.NetworkMode', 'host'),
  settings('preflight', 'Config.Cmd', ['/app/service/main.js']),
  settings('preflight', 'Config.User', '0:0'),
  settings('preflight', 'Config.Image', 'orders:old'),
  ['no preflight', ['known-containers', 'preflight-settings'], ({ stack }) => {
    stack.containers = stack.containers.filter(({ service }) => service !== 'preflight');
  }],
  ['sources that were never built', ['api-image'], facts => { facts.stack.wanted.service = undefined; }],
  ['data on a tmpfs', ['db-settings'], facts => {
    drop('db', ...Object.keys(valuesOf(facts, 'db')).filter(path => path.startsWith('Mounts./var/lib/')))(facts);
    set('db', 'HostConfig.Tmpfs./var/lib/postgresql/data', 'uid=999')(facts);
  }],
  ['a volume in memory', ['data-volume'], ({ stack: { volumes: [volume] } }) => {
    Object.assign(volume?.values ?? {}, { 'Options.type': 'tmpfs', 'Options.device': 'tmpfs' });
  }],
  ['no volume', ['data-volume'], ({ stack }) => { stack.volumes = []; }],
  ['the database on the outer network', ['db-settings', 'networks'], facts => {
    set('db', `NetworkSettings.Networks.${project}_front.NetworkID`, 'a')(facts);
    network(facts, 'front')['Members'] = [`${project}-api-1`, `${project}-db-1`];
  }],
  ['a stranger on the inner network', ['networks'], facts => {
    network(facts, 'private')['Members'] = [`${project}-api-1`, `${project}-db-1`, 'stranger'];
  }],
  ['a way out', ['no-way-out', 'networks'], facts => {
    delete network(facts, 'front')['Options.com.docker.network.bridge.enable_ip_masquerade'];
  }],
  ['an open inner network', ['no-way-out', 'networks'], facts => { delete network(facts, 'private')['Internal']; }],
  ['the api on another network', ['no-way-out'], facts => { facts.api.networks.push('bridge'); }],
  ['no networks', ['no-way-out', 'networks'], ({ stack }) => { stack.networks = []; }],
  ['a superuser with a password', ['superuser'], ({ stack }) => { stack.access?.with_password.push('postgres'); }],
  ['a second superuser', ['superuser'], ({ stack }) => { stack.access?.superusers.push('orders'); }],
  ['everybody trusted over the network', ['superuser'], ({ stack }) => {
    stack.access?.network_rules.push('host all all all trust');
  }],
  ['a database that says nothing', ['superuser', 'durability'], facts => {
    facts.stack.access = null;
    facts.durability = null;
  }],
  ...(['fsync', 'full_page_writes', 'synchronous_commit', 'data_checksums'] as const).map((name): Way =>
    [`${name} off`, ['durability'], ({ durability }) => { if (durability !== null) durability[name] = 'off'; }]),
  ['a second container with root, socket and a port', ['others-published', 'known-containers'], ({ stack }) => {
    stack.containers.push(stranger);
  }],
  ['a second api', ['known-containers'], ({ stack: { containers } }) => {
    containers.push({ ...stranger, name: `${project}-api-2`, service: 'api', values: {} });
  }],
  ['the api on loopback', ['api-listening'], ({ api }) => { api.listening = ['127.0.0.1:8000']; }],
  ['the api on another port', ['api-listening'], ({ api }) => { api.listening = ['0.0.0.0:8001']; }],
  ['the api on a debugger, too', ['api-listening'], ({ api }) => { api.listening?.push('127.0.0.1:9229'); }],
  ['the api on IPv6, too', ['api-listening'], ({ api }) => { api.listening?.push('[::]:8000'); }],
  ['an api that is not seen', ['api-listening'], ({ api }) => { api.listening = null; }],
  ['the api published everywhere', ['api-published'], ({ api }) => { api.published = [`0.0.0.0:${port}`]; }],
  ['the api published twice', ['api-published'], ({ api }) => { api.published.push('127.0.0.1:9229'); }],
  ['the api published nowhere', ['api-published'], ({ api }) => { api.published = []; }],
  ['a published database', ['db-published'], ({ db }) => { db.published = ['0.0.0.0:5432']; }],
];

for (const [way, red, change] of ways) {
  test(`${way}: red is ${red.join(' and ')}, and nothing else`, () => {
    assert.deepEqual(brokenBy(changed(change)), red);
  });
}

test('what is red is named with its path, what was seen and what is wanted; a secret is not shown', () => {
  const sightOf = (id: string, change: Way[2]) =>
    rules.find(rule => rule.id === id)?.judge(changed(change), target)?.saw ?? '';
  assert.equal(sightOf('api-settings', set('api', 'HostConfig.PidMode', 'host')),
    'HostConfig.PidMode is "host", not nothing');
  assert.equal(sightOf('db-settings', drop('db', 'HostConfig.Memory')), 'HostConfig.Memory is nothing, not 536870912');
  assert.equal(sightOf('api-settings', set('api', 'Config.Env.DB_PW', 'hunter2')),
    'Config.Env.DB_PW is set, not nothing');
  const told = sightOf('known-containers', ({ stack }) => { stack.containers.push(stranger); });
  assert.match(told, /-tool-1 \(exited\), Config\.User "root", Mounts\..*docker\.sock", .*PortBindings\.9000/);
});

test('ids are unique', () => {
  assert.equal(new Set(rules.map(({ id }) => id)).size, rules.length);
});

test('a restart between two looks is seen, whatever the count was before; what is no count is never equal', () => {
  const { db } = recorded;
  assert.equal(neverRestarted({ ...db, restart_count: 3 }, { ...db, restart_count: 3 }), null);
  for (const change of [{ restart_count: 1 }, { started_at: '2026-01-02T03:04:06Z' }, { state: 'restarting' }]) {
    assert.notEqual(neverRestarted(db, { ...db, ...change }), null);
  }
  assert.notEqual(neverRestarted({ ...db, state: 'restarting' }, { ...db, state: 'restarting' }), null);
  const counts = [undefined, '0', -1, 0.5].map(restart_count => ({ restart_count }));
  for (const change of [...counts, { started_at: '' }]) {
    const malformed = { ...db, ...change } as typeof db;
    assert.notEqual(neverRestarted(malformed, malformed), null, JSON.stringify(change));
  }
});

test('another image or another commit on one node is seen; what was not seen is never equal', () => {
  const build = { node: 'control', image: 'sha256:1', commit: 'c0ffee' };
  const saw = (change: object) => sameEverywhere([build, { ...build, node: 'worker1', ...change }])?.saw ?? '';
  assert.equal(saw({}), '');
  assert.match(saw({ image: 'sha256:2' }), /worker1: sha256:2/);
  assert.match(saw({ commit: 'decaf' }), /worker1: sha256:1 decaf/);
  assert.notEqual(sameEverywhere([{ ...build, image: undefined }, { ...build, image: undefined }]), null);
  assert.notEqual(sameEverywhere([{ ...build, commit: undefined }, { ...build, commit: undefined }]), null);
});

test('nodes without images have nothing to compare, unless their commits differ', () => {
  const plain = { node: 'control', image: undefined, commit: 'c0ffee', without: 'plain processes' };
  assert.equal(nothingToCompare([plain, plain]), 'plain processes');
  assert.equal(nothingToCompare([plain, { ...plain, commit: undefined }]), 'plain processes');
  assert.equal(nothingToCompare([plain, { ...plain, commit: 'decaf' }]), undefined);
  assert.equal(nothingToCompare([plain, { node: 'worker1', image: 'sha256:1', commit: 'c0ffee' }]), undefined);
});
