// What /ready may say without asking anew: one question at a time, answers of bounded age, none after the deadline.
import type { Probe, Store } from './store.ts';

export type Readiness = {
  /** Never throws, and answers within timeoutMs and a few ms. */
  check(): Promise<Probe>;
  /** The last answer, however old. */
  last(): Probe | null;
};

/** An answer "up" is forgotten as soon as a connection dies, any other after maxAgeMs. */
export function watchReadiness(store: Pick<Store, 'probe' | 'onDoubt'>, options: { timeoutMs: number; maxAgeMs: number }): Readiness {
  let last: Probe | null = null;
  let askedMs = -Infinity;
  let doubted = false;
  let running: Promise<Probe> | undefined;
  store.onDoubt(() => { doubted = true; });

  async function ask(): Promise<Probe> {
    doubted = false;
    const probe = await within(store, options.timeoutMs, last);
    askedMs = performance.now();
    last = probe;
    return probe;
  }
  return {
    async check() {
      const fresh = performance.now() - askedMs < options.maxAgeMs;
      if (last && fresh && !(last.up && doubted)) return last;
      running ??= ask().finally(() => { running = undefined; });
      return running;
    },
    last: () => last,
  };
}

// The store keeps the deadline by itself; a store that did not would make readiness silent in the very moment it matters.
async function within(store: Pick<Store, 'probe'>, timeoutMs: number, last: Probe | null): Promise<Probe> {
  const since = last && !last.up ? last.since : new Date().toISOString();
    let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Probe>(resolve => { timer = setTimeout(() => resolve({ up: false, reason: 'timeout', latencyMs: timeoutMs, since }), timeoutMs + 20); });
  try {
    return await Promise.race([store.probe(timeoutMs), late]);
  } finally {
    clearTimeout(timer);
  }
}
