// The lanes at hand: lent out one by one, taken back while they live, made anew as fast as the gate allows.
import { watchGate } from './gate.ts';
import { LaneError, openLane } from './lane.ts';
import type { Lane, LaneOptions } from './lane.ts';
import { isRefusal } from './errors.ts';

export type Lanes = {
  /** The one used last, or a new one. Throws LaneError while connecting has just been refused. */
  take(): Lane;
  giveBack(lane: Lane): void;
  /** Somebody reached the database: connecting is worth a try. */
  proven(): void;
  stats(): { open: number; idle: number; opened: number; discarded: number };
  close(): void;
};

const IDLE_MS = 30_000;
const LIFE_MS = 30 * 60_000;
const GATE_MS = 200;

type Times = { bornMs: number; idleSinceMs: number };

/** Opens nothing. onDeath tells of every lane that died. */
export function openLanes(options: LaneOptions, onDeath: () => void, clockMs = () => performance.now()): Lanes {
  const gate = watchGate(GATE_MS, clockMs);
  const lanes = new Map<Lane, Times>();
  let idle: Lane[] = [];
  let opened = 0;
  let discarded = 0;

  function forget(lane: Lane) {
    lanes.delete(lane);
    idle = idle.filter(other => other !== lane);
  }
  function bury(lane: Lane, code: string) {
    forget(lane);
    discarded += 1;
    if (!lane.proven()) judge(lane, code);
    // A peer that stays silent on one connection does so on the others.
    if (code === 'DEADLINE') for (const other of [...idle]) other.kill(code);
    onDeath();
  }
  function judge(lane: Lane, code: string) {
    if (isRefusal(code)) gate.refused(code);
    else if (lane.heard()) gate.lost();
    else gate.hungUp(code);
  }
  function expire() {
    const now = clockMs();
    for (const lane of idle) {
      const times = lanes.get(lane);
      if (times && now - times.idleSinceMs < IDLE_MS && now - times.bornMs < LIFE_MS) continue;
      forget(lane);
      lane.end();
    }
  }
  function make(): Lane {
    const refusal = gate.admit();
    if (refusal) throw new LaneError(refusal, false);
    const lane = openLane(options, bury);
    lanes.set(lane, { bornMs: clockMs(), idleSinceMs: clockMs() });
    opened += 1;
    return lane;
  }
  return {
    take() {
      expire();
      return idle.pop() ?? make();
    },
    giveBack(lane) {
      const times = lanes.get(lane);
      if (!times) return;
      times.idleSinceMs = clockMs();
      idle.push(lane);
    },
    proven: gate.proven,
    stats: () => ({ open: lanes.size, idle: idle.length, opened, discarded }),
    close() {
      for (const lane of [...lanes.keys()]) {
        if (idle.includes(lane)) lane.end();
        else lane.kill('CLOSING');
      }
      lanes.clear();
      idle = [];
    },
  };
}
