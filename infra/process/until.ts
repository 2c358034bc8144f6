// Looks again until something is there, or the time is over.
import { setTimeout as pause } from 'node:timers/promises';

/** What `look` gives as soon as it gives something; undefined when it has not within the deadline. */
export async function until<T>(look: () => Promise<T | undefined> | T | undefined, deadlineMs: number) {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const seen = await look();
    if (seen !== undefined || performance.now() > end) return seen;
    await pause(20);
  }
}
