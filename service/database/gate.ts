// Damps connection attempts: after refusals in a row, one attempt per interval until one succeeds.
export type Gate = {
  /** Null: connect. Otherwise the code with which the last attempt failed. */
  admit(): string | null;
  /** A new connection was turned away, and said why. */
  refused(code: string): void;
  /** A new connection ended without a word from the peer. */
  hungUp(code: string): void;
  /** A new connection was lost on the way, but there was a server at its other end. */
  lost(): void;
  proven(): void;
};

const REFUSALS = 2;
// A storm of cuts takes new connections along, and must not be made an outage by us: hence many, and lost() forgives.
const HANG_UPS = 8;

/** clockMs counts up steadily. */
export function watchGate(intervalMs: number, clockMs: () => number): Gate {
  let refusals = 0;
  let hangUps = 0;
  let code = '';
  let closedUntil = 0;
  const isOpen = () => refusals < REFUSALS && hangUps < HANG_UPS;
  const close = (newCode: string) => {
    if (closedUntil <= clockMs()) closedUntil = clockMs() + intervalMs;
    code = newCode;
  };
  return {
    admit() {
      if (isOpen()) return null;
      if (clockMs() < closedUntil) return code;
      closedUntil = clockMs() + intervalMs;
      return null;
    },
    refused(newCode) {
      refusals += 1;
      close(newCode);
    },
    hungUp(newCode) {
      hangUps += 1;
      close(newCode);
    },
    lost() { hangUps = 0; },
    proven() {
      refusals = 0;
      hangUps = 0;
    },
  };
}
