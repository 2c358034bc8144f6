// Makes the connections that carry orders and look-ups: as fast as a backoff allows, and none beside a silent peer.
import { Connection, ConnectionError } from './connection.ts';
import type { ConnectionOptions } from './connection.ts';
import { isRefusal } from './errors.ts';

export type Dialer = {
  /** Opens with its first statement. Throws ConnectionError while connecting has just been refused. */
  dial(): Connection;
  /** Somebody reached the database: connecting is worth a try. */
  proven(): void;
  stats(): { opened: number; discarded: number };
  close(): void;
};

const PAUSE_MS = 200;

/** Opens nothing. onDeath hears of every connection that died. */
export function openDialer(options: ConnectionOptions, onDeath: () => void): Dialer {
  const backoff = watchBackoff(PAUSE_MS, () => performance.now());
  const living = new Set<Connection>();
  let opened = 0;
  let discarded = 0;

  function judge(connection: Connection, code: string): void {
    if (isRefusal(code)) backoff.refused(code);
    else if (connection.heard) backoff.lost();
    else backoff.hungUp(code);
  }
  function bury(connection: Connection, code: string): void {
    living.delete(connection);
    discarded += 1;
    if (!connection.proven) judge(connection, code);
    // A peer that stays silent on one connection does so on the others.
    if (code === 'DEADLINE') for (const other of [...living]) if (!other.busy) other.kill(code);
    onDeath();
  }
  return {
    dial() {
      const refusal = backoff.admit();
      if (refusal !== null) throw new ConnectionError(refusal, false);
      const connection = new Connection(options, bury);
      for (const other of living) if (!other.alive) living.delete(other);
      living.add(connection);
      opened += 1;
      return connection;
    },
    proven: backoff.proven,
    stats: () => ({ opened, discarded }),
    close() {
      for (const connection of [...living]) {
        if (connection.busy) connection.kill('CLOSING');
        else connection.end();
      }
      living.clear();
    },
  };
}

export type Backoff = {
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

/** After refusals in a row: one attempt per interval until one succeeds. clockMs counts up steadily. */
export function watchBackoff(intervalMs: number, clockMs: () => number): Backoff {
  let refusals = 0;
  let hangUps = 0;
  let code = '';
  let closedUntilMs = 0;
  const close = (newCode: string): void => {
    if (closedUntilMs <= clockMs()) closedUntilMs = clockMs() + intervalMs;
    code = newCode;
  };
  return {
    admit() {
      if (refusals < REFUSALS && hangUps < HANG_UPS) return null;
      if (clockMs() < closedUntilMs) return code;
      closedUntilMs = clockMs() + intervalMs;
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
    lost() {
      hangUps = 0;
    },
    proven() {
      refusals = 0;
      hangUps = 0;
    },
  };
}
