// A control whose every answer is given by the test, which is another process: it is asked over HTTP.
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { messageOf } from '#infra/platform';
import type { Control, ControlOptions, Holder } from '#infra/control';
import { Misunderstood } from '#infra/platform';
import { readSettings } from '#infra/settings';

/** Gives what a method of Control gives; what it throws is thrown there (Misunderstood as such). */
export type Answer = (verb: string, args: unknown[]) => Promise<unknown> | unknown;
type Reply = { value?: unknown; error?: string; misunderstood?: boolean };

/** In the test: answers from now on. `env` leads a program here; `holdDrill` says which drill runs on a node. */
export async function serveControl(
  t: TestContext, folder: string, answer: Answer,
): Promise<{ env: Record<string, string>; setDrills: (drills: Record<string, Holder>) => Promise<void> }> {
  const server = createServer((incoming, outgoing) => {
    let text = '';
    incoming.on('data', chunk => { text += String(chunk); }).on('end', () => {
      const { verb, args } = JSON.parse(text) as { verb: string; args: unknown[] };
      void reply(answer, verb, args).then(told => outgoing.end(JSON.stringify(told)));
    });
  });
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve); });
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const drills = join(folder, 'drills.json');
  const setDrills = (running: Record<string, Holder>) => writeFile(drills, JSON.stringify(running));
  await setDrills({});
  return { env: { TEST_CONTROL_PORT: String((server.address() as AddressInfo).port), TEST_DRILLS: drills }, setDrills };
}

/** In the program: opened in place of the real one. */
export function openFakeControl({ env, root }: ControlOptions): Control {
  const read = readSettings(env, root);
  if ('complaints' in read) throw new Misunderstood(read.complaints.join('; '));
  const underWay = new Set<Promise<unknown>>();
  const ask = (verb: string) => async (...args: unknown[]): Promise<never> => {
    const asked = post(Number(env['TEST_CONTROL_PORT']), { verb, args }).finally(() => underWay.delete(asked));
    underWay.add(asked);
    const { value, error, misunderstood } = await asked;
    if (error !== undefined) throw misunderstood === true ? new Misunderstood(error) : new Error(error);
    return value as never;
  };
  return {
    settings: read.settings,
    memory: ask('memory'), chosenNodes: ask('chosenNodes'), up: ask('up'), halt: ask('halt'), destroy: ask('destroy'),
    status: ask('status'), logs: ask('logs'), targets: ask('targets'), facts: ask('facts'),
    machine: ask('machine'), leaks: ask('leaks'), journal: ask('journal'),
    faultsInPlace: ask('faultsInPlace'), inject: ask('inject'), recover: ask('recover'),
    backup: ask('backup'), restore: ask('restore'),
    beginDrill: async (node, name) => {
      const told: { heldBy: Holder } | undefined = await ask('beginDrill')(node, name);
      // any file that is open will do as a lock which nobody else wants
      return told ?? { fd: 2, release: () => undefined };
    },
    drillOn: async node => (JSON.parse(readFileSync(env['TEST_DRILLS'] ?? '', 'utf8')) as Record<string, Holder>)[node],
    idle: async () => { while (underWay.size > 0) await Promise.allSettled(underWay); },
  };
}

async function reply(answer: Answer, verb: string, args: unknown[]): Promise<Reply> {
  try {
    return { value: await answer(verb, args) };
  } catch (error) {
    return { error: messageOf(error), misunderstood: error instanceof Misunderstood };
  }
}

function post(port: number, body: { verb: string; args: unknown[] }): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const asking = request({ port, host: '127.0.0.1', method: 'POST', agent: false }, answer => {
      let text = '';
      answer.setEncoding('utf8').on('data', (chunk: string) => { text += chunk; });
      answer.on('end', () => resolve(JSON.parse(text) as Reply));
    });
    asking.on('error', reject);
    asking.end(JSON.stringify(body));
  });
}
