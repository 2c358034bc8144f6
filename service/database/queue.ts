// Who may use the database now, who waits for how long, and who is sent away at once.
import { LaneError } from './lane.ts';

export type QueueOptions = { poolSize: number; queueSize: number; waitTimeoutMs: number };

export type Queue = {
  /** Throws QUEUE_FULL at once, QUEUE_TIMEOUT after the wait, CLOSING once closed. Each enter is followed by one leave. */
  enter(): Promise<void>;
  leave(): void;
  stats(): { busy: number; waiting: number; shed: number; waitMsTotal: number };
  /** Sends the waiting away; returns when all have left, or after the grace. */
  close(graceMs: number): Promise<void>;
};

type Waiter = { sinceMs: number; timer: NodeJS.Timeout; go(refusal?: string): void };

export function openQueue(options: QueueOptions): Queue {
  const waiters = new Set<Waiter>();
  let busy = 0;
  let shed = 0;
  let waitMsTotal = 0;
  let closing = false;
  let emptied = () => {};

  function refuse(code: string): LaneError {
    if (code !== 'CLOSING') shed += 1;
    return new LaneError(code, false);
  }
  function wait(): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        sinceMs: performance.now(),
        timer: setTimeout(() => waiter.go('QUEUE_TIMEOUT'), options.waitTimeoutMs),
        go(refusal) {
          clearTimeout(waiter.timer);
          waiters.delete(waiter);
          waitMsTotal += performance.now() - waiter.sinceMs;
          if (refusal) reject(refuse(refusal));
          else resolve();
        },
      };
      waiters.add(waiter);
    });
  }
  return {
    async enter() {
      if (closing) throw refuse('CLOSING');
      if (busy < options.poolSize) busy += 1;
      else if (waiters.size < options.queueSize) await wait();
      else throw refuse('QUEUE_FULL');
    },
    leave() {
      const [next] = waiters;
      // The permit is handed on, so that nobody who comes later can take it.
      if (next) return next.go();
      busy -= 1;
      if (busy === 0) emptied();
    },
    stats: () => ({ busy, waiting: waiters.size, shed, waitMsTotal: Math.round(waitMsTotal) }),
    async close(graceMs) {
      closing = true;
      for (const waiter of [...waiters]) waiter.go('CLOSING');
      if (busy === 0) return;
      const left = new Promise<void>(resolve => { emptied = resolve; });
      let timer: NodeJS.Timeout | undefined;
      const grace = new Promise<void>(resolve => { timer = setTimeout(resolve, graceMs); });
      await Promise.race([left, grace]);
      clearTimeout(timer);
    },
  };
}
