// A system for drills to break: an honest service, and a platform whose verbs are answered by the test itself.
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openJournal } from '#infra/journal';
import type { Journal } from '#infra/journal';
import { until } from '../client/until.ts';
import { openHonest } from './honest.ts';
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
  /** `inject db-down` when asked, `inject db-down done` when answered; `recover` alone is of everything. */
  acts: string[];
};

/** Done, with nothing to be told; JSON has no undefined. */
export const done = { done: null };
const acting = ['inject', 'recover', 'up', 'halt'];
const ofDatabase = ['db-down', 'db-hung', 'bad-credentials'];

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
    PLATFORM: 'process', ORDERS_STATE: state, SCALE: '0.5',
  };
  const journal = openJournal(join(state, 'journal'), ['control', 'worker1', 'worker2']);
  const left = async () => (await journal.read()).map(({ fault }) => fault);
  const system: FakeSystem = { honest, env, state, journal, left, up: true, acts: [] };
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
    // what ends a process has healed as soon as its supervisor has started it again
    case 'inPlace': return ofDatabase.includes(String(fault)) && !honest.database;
    case 'inject': if (ofDatabase.includes(String(fault))) honest.database = false; return done;
    case 'recover': honest.database = true; return done;
    case 'halt': system.up = false; return done;
    case 'up': system.up = true; return done;
    default: throw new Error(`the fake platform has no ${verb}`);
  }
}

function factsOf({ honest }: FakeSystem): object {
  const program = { pid: 1, state: 'running', restart_count: 0, started_at: null, listening: null };
  return {
    platform: 'process', node: 'control', containers: false, reason: 'nothing contains a fake', user: 'nobody',
    api: program, db: { ...program, state: honest.database ? 'running' : 'stopped' },
  };
}
