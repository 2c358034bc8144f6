// Who may use the database, for how long, and over which lane.
import { LaneError } from './lane.ts';
import type { Lane, LaneOptions, Statement } from './lane.ts';
import { openLanes } from './lanes.ts';
import { openQueue } from './queue.ts';

export type PoolOptions = LaneOptions & { poolSize: number; queueSize: number; waitTimeoutMs: number; queryTimeoutMs: number };

export type StoreStats = {
  open: number; busy: number; idle: number; waiting: number; opened: number; discarded: number; shed: number; waitMsTotal: number; max: number;
};

/** What a holder of a permit may do, until its time is up. run takes another lane when the last one died. */
export type Turn = {
  run<Row extends object>(statement: Statement<Row>): Promise<Row[]>;
  /** Throws the lane away that ran the last statement. */
  discard(code: string): void;
};

export type Pool = {
  /** Throws LaneError before work begins when there is no permit, and after that whatever work throws. */
  use<T>(work: (turn: Turn) => Promise<T>): Promise<T>;
  /** Somebody else reached the database: connecting is worth a try. */
  proven(): void;
  stats(): StoreStats;
  close(graceMs: number): Promise<void>;
};

const LEAST_MS = 50;

/** Opens nothing. onDeath tells of every lane that died. */
export function openPool(options: PoolOptions, onDeath: () => void): Pool {
  const queue = openQueue(options);
  const lanes = openLanes(options, onDeath);

  async function use<T>(work: (turn: Turn) => Promise<T>): Promise<T> {
    await queue.enter();
    const deadlineMs = performance.now() + options.queryTimeoutMs;
    let lane: Lane | undefined;
    const run: Turn['run'] = async statement => {
      const leftMs = deadlineMs - performance.now();
      // A deadline that strikes at once would end a healthy connection.
      if (leftMs < LEAST_MS) throw new LaneError('DEADLINE', false);
      if (!lane?.alive()) lane = lanes.take();
      const current = lane;
      return current.run(statement, leftMs).finally(() => { if (current.proven()) lanes.proven(); });
    };
    try {
      return await work({ run, discard: code => lane?.kill(code) });
    } finally {
      if (lane) lanes.giveBack(lane);
      queue.leave();
    }
  }
  return {
    use,
    proven: lanes.proven,
    stats: () => ({ ...queue.stats(), ...lanes.stats(), max: options.poolSize }),
    async close(graceMs) {
      await queue.close(graceMs);
      lanes.close();
    },
  };
}
