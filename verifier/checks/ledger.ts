// What this host was promised: one line of JSON per accepted order, on disk before anything else happens.
import { mkdir, open, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { OwnTrouble } from './climb.ts';

/** qty as it was sent, created_at as it was answered. */
export type Promised = { order_id: string; symbol: string; side: string; qty: string; created_at: string };
/** `torn`: lines that a crash cut short, which nobody was promised. `unreadable`: any other line that is no promise. */
export type Ledger = { promised: Promised[]; torn: number; unreadable: number };

/** What is written behind a line that a crash tore, which ends it. */
const TORN = ' torn';

/** Everything promised so far, oldest first; no file is no promise. */
export async function readLedger(file: string): Promise<Ledger> {
  const lines = (await textOf(file)).split('\n');
  const last = lines.pop() ?? '';
  const told = lines.filter(line => line.trim() !== '');
  const whole = told.filter(line => !line.endsWith(TORN));
  const promised = whole.map(readLine).filter(line => line !== undefined);
  const torn = told.filter(line => line.endsWith(TORN) && line !== TORN).length + (last === '' ? 0 : 1);
  return { promised, torn, unreadable: whole.length - promised.length };
}

/** Appends one promise; returns when it is on disk, and throws when it cannot be written there. */
export async function appendLedger(file: string, promised: Promised): Promise<void> {
  try {
    await append(file, promised);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new OwnTrouble(`the promise of order ${promised.order_id} cannot be written to ${file}: ${why}`);
  }
}

async function append(file: string, promised: Promised): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const handle = await open(file, 'a+');
  try {
    // A line that a crash tore would swallow this one; so it is ended first. One write, so that two runs do not mix.
    const line = Buffer.from(`${await isTorn(handle) ? `${TORN}\n` : ''}${JSON.stringify(promised)}\n`);
    const { bytesWritten } = await handle.write(line);
    // on a disk that is nearly full a write takes what fits, and succeeds
    if (bytesWritten < line.length) throw new Error(`only ${bytesWritten} of ${line.length} bytes fit`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await syncFolder(dirname(file));
}

async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    const why = error instanceof Error ? error.message : String(error);
    throw new OwnTrouble(`the ledger ${file} cannot be read: ${why}`);
  }
}

function readLine(line: string): Promised | undefined {
  try {
    const read = JSON.parse(line) as Partial<Record<keyof Promised, unknown>> | null;
    const { order_id, symbol, side, qty, created_at } = read ?? {};
    const texts = [order_id, symbol, side, qty, created_at].every(value => typeof value === 'string' && value !== '');
    return texts ? { order_id, symbol, side, qty, created_at } as Promised : undefined;
  } catch {
    return undefined;
  }
}

async function isTorn(handle: Awaited<ReturnType<typeof open>>): Promise<boolean> {
  const { size } = await handle.stat();
  if (size === 0) return false;
  const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, size - 1);
  return buffer.toString() !== '\n';
}

// A new file's name is on disk only when its folder is.
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
