// What the supervisor says of a program: judged, in words for people, and as facts.
import type { ProgramFacts } from '../platform.ts';
import { familyOf, listeningOf } from './proc.ts';
import type { ProgramStatus, Status } from './supervision.ts';

const stopped: ProgramStatus = {
  state: 'stopped', stopping: false, pid: null, startedAt: null, restarts: 0, exit: null, tag: '',
};
/** So often a program may end before it is given up, and so long it is tried at least. */
const vain = { ends: 3, leastMs: 2_000 };
/** Its exit code when it refuses its configuration. */
export const REFUSED = 78;

/** Without a supervisor nothing runs. */
export function statusOf(status: Status | undefined, which: string): ProgramStatus {
  return status?.programs[which] ?? stopped;
}

/** Stopped as with SIGSTOP: it is there and does nothing. */
export function isFrozen({ pid }: ProgramStatus): boolean {
  return pid !== null && familyOf(pid).some(({ state }) => /[Tt]/.test(state));
}

/** A program that ends as often as it is started will not come up by waiting. */
export function isVain(before: ProgramStatus, now: ProgramStatus, triedMs: number): boolean {
  const ends = now.restarts - before.restarts + (now.state === 'waiting' ? 1 : 0);
  return ends >= vain.ends && triedMs >= vain.leastMs;
}

/** A node's line of the status; it `runs` when both of its programs do, and are awake. */
export function tellNode(
  name: string, { address, port, dbPort }: { address: string; port: number; dbPort: number }, isUp: boolean,
  seen: Status | undefined,
): { line: string; runs: boolean } {
  const [service, database] = [statusOf(seen, 'service'), statusOf(seen, 'database')];
  const isSound = isUp && [service, database].every(one => one.state === 'running' && !isFrozen(one));
  const broken = seen === undefined ? 'down (its supervisor is gone)' : 'degraded';
  // what an `up` that failed, or was killed, has left running is no halt
  const isStopping = seen?.ending === true || [service, database].some(({ stopping }) => stopping);
  const isHalted = !isUp && (isStopping || [service, database].every(({ state }) => state === 'stopped'));
  const line = [
    `${name}: ${isSound ? 'up' : isHalted ? 'halted' : broken}`,
    `service http://${address}:${port} ${describe(service)}`,
    `database ${address}:${dbPort} ${describe(database)}`,
  ].join(' · ');
  return { line, runs: isSound };
}

/** For a line of the status. */
function describe(status: ProgramStatus): string {
  const { state, pid, startedAt, restarts, exit } = status;
  if (state === 'running') {
    const often = restarts === 1 ? '1 time' : `${restarts} times`;
    return `${isFrozen(status) ? 'frozen' : 'running'} (pid ${pid}, since ${startedAt}, restarted ${often})`;
  }
  const last = exit === null ? '' : ` (${exit.code === REFUSED ? 'refused its configuration, ' : ''}${told(exit)})`;
  return state === 'waiting' ? `ended${last}, is started again in a moment` : `stopped${last}`;
}

/** How it has ended. */
export function told(exit: ProgramStatus['exit']): string {
  return exit?.signal ?? `exit ${exit?.code}`;
}

export function factsOf({ state, pid, startedAt, restarts }: ProgramStatus): ProgramFacts {
  return {
    pid, state: state === 'waiting' ? 'restarting' : state, restart_count: restarts, started_at: startedAt,
    listening: pid === null ? null : listeningOf(pid),
  };
}
