// Facts of containers are read from recorded docker inspect and /proc; what cannot be read is quoted, never left out.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { digestOf, judgeFacts, parseListening, parseProc } from '../docker/facts.ts';
import type { Seen } from '../docker/facts.ts';
import { parseContainers, parseImages } from '../docker/inspect.ts';
import { parseInspected } from '../docker/inspected.ts';
import { root } from './stack.ts';

const sample = (name: string) => readFileSync(join(root, 'infra/test/samples', name), 'utf8');
const [containers, images] = [sample('containers.json'), sample('images.json')];
const proc = { status: sample('status.txt'), tcp: sample('tcp.txt'), tcp6: sample('tcp6.txt') };

test('both containers become facts', () => {
  const { api, db, stack, ...others } = judge(containers);
  assert.deepEqual(others, { ...where, containers: true });
  assert.deepEqual(stack.containers.map(({ name, service, state }) => [name, service, state]), [
    ['orders-480c08f1-control-api-1', 'api', 'running'], ['orders-480c08f1-control-db-1', 'db', 'running'],
  ]);
  const { base, ...rest } = api;
  assert.match(base.name, /^orders-stand-in\/runtime:sha256-[0-9a-f]{64}$/);
  assert.equal(base.digest, base.name.split(':')[1]?.replace('-', ':'));
  assert.equal(base.stand_in, true);
  assert.match(base.made_of, /in place of distroless/);
  assert.equal(rest.image, `orders:${rest.image_id.replace(':', '-')}`);
  assert.deepEqual(rest, {
    image_id: rest.image_id, image: rest.image, repo_digests: [], user: '65532:65532', published: ['127.0.0.1:18431'],
    networks: ['orders-480c08f1-control_front', 'orders-480c08f1-control_private'],
    read_only: true, privileged: false, cap_add: [], cap_drop: ['ALL'], pids_limit: 64, memory: 268435456,
    restart_policy: 'unless-stopped', restart_count: 1, started_at: rest.started_at,
    state: 'running', health: 'healthy',
    uid: 65532, cap_eff: '0000000000000000', cap_bnd: '0000000000000000', no_new_privileges: true, seccomp: 2,
    listening: ['0.0.0.0:5432', '[::]:5432'],
  });
  assert.deepEqual([db.user, db.published, db.networks], ['999:999', [], ['orders-480c08f1-control_private']]);
  assert.match(db.base.name, /^orders-stand-in\/database:/);
});

test('a container without a health check has none, and one that does not run has no process', () => {
  const bare = judge(changed(([box]) => {
    delete box.State.Health;
    box.HostConfig.PidsLimit = null;
  }));
  assert.deepEqual([bare.api.health, bare.api.pids_limit], [null, null]);
  const { api } = judge(containers, { api: false });
  for (const name of ['uid', 'cap_eff', 'cap_bnd', 'no_new_privileges', 'seccomp', 'listening'] as const) {
    assert.equal(api[name], null, name);
  }
});

