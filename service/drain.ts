// Leaving in order: readiness first, then the door, then what is in flight, then the database. Returns the exit code.
import type { Log } from './telemetry/log.ts';
import type { Layer } from './http/server.ts';
import type { Store } from './database/store.ts';

export type Drainable = {
  layer: Pick<Layer, 'sayClose' | 'finish' | 'closeAll' | 'stats'>;
  store: Pick<Store, 'close'>;
  log: Pick<Log, 'info' | 'error'>;
  /** readiness says 503 from here on */
  announce: () => void;
};

/** Readers of readiness get graceMs to go elsewhere; everything together gets deadlineMs, then it is cut off with 1. */
export async function drain(parts: Drainable, { graceMs, deadlineMs }: { graceMs: number; deadlineMs: number }): Promise<number> {
  const startedMs = performance.now();
  parts.announce();
  parts.layer.sayClose();
  parts.log.info('draining', { grace_ms: graceMs, deadline_ms: deadlineMs, in_flight: parts.layer.stats().inFlight });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>(resolve => { timer = setTimeout(() => resolve('late'), deadlineMs); });
  const end = await Promise.race([leave(parts, graceMs), late]);
  clearTimeout(timer);
  const ms = Math.round(performance.now() - startedMs);
  if (end === 'left') parts.log.info('drained', { ms });
  else parts.log.error('drain_deadline', { ms, in_flight: parts.layer.stats().inFlight });
  parts.layer.closeAll();
  return end === 'left' ? 0 : 1;
}

async function leave({ layer, store }: Drainable, graceMs: number): Promise<'left'> {
  await new Promise(resolve => setTimeout(resolve, graceMs));
  await layer.finish();
  await store.close(2000);
  return 'left';
}
