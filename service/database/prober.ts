// Whether the database can be used right now: asked on a connection of its own, which no slow order can starve.
import { LaneError, openLane } from './lane.ts';
import type { Lane, LaneOptions } from './lane.ts';
import type { Run } from './schema.ts';
import { parseCode } from './errors.ts';
import type { Reason } from './errors.ts';

/** since: when it became so. reason only when not up. */
export type Probe = { up: boolean; reason?: Reason; latencyMs: number; since: string };

export type Prober = {
  /** Never throws; answers within the budget and a few ms. Callers at the same time share one answer. */
  probe(budgetMs: number): Promise<Probe>;
  /** Connections died elsewhere: the next probe makes a new one, or it would not see that none can be made. */
  suspect(): void;
  stats(): { open: number; opened: number };
  close(): void;
};

export type ProberParts = {
  lane: LaneOptions;
  /** Throws when the database that answers is of no use. */
  look(run: Run): Promise<void>;
  onDeath(): void;
  /** Once per change of state or of its cause; code is empty for up. */
  onChange(reason: Reason | null, code: string): void;
};

/** Opens nothing before the first probe. */
export function openProber(parts: ProberParts): Prober {
  let lane: Lane | undefined;
  let suspected = false;
  let opened = 0;
  let running: Promise<Probe> | undefined;
  let closed = false;
  let state = { code: 'NEVER', since: '' };

  function settle(code: string) {
    if (code === state.code || closed) return;
    if (code === '' || state.code === '' || state.code === 'NEVER') state = { code, since: new Date().toISOString() };
    else state = { code, since: state.since };
    parts.onChange(code === '' ? null : reasonOf(code), code);
  }
  function renew(budgetMs: number): Lane {
    if (suspected) lane?.end();
    suspected = false;
    if (lane?.alive()) return lane;
    opened += 1;
    const connectTimeoutMs = Math.min(parts.lane.connectTimeoutMs, budgetMs);
    // A server that lives must answer before we give up, or its connection is thrown away for being slow.
    const statementTimeoutMs = Math.ceil(budgetMs * 0.8);
    const lockTimeoutMs = Math.ceil(budgetMs * 0.6);
    lane = openLane({ ...parts.lane, connectTimeoutMs, statementTimeoutMs, lockTimeoutMs }, parts.onDeath);
    return lane;
  }
  async function look(budgetMs: number, deadlineMs: number): Promise<string> {
    if (closed) return 'CLOSING';
    let wasProven = false;
    try {
      const current = renew(budgetMs);
      wasProven = current.proven();
      await parts.look(statement => current.run(statement, deadlineMs - performance.now()));
      return '';
    } catch (error) {
      if (!(error instanceof LaneError)) return 'NO_CODE';
      // A connection that has stood unused may be dead without anybody having noticed: that is no verdict yet.
      const stale = wasProven && parseCode(error.code).reason === 'connection_lost';
      return stale ? look(budgetMs, deadlineMs) : error.code;
    }
  }
  async function measure(budgetMs: number): Promise<Probe> {
    const startedMs = performance.now();
    const code = await look(budgetMs, startedMs + budgetMs);
    settle(code);
    const latencyMs = Math.round((performance.now() - startedMs) * 10) / 10;
    return { up: code === '', ...(code === '' ? {} : { reason: reasonOf(code) }), latencyMs, since: state.since };
  }
  return {
    probe: budgetMs => running ??= measure(budgetMs).finally(() => { running = undefined; }),
    suspect() { suspected = true; },
    stats: () => ({ open: lane?.alive() ? 1 : 0, opened }),
    close() {
      closed = true;
      lane?.end();
    },
  };
}

// What an order can die of is more than what readiness tells its readers.
function reasonOf(code: string): Reason {
  const { reason } = parseCode(code);
  if (reason === 'statement_timeout' || reason === 'lock_timeout') return 'timeout';
  return reason === 'overloaded' || reason === 'disk_full' || reason === 'closing' ? 'unknown' : reason;
}
