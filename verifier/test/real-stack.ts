// A real stack for drills, with ports, a folder and a Compose project of its own: plain processes, or as asked for.
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { openControl } from '#infra/control';
import type { Control } from '#infra/control';
import type { Outcome, PlatformName } from '#infra/platform';
import { root } from '../programs/program.ts';

export type RealStack = { state: string; env: Record<string, string>; control: Control; remove: () => Promise<void> };

/** Up when it resolves. `remove` leaves nothing. `checkout` is whose service is run. */
export async function openRealStack(
  platform: PlatformName = 'process', more: Record<string, string> = {}, checkout = root,
): Promise<RealStack> {
  const state = await mkdtemp(join(tmpdir(), 'orders-stack-'));
  const env = {
    PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? state,
    PLATFORM: platform, NODE: 'control', SCALE: '1.5',
    ORDERS_STATE: state, ORDERS_PORT: String(await freePort()), ORDERS_DB_PORT: String(await freePort()),
    ORDERS_PROJECT: basename(state).toLowerCase(), ...more,
  };
  // base images are those of the machine
  await copyFile(join(root, '.state/images.env'), join(state, 'images.env')).catch(() => undefined);
  const said: string[] = [];
  const control = openControl({ env, root: checkout, say: line => said.push(line) });
  const remove = async () => {
    needDone(await control.destroy(), said);
    await rm(state, { recursive: true });
  };
  try {
    needDone(await control.up(), said);
  } catch (error) {
    await remove();
    throw error;
  }
  return { state, env, control, remove };
}

function needDone(outcome: Outcome, said: readonly string[]): void {
  if (!('done' in outcome)) throw new Error([JSON.stringify(outcome), ...said].join('\n'));
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise(resolve => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise(resolve => server.close(resolve));
  return port;
}
