// A system for drills to break: an honest service, and a control executable whose verbs are answered by the test itself.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { openHonest } from './honest.ts';
import type { Honest, Lie } from './honest.ts';

export type Answer = { exit?: number; stdout?: string; stderr?: string };
/** What a verb does; undefined leaves it to the fake, which plays control honestly. */
export type Play = (verb: string, args: string[], system: FakeSystem) => Promise<Answer | undefined> | Answer | undefined;
export type FakeSystem = {
  honest: Honest;
  env: Record<string, string>;
  /** Faults in place, as the undo journal has them. */
  journal: Set<string>;
  up: boolean;
  /** Acting verbs, as `inject db-down` when asked and `inject db-down done` when answered. */
  acts: string[];
};

const script = (port: number) => `#!${process.execPath}
const { request } = require('node:http');
request({ port: ${port}, host: '127.0.0.1', method: 'POST' }, answer => {
  let text = '';
  answer.on('data', chunk => { text += chunk; }).on('end', () => {
    const { exit = 0, stdout = '', stderr = '' } = JSON.parse(text);
    process.stdout.write(stdout);
    process.stderr.write(stderr);
    process.exitCode = exit;
  });
}).end(JSON.stringify(process.argv.slice(2)));
`;

export async function openFakeSystem(t: TestContext, { play = () => undefined, lie }: { play?: Play; lie?: Lie } = {}): Promise<FakeSystem> {
  const honest = await openHonest(lie);
  const server = createServer((incoming, outgoing) => {
    let text = '';
    incoming.on('data', chunk => { text += String(chunk); }).on('end', () => {
      const [verb = '', ...args] = JSON.parse(text) as string[];
      void perform(system, play, [verb, ...args]).then(answer => outgoing.end(JSON.stringify(answer)));
    });
  });
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve); });
  const folder = await mkdtemp(join(tmpdir(), 'orders-drill-'));
  const control = join(folder, 'control');
  await writeFile(control, script((server.address() as AddressInfo).port), { mode: 0o755 });
  t.after(async () => {
    server.closeAllConnections();
    server.close();
    await honest.close();
    await rm(folder, { recursive: true, force: true });
  });
  const env = { PATH: process.env['PATH'] ?? '', CONTROL: control, ORDERS_STATE: join(folder, 'state'), SCALE: '0.5' };
  const system: FakeSystem = { honest, env, journal: new Set(), up: true, acts: [] };
  return system;
}

async function perform(system: FakeSystem, play: Play, [verb = '', ...args]: string[]): Promise<Answer> {
  const act = [verb, ...args].join(' ');
  const acting = ['inject', 'recover', 'up', 'halt'].includes(verb);
  if (acting) system.acts.push(act);
  // as control does: the entry is there before the fault is, and gone when the recovery is done; a refused start leaves nothing
  if (verb === 'inject' && args[0] !== 'config-refused') system.journal.add(args[0] ?? '');
  const answer = await play(verb, args, system) ?? honestly(system, verb, args);
  if (verb === 'inject' && answer.exit === 3) system.journal.delete(args[0] ?? '');
  if (verb === 'recover' && !answer.exit) forget(system, args[0]);
  if (acting) system.acts.push(`${act} done`);
  return answer;
}

function honestly(system: FakeSystem, verb: string, [fault]: string[]): Answer {
  const { honest } = system;
  switch (verb) {
    case 'platform': return { stdout: 'process\n' };
    case 'targets': return { stdout: system.up ? `control ${honest.target.host}:${honest.target.port}\n` : '' };
    case 'journal': return { stdout: [...system.journal].map(name => `control ${name} 2026-11-23T12:00:00Z\n`).join('') };
    case 'facts': return { stdout: `${JSON.stringify({
      platform: 'process', node: 'control', containers: false, reason: 'nothing contains a fake',
      api: { restart_count: 0 }, db: { state: honest.database ? 'running' : 'stopped' },
    })}\n` };
    case 'inject': if (fault === 'db-down') honest.database = false; return {};
    case 'recover': honest.database = true; return {};
    case 'halt': system.up = false; return {};
    case 'up': system.up = true; return {};
    default: return { exit: 2, stderr: `unknown verb ${verb}\n` };
  }
}

function forget({ journal }: FakeSystem, fault: string | undefined): void {
  if (fault === undefined) journal.clear();
  else journal.delete(fault);
}
