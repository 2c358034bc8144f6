// Looks again until it holds; throws with the last thing seen.
import { setTimeout as pause } from 'node:timers/promises';

type Look<T> = () => Promise<T> | T;

export async function until<T>(look: Look<T>, holds: (seen: T) => boolean, deadlineMs = 15_000): Promise<T> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const seen = await look();
    if (holds(seen)) return seen;
    if (performance.now() > end) throw new Error(`not within ${deadlineMs} ms; last seen ${JSON.stringify(seen)}`);
    await pause(10);
  }
}
