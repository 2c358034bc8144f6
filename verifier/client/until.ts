// Looks again until what is seen is good. The only way in which this folder waits for something.
import { setTimeout as pause } from 'node:timers/promises';

/** Thrown by `until`: what was seen last, after how long. */
export class Late<T> extends Error {
  readonly last: T | undefined;
  readonly ms: number;
  constructor(last: T | undefined, ms: number) {
    super(`not within ${ms} ms; last seen: ${show(last)}`);
    this.last = last;
    this.ms = ms;
  }
}

/** Returns the first good sight, or throws `Late`. A look that itself does not settle in time is late as well. */
export async function until<T>(
  look: () => Promise<T>, good: (seen: T) => boolean, deadlineMs: number, everyMs = 100,
): Promise<T> {
  const began = performance.now();
  const left = () => deadlineMs - (performance.now() - began);
  let last: T | undefined;
  while (left() > 0) {
    const seen = await within(look(), left());
    if (!seen) break;
    last = seen.value;
    if (good(seen.value)) return seen.value;
    await pause(Math.max(0, Math.min(everyMs, left())));
  }
  throw new Late(last, Math.round(performance.now() - began));
}

async function within<T>(look: Promise<T>, ms: number): Promise<{ value: T } | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>(resolve => { timer = setTimeout(resolve, ms, undefined); });
  try {
    return await Promise.race([look.then(value => ({ value })), late]);
  } finally {
    clearTimeout(timer);
  }
}

function show(seen: unknown): string {
  return seen === undefined ? 'nothing' : typeof seen === 'string' ? seen : JSON.stringify(seen).slice(0, 300);
}
