// A system for drills to break: an honest service, and a platform whose verbs are answered by the test itself.
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openControl } from '#infra/control';
import type { Control } from '#infra/control';
import { openJournal } from '#infra/journal';
import type { Journal } from '#infra/journal';
import { faultNames } from '#infra/platform';
import type { Fault, Node, Platform, Spoilt } from '#infra/platform';
import { drills } from '../drills/catalogue.ts';
import { until } from '../client/until.ts';
import { root } from '../programs/program.ts';
import { commit, openHonest } from './honest.ts';
import type { Honest, Lie } from './honest.ts';
import { start } from './program.ts';
import type { Started } from './program.ts';

/** The drill program over the real control and this system's platform. */
export const drillProgram = fileURLToPath(new URL('fake-drill.js', import.meta.url));

/** What a verb of the platform does and gives; undefined leaves it to the fake, which plays a platform honestly. */
export type Play = (verb: string, args: unknown[], system: FakeSystem) => unknown;
export type FakeSystem = {
  honest: Honest;
  env: Record<string, string>;
  state: string;
  /** The one that control keeps in the state folder. */
  journal: Journal;
  /** The names of the faults in it. */
  left: () => Promise<string[]>;
  up: boolean;
  play: Play;
  /** `inject db-down` when asked, `inject db-down done` when answered; `recover` alone is of everything. */
  acts: string[];
};

/** Done, with nothing to be told; JSON has no undefined. */
export const done = { done: null };
const acting = ['inject', 'recover', 'up', 'halt'];
/** The service cannot store orders while one of these is in place. */
const ofDatabase = [
  'db-down', 'db-hung', 'bad-credentials', 'table-locked', 'disk-full', 'network-cut', 'connections-exhausted',
  'read-only', 'right-revoked', 'power-cut',
];

/** A control over this system in this very process. */
export function controlOf(system: FakeSystem): Control {
  const ask = (verb: string) => async (...args: unknown[]): Promise<never> => {
    return await perform(system, system.play, [verb, ...args]) as never;
  };
  const faults = faultNames.map(name => [name, {
    inject: (_node: Node, spoilt?: readonly Spoilt[]) => ask('inject')(name, spoilt),
    recover: () => ask('recover')(name),
    inPlace: () => ask('inPlace')(name),
  }] as const);
  const platform: Platform = {
    name: 'process',
    up: ask('up'), halt: ask('halt'), destroy: ask('destroy'), status: ask('status'), logs: ask('logs'),
    targets: ask('targets'), facts: ask('facts'), leaks: ask('leaks'), machine: ask('machine'),
    inDatabase: () => ask('inDatabase'), mend: () => ask('recover')(),
    faults: Object.fromEntries<Fault>(faults) as Platform['faults'],
  };
  return openControl({ env: system.env, root, say: () => undefined, inDrill: true, open: () => platform });
}

export async function openFakeSystem(
  t: TestContext, { play = () => undefined, lie }: { play?: Play; lie?: Lie } = {},
): Promise<FakeSystem> {
  const honest = await openHonest(lie);
  const server = createServer((incoming, outgoing) => {
    let text = '';
    incoming.on('data', chunk => { text += String(chunk); }).on('end', () => {
      const [verb = '', ...args] = JSON.parse(text) as [string, ...unknown[]];
      void perform(system, play, [verb, ...args]).then(
        value => outgoing.end(JSON.stringify({ value })),
        (error: Error) => outgoing.end(JSON.stringify({ thrown: error.message })),
      );
    });
  });
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve); });
  const state = await mkdtemp(join(tmpdir(), 'orders-drill-'));
  t.after(async () => {
    server.closeAllConnections();
    server.close();
    await honest.close();
    await rm(state, { recursive: true, force: true });
  });
  const { port } = server.address() as AddressInfo;
  const env = {
    PATH: process.env['PATH'] ?? '', TEST_PLATFORM_PORT: String(port),
    PLATFORM: 'process', ORDERS_STATE: state, SCALE: '0.5', COMMIT: commit,
  };
  const journal = openJournal(join(state, 'journal'), ['control', 'worker1', 'worker2']);
  const left = async () => (await journal.read()).map(({ fault }) => fault);
  const system: FakeSystem = { honest, env, state, journal, left, up: true, play, acts: [] };
  return system;
}

/** A drill whose fault is injected, or being injected; what the test plays can get at the drill. */
export async function startInTheMiddle(
  t: TestContext, play: (running: () => Started | undefined) => Play = () => () => undefined,
): Promise<{ system: FakeSystem; drill: Started }> {
  let running: Started | undefined;
  const system = await openFakeSystem(t, { play: play(() => running) });
  const drill = running = start(drillProgram, ['db-down'], system.env);
  await until(async () => system.acts.includes('inject db-down'), Boolean, 20_000, 5);
  return { system, drill };
}

async function perform(system: FakeSystem, play: Play, [verb, ...args]: [string, ...unknown[]]): Promise<unknown> {
  const act = [verb, ...args.filter(arg => typeof arg === 'string')].join(' ');
  if (acting.includes(verb)) system.acts.push(act);
  const value = await play(verb, args, system) ?? honestly(system, verb, args[0]);
  if (acting.includes(verb)) system.acts.push(`${act} done`);
  return value;
}

function honestly(system: FakeSystem, verb: string, fault: unknown): unknown {
  const { honest } = system;
  switch (verb) {
    case 'targets': return system.up ? [honest.target] : [];
    case 'facts': return { done: factsOf(system) };
    case 'leaks': return { done: [] };
    case 'verify': return redRung(system, fault);
    // what ends a process has healed as soon as its supervisor has started it again
    case 'inPlace': return ofDatabase.includes(String(fault)) && !honest.database;
    case 'inject': if (ofDatabase.includes(String(fault))) honest.database = false; return done;
    case 'recover': honest.database = true; return done;
    case 'halt': system.up = false; return done;
    case 'up': system.up = true; return done;
    default: throw new Error(`the fake platform has no ${verb}`);
  }
}

const durability = { fsync: 'on', full_page_writes: 'on', synchronous_commit: 'on', data_checksums: 'on' };

/** Where verify is red while a fault is in place; null when it is green. */
export async function redRung({ honest, left }: FakeSystem, expect: unknown): Promise<string | null> {
  const faults = honest.database ? [] : await left();
  const drill = drills.find(one => one.faults.some(fault => faults.includes(fault)));
  return expect === 'unready' ? null : drill?.red?.[0] ?? null;
}

/** What a platform that keeps its word says of this system. */
export function factsOf({ honest }: FakeSystem): Record<string, object | string | boolean | null> {
  const program = { pid: 1, state: 'running', restart_count: 0, started_at: null, listening: null };
  return {
    platform: 'process', node: 'control', containers: false, reason: 'nothing contains a fake', user: 'nobody',
    boot_id: 'a boot', durability, disk_mb: null,
    api: program, db: { ...program, state: honest.database ? 'running' : 'stopped' },
  };
}
