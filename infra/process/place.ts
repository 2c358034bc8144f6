// Where a node's programs listen: chosen by `up`, kept in a file of its folder, free when something is started.
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { Context } from '../context.ts';
import type { Node } from '../platform.ts';
import { listenerOn } from './proc.ts';
import type { Place } from './service.ts';

/** The folder is kept with it, since the file is copied with the folder: a copy is not up. */
type Kept = Place & { folder: string; since: string | null };
export type KeptPlace = {
  /** What was kept, else what the settings say. */
  place: () => Place;
  /** Where the node is up, by the file only; undefined when it is halted. */
  isUp: () => Place | undefined;
  /** Keeps where it is, and whether it is up. */
  keep: (place: Place, isUp: boolean) => Promise<void>;
  /** Halted, without a word about where it was. */
  forget: () => void;
  /** The place to be used by `up`: a running stack keeps its own, and refuses another one that is asked for. */
  choose: (isRunning: boolean) => Place;
};

export function openPlace(folder: string, node: Node, { settings, local }: Context): KeptPlace {
  const file = join(folder, 'stack.json');
  const kept = (): Kept | undefined => {
    const seen = existsSync(file) ? parseKept(file, readFileSync(file, 'utf8')) : undefined;
    return seen?.folder === folder ? seen : undefined;
  };
  const { address = node.local, port = 8_000, dbPort = 15_432 } = settings;
  const place = (): Place => placeOf(kept()) ?? { address, port, dbPort };
  return {
    place,
    isUp: () => kept()?.since === null ? undefined : placeOf(kept()),
    keep: (where, isUp) => {
      const since = isUp ? kept()?.since ?? new Date().toISOString() : null;
      const text = `${JSON.stringify({ folder, ...where, since } satisfies Kept)}\n`;
      return local.write([{ path: file, text, mode: 0o644 }]);
    },
    forget: () => rmSync(file, { force: true }),
    choose: isRunning => {
      const was = placeOf(kept());
      if (port === dbPort) throw new Error(`ORDERS_PORT and ORDERS_DB_PORT must differ, both are ${port}`);
      if (was === undefined || !isRunning) return { address, port, dbPort };
      const asked = { ...was, ...given(settings) };
      if (asked.address === was.address && asked.port === was.port && asked.dbPort === was.dbPort) return was;
      throw new Error(`${node.name} is up on ports ${was.port} and ${was.dbPort} of ${was.address}: make halt first`);
    },
  };
}

/** Refuses a port that somebody else has, with the owner's name. */
export async function needFree(address: string, port: number, variable: string): Promise<void> {
  const code = await new Promise<string | undefined>(resolve => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host: address, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
  if (code === undefined) return;
  const way = `choose another with ${variable}`;
  if (code !== 'EADDRINUSE') throw new Error(`port ${port} on ${address} cannot be used (${code}); ${way}`);
  const owner = listenerOn(address, port);
  const by = owner === undefined ? '' : ` by ${owner.name}, pid ${owner.pid}`;
  throw new Error(`port ${port} on ${address} is taken${by}; end that, or ${way}`);
}

/** Strictly: what cannot be read is not taken for a stack that was never up. */
function parseKept(file: string, text: string): Kept {
  const { folder, address, port, dbPort, since } = fieldsOf(text);
  const isPort = (is: unknown): is is number => Number.isInteger(is) && Number(is) > 0 && Number(is) <= 65_535;
  const isTime = (is: unknown): is is string | null => is === null || typeof is === 'string';
  if (typeof folder === 'string' && typeof address === 'string' && isPort(port) && isPort(dbPort) && isTime(since)) {
    return { folder, address, port, dbPort, since };
  }
  throw new Error(`${file} cannot be read: ${JSON.stringify(text.slice(0, 120))}; make halt stops all and removes it`);
}

function fieldsOf(text: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(text)) as Record<string, unknown>;
  } catch {
    return {};
  }
}

function placeOf(kept: Kept | undefined): Place | undefined {
  return kept && { address: kept.address, port: kept.port, dbPort: kept.dbPort };
}

function given({ address, port, dbPort }: Context['settings']): Partial<Place> {
  return { ...address && { address }, ...port && { port }, ...dbPort && { dbPort } };
}
