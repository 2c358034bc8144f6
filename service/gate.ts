// Damps connection attempts: after refusals in a row, one attempt per interval until one succeeds.
export type Gate = {
  /** Null: connect. Otherwise the code with which the last attempt failed. */
  admit(): string | null;
  /** A new connection came to nothing. told: the peer said why, rather than just hanging up. */
  refused(code: string, told: boolean): void;
  proven(): void;
};

const LIMIT = 4;

/** clockMs counts up steadily. */
export function watchGate(intervalMs: number, clockMs: () => number): Gate {
  let strikes = 0;
  let code = '';
  let closedUntil = 0;
  return {
    admit() {
      if (strikes < LIMIT) return null;
      if (clockMs() < closedUntil) return code;
      closedUntil = clockMs() + intervalMs;
      return null;
    },
    // Hanging up counts half: a storm of cuts takes new connections along, and must not become an outage.
    refused(newCode, told) {
      if (strikes < LIMIT) closedUntil = clockMs() + intervalMs;
      strikes = Math.min(LIMIT, strikes + (told ? 2 : 1));
      code = newCode;
    },
    proven() { strikes = 0; },
  };
}
