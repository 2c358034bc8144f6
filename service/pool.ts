// The lanes to the database: how many, who waits, who is turned away, and when to try connecting again.
import { watchGate } from './gate.ts';
import { LaneError, openLane } from './lane.ts';
import type { Lane, LaneOptions, Statement } from './lane.ts';
import { openQueue } from './queue.ts';
import { isRefusal } from './sqlstate.ts';

export type PoolOptions = LaneOptions & { poolSize: number; queueSize: number; waitTimeoutMs: number; queryTimeoutMs: number };

export type StoreStats = {
  open: number; busy: number; idle: number; waiting: number; opened: number; discarded: number; shed: number; waitMsTotal: number; max: number;
};

/** What a holder of a permit may do, until its time is up. run takes another lane when the last one died. */
export type Turn = {
  run<Row extends object>(statement: Statement<Row>): Promise<Row[]>;
  leftMs(): number;
  discard(code: string): void;
};

export type Pool = {
  use<T>(work: (turn: Turn) => Promise<T>): Promise<T>;
  /** Somebody else reached the database: connecting is worth a try. */
  proven(): void;
  stats(): StoreStats;
  close(graceMs: number): Promise<void>;
};

const IDLE_MS = 30_000;
const LIFE_MS = 30 * 60_000;
const GATE_MS = 200;
const LEAST_MS = 50;

type Held = { lane: Lane; bornMs: number; idleSinceMs: number };

/** Opens nothing. onDeath tells of every lane that died. */
export function openPool(options: PoolOptions, onDeath: () => void): Pool {
  const queue = openQueue(options);
  const gate = watchGate(GATE_MS, () => performance.now());
  const lanes = new Set<Held>();
  let idle: Held[] = [];
  let opened = 0;
  let discarded = 0;

  function bury(held: Held, code: string) {
    lanes.delete(held);
    idle = idle.filter(other => other !== held);
    discarded += 1;
    if (!held.lane.proven()) judge(held.lane, code);
    // A peer that stays silent on one connection does so on the others.
    if (code === 'DEADLINE') for (const other of idle) other.lane.kill(code);
    onDeath();
  }
  function judge(lane: Lane, code: string) {
    if (isRefusal(code)) gate.refused(code);
    else if (lane.heard()) gate.lost();
    else gate.hungUp(code);
  }
  function expire() {
    const now = performance.now();
    const old = idle.filter(held => now - held.idleSinceMs > IDLE_MS || now - held.bornMs > LIFE_MS);
    for (const held of old) {
      lanes.delete(held);
      held.lane.end();
    }
    idle = idle.filter(held => !old.includes(held));
  }
  function take(): Held {
    expire();
    const warm = idle.pop();
    if (warm) return warm;
    const refusal = gate.admit();
    if (refusal) throw new LaneError(refusal, false);
    const now = performance.now();
    const held: Held = { lane: openLane(options, (_, code) => bury(held, code)), bornMs: now, idleSinceMs: now };
    lanes.add(held);
    opened += 1;
    return held;
  }
  function giveBack(held: Held | undefined) {
    if (!held?.lane.alive()) return;
    held.idleSinceMs = performance.now();
    idle.push(held);
  }

  return {
    async use(work) {
      await queue.enter();
      const deadlineMs = performance.now() + options.queryTimeoutMs;
      let held: Held | undefined;
      const turn: Turn = {
        async run(statement) {
          // A deadline that strikes at once would end a healthy connection.
          if (turn.leftMs() < LEAST_MS) throw new LaneError('DEADLINE', false);
          if (!held?.lane.alive()) held = take();
          try {
            return await held.lane.run(statement, turn.leftMs());
          } finally {
            if (held.lane.proven()) gate.proven();
          }
        },
        leftMs: () => deadlineMs - performance.now(),
        discard: code => held?.lane.kill(code),
      };
      try {
        return await work(turn);
      } finally {
        giveBack(held);
        queue.leave();
      }
    },
    proven: gate.proven,
    stats: () => ({ ...queue.stats(), open: lanes.size, idle: idle.length, opened, discarded, max: options.poolSize }),
    async close(graceMs) {
      await queue.close(graceMs);
      for (const held of lanes) {
        if (idle.includes(held)) held.lane.end();
        else held.lane.kill('CLOSING');
      }
      lanes.clear();
      idle = [];
    },
  };
}
