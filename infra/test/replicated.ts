// The replicated database of one test: cluster.yml on this machine's engine, behind its router, with one replica.
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { askingMembers, isWhole, leaderOf, parseMembers, switchover } from '../swarm/members.ts';
import type { Member } from '../swarm/members.ts';
import { machinesImage } from './docker-stack.ts';
import { freePort, root, runIn } from './stack.ts';
import type { Run } from './stack.ts';
import { until } from './until.ts';

export const names = ['db-control', 'db-worker1', 'db-worker2'];
const networks = ['consensus', 'database'];
const secrets = ['database_password', 'replication_password', 'rewind_password', 'patroni_password'];
const psql = ['psql', '-X', '-q', '-At', '-U', 'postgres', '-c'];
/** An emulated or crowded machine takes its time. */
const SETTLE_MS = 240_000;

export type Replicated = {
  url: string;
  /** A write in a member that may not take any, or never say so: given up after 3 s. */
  write: (member: string, statement: string) => Promise<Run>;
  sql: (member: string, statement: string, name?: string) => Promise<string>;
  /** As the first member tells that can. */
  members: () => Promise<Member[]>;
  leader: () => Promise<string>;
  standbys: () => Promise<{ confirms: string; follows: string }>;
  whole: () => Promise<void>;
  /** For good: it stays away until `start`. */
  kill: (member: string) => Promise<void>;
  start: (member: string) => Promise<void>;
  /** As an out-of-memory kill would: the engine starts it again. */
  crash: (member: string) => Promise<void>;
  freeze: (member: string) => Promise<void>;
  thaw: (member: string) => Promise<void>;
  /** From everybody, or from one of its networks. */
  cut: (member: string, from?: readonly string[]) => Promise<void>;
  heal: (member: string, to?: readonly string[]) => Promise<void>;
  handOver: (leader: string, candidate: string) => Promise<void>;
  /** A setting of the cluster, as in `synchronous_mode=false`. */
  set: (setting: string) => Promise<void>;
  rows: () => Promise<string>;
};

export async function openReplicated(t: TestContext): Promise<Replicated> {
  const state = await mkdtemp(join(tmpdir(), 'orders-cluster-'));
  const project = `orders-test-${randomBytes(4).toString('hex')}`;
  const port = await freePort();
  succeeded(await runIn(process.env, join(root, 'infra/images/build'), ['cluster']), 'infra/images/build cluster');
  const remembered = await readFile(join(process.env['ORDERS_STATE'] ?? join(root, '.state'), 'cluster.env'), 'utf8');
  for (const secret of secrets) await writeFile(join(state, secret), randomBytes(18).toString('hex'), { mode: 0o444 });
  const env = {
    ...process.env, ORDERS_SECRETS: state, ORDERS_PORT: String(port), ...readImages(remembered),
    ORDERS_PATRONI_CONFIG: project, ORDERS_HAPROXY_CONFIG: project,
    ORDERS_IMAGE: process.env['ORDERS_IMAGE'] ?? await machinesImage(process.env),
  };
  const docker = async (...args: string[]) => succeeded(await runIn(env, 'docker', args), args.join(' '));
  const compose = (...args: string[]) => docker('compose', '-p', project,
    '-f', join(root, 'infra/swarm/cluster.yml'), '-f', join(root, 'infra/test/cluster.yml'), ...args);
  const box = (member: string) => `${project}-${member}-1`;
  t.after(async () => {
    for (const member of names) await runIn(env, 'docker', ['unpause', box(member)]);
    await compose('down', '--volumes', '--timeout', '1');
    await rm(state, { recursive: true, force: true });
  });
  await compose('up', '--detach');
  const tryIn = (member: string, argv: readonly string[], seconds = 20) =>
    runIn(env, 'docker', ['exec', box(member), 'timeout', String(seconds), ...argv]);
  const members = async (): Promise<Member[]> => {
    const said: string[] = [];
    for (const member of names) {
      const { code, stdout, stderr } = await answering(member);
      if (code === 0) return parseMembers(stdout);
      said.push(stderr);
    }
    throw new Error(`no member tells who leads: ${said.join('; ')}`);
  };
  // a paused container takes no program, and would wait for ever
  const answering = async (member: string): Promise<Run> => {
    const status = (await runIn(env, 'docker', ['inspect', '-f', '{{.State.Status}}', box(member)])).stdout.trim();
    if (status === 'running') return tryIn(member, askingMembers);
    return { code: 1, stdout: '', stderr: `${member} is ${status}` };
  };
  const leader = async () => {
    const look = async () => leaderOf(await members().catch(() => []))?.name ?? '';
    return until(look, name => name !== '', SETTLE_MS);
  };
  const sql = async (member: string, statement: string, name = 'orders') => {
    const run = await tryIn(member, [...psql, statement, name]);
    return succeeded(run, statement);
  };
  const inLeader = async (...argv: string[]) => succeeded(await tryIn(await leader(), argv, 60), argv.join(' '));
  return {
    url: `http://127.0.0.1:${port}`, sql, members, leader,
    write: (member, statement) => tryIn(member, [...psql, statement, 'orders'], 3),
    standbys: async () => {
      const { confirms, follows } = Object.fromEntries((await members()).map(({ role, name }) => [role, name]));
      if (confirms === undefined || follows === undefined) throw new Error('there are not two standbys');
      return { confirms, follows };
    },
    whole: async () => { await until(() => members().catch(() => []), isWhole, SETTLE_MS); },
    kill: async member => { await docker('kill', '--signal', 'KILL', box(member)); },
    start: async member => { await docker('start', box(member)); },
    crash: async member => {
      process.kill(Number(await docker('inspect', '-f', '{{.State.Pid}}', box(member))), 'SIGKILL');
    },
    freeze: async member => { await docker('pause', box(member)); },
    thaw: async member => { await docker('unpause', box(member)); },
    cut: async (member, from = networks) => {
      for (const network of from) await docker('network', 'disconnect', `${project}_${network}`, box(member));
    },
    heal: async (member, to = networks) => {
      for (const network of to) {
        await docker('network', 'connect', '--alias', member, `${project}_${network}`, box(member));
      }
    },
    handOver: async (from, to) => { await inLeader(...switchover(from, to)); },
    set: async setting => {
      await inLeader('patronictl', '-c', '/tmp/patroni', 'edit-config', 'orders', '--force', '--quiet', '-s', setting);
    },
    rows: async () => sql(await leader(), 'select order_id, qty from orders'),
  };
}

function readImages(text: string): Record<string, string> {
  return Object.fromEntries(text.split('\n').flatMap(line => {
    const [, name, image] = /^(ORDERS_[A-Z]+_IMAGE)=(.+)$/.exec(line) ?? [];
    return name === undefined || image === undefined ? [] : [[name, image]];
  }));
}

function succeeded({ code, stdout, stderr }: Run, what: string): string {
  if (code !== 0) throw new Error(`${what}: ${code}: ${stderr}`);
  return stdout.trim();
}