test('what docker prints and is not as expected is a failure that quotes it', () => {
  for (const [text, complaint] of [
    ['', /docker inspect printed no JSON: ""/],
    ['template: :1: map has no entry', /printed no JSON: "template: :1/],
    ['{}', /printed no list: "\{\}"/],
    [changed(([box]) => { delete box.State.Pid; }), /State\.Pid is not a number but "undefined", in "\{"Id"/],
    [changed(([box]) => { box.HostConfig.CapAdd = 'ALL'; }), /HostConfig\.CapAdd is not a list but "ALL"/],
    [changed(([box]) => { box.HostConfig.ReadonlyRootfs = 'true'; }), /ReadonlyRootfs is not true or false but "true"/],
    [changed(([box]) => { box.NetworkSettings.Ports = { '8000/tcp': 'open' }; }), /8000\/tcp is not a list but "open"/],
    [changed(([box]) => { box.NetworkSettings.Ports = { '8000/tcp': [{ HostPort: '1' }] }; }), /HostIp is not a text/],
    [changed(([box]) => { box.State.Health = { Status: 7 }; }), /State\.Health\.Status is not a text but "7"/],
  ] as const) assert.throws(() => judge(text), complaint);
  const other = images.replaceAll('"Id": "sha256:', '"Id": "sha256:0');
  const judgeOther = () => judgeFacts(where, { ...found(containers), images: parseImages(other) });
  assert.throws(judgeOther, /its image sha256:[0-9a-f]+ is not among/);
});

test('what /proc says and is not as expected is a failure that quotes it', () => {
  const without = (name: string) => ({ ...proc, status: proc.status.replace(new RegExp(`^${name}:.*\n`, 'm'), '') });
  for (const name of ['Uid', 'CapEff', 'CapBnd', 'NoNewPrivs', 'Seccomp']) {
    assert.throws(() => parseProc(without(name)), new RegExp(`no ${name} in "Name:`));
  }
  const few = { ...proc, status: proc.status.replace(/^CapEff:.*$/m, 'CapEff:\tfew') };
  assert.throws(() => parseProc(few), /no CapEff in/);
  assert.throws(() => parseListening(''), /no heading in ""/);
  assert.throws(() => parseListening('cat: /proc/1/net/tcp: Permission denied'), /no heading in "cat: /);
  const short = `${proc.tcp.split('\n')[0]}\n   0: 0100007F 0A`;
  assert.throws(() => parseListening(short), /no socket in " {3}0: 0100007F 0A"/);
});

test('addresses are read in the order of the machine, the engine\'s own name server is not among them', () => {
  assert.deepEqual(parseListening(proc.tcp), ['0.0.0.0:5432']);
  assert.deepEqual(parseListening(proc.tcp6), ['[::]:5432']);
  const [head] = proc.tcp.split('\n');
  const row = (address: string, state = '0A') => `   0: ${address} 00000000:0000 ${state} 0:0 00:0 0 0 1\n`;
  const rows = [
    row('0100007F:1F40'), row('0100007F:1F41', '01'), row('0B00007F:99DB'),
    row('0000000000000000FFFF00000100007F:0050'), row('00000000000000000000000001000000:0051'),
  ];
  const wanted = ['127.0.0.1:8000', '127.0.0.1:80', '[00000000000000000000000001000000]:81'];
  assert.deepEqual(parseListening(`${head}\n${rows.join('')}`), wanted);
  assert.deepEqual(parseProc({ status: proc.status, tcp: proc.tcp }).listening, ['0.0.0.0:5432'], 'without IPv6');
});

test('settings are given by their path, but for what is empty; what may be a secret is not shown', () => {
  const { values } = judge(changed(([{ HostConfig, ...others }]) => {
    HostConfig['Binds'] = null;
    HostConfig['Sysctls'] = { 'net.core.somaxconn': '1', empty: '' };
    HostConfig['ConsoleSize'] = [0, 0];
    const { Config } = others as unknown as { Config: { Env: string[] } };
    Config.Env = ['PORT=8000', 'UNSET', 'EMPTY=', 'API_TOKEN=a=b', 'DATABASE_PASSWORD_FILE=/run/secrets/x'];
  })).stack.containers[0] ?? { values: {} as Record<string, unknown> };
  const told = (prefix: string) => Object.entries(values).filter(([path]) => path.startsWith(prefix));
  assert.deepEqual(told('Config.Env'), [
    ['Config.Env.PORT', '8000'], ['Config.Env.API_TOKEN', '(not shown)'],
    ['Config.Env.DATABASE_PASSWORD_FILE', '/run/secrets/x'],
  ]);
  assert.deepEqual(told('HostConfig.Sysctls'), [['HostConfig.Sysctls.net.core.somaxconn', '1']]);
  assert.deepEqual([...told('HostConfig.Binds'), ...told('HostConfig.ConsoleSize')], []);
  assert.equal(values['HostConfig.Memory'], 268435456);
  assert.deepEqual(told('Mounts.').map(([path]) => path.replace('Mounts./run/secrets/database_password.', '')), [
    'Type', 'Source', 'Propagation',
  ]);
});

test('networks are given with their members, and what is no list is quoted', () => {
  const text = JSON.stringify([{ Name: 'n', Internal: true, Containers: { b: { Name: 'two' }, a: { Name: 'one' } } }]);
  assert.deepEqual(parseInspected(text, 'it'), [{ name: 'n', values: { Internal: true, Members: ['one', 'two'] } }]);
  assert.throws(() => parseInspected('[{}]', 'it'), /it: no Name in "\{\}"/);
  assert.throws(() => parseInspected('{}', 'it'), /it printed no list: "\{\}"/);
  assert.throws(() => parseInspected('', 'it'), /it printed no JSON: ""/);
});

test('a digest is in the name of what is pinned or a stand-in, and in no other', () => {
  const digest = 'ab'.repeat(32);
  assert.equal(digestOf(`postgres:17@sha256:${digest}`), `sha256:${digest}`);
  assert.equal(digestOf(`orders:sha256-${digest}`), `sha256:${digest}`);
  assert.equal(digestOf('postgres:17'), '');
  assert.equal(digestOf(`postgres:sha256-${digest.slice(1)}`), '');
});

const where = { platform: 'docker', node: 'control', boot_id: 'a boot', durability: null, disk_mb: null } as const;
const around: Seen['around'] = {
  project: 'orders-480c08f1-control', owner: 'me', secrets: '/secrets', infra: '/infra', settings: {},
  wanted: { service: undefined, database: 'db' }, engine: { cgroup: '1', runtime: 'runc' }, networks: [], volumes: [],
  access: null, way_to_database: null,
};

function judge(text: string, told: { api: boolean } = { api: true }) {
  const seen = found(text);
  return judgeFacts(where, { ...seen, api: { ...seen.api, proc: told.api ? proc : undefined } });
}

function found(text: string): Seen {
  const all = parseContainers(text);
  const [api, db] = all;
  if (api === undefined || db === undefined) throw new Error('the sample has two containers');
  return {
    images: parseImages(images), api: { container: api, proc }, db: { container: db, proc }, all, around,
  };
}

/** The sample with something changed in it. */
function changed(change: (boxes: [Loose, Loose]) => void): string {
  const boxes = JSON.parse(containers) as [Loose, Loose];
  change(boxes);
  return JSON.stringify(boxes);
}
type Loose = Record<'State' | 'HostConfig' | 'NetworkSettings', Record<string, unknown>>;
