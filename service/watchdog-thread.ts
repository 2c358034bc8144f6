// The thread of the watchdog: ends a process whose event loop has not turned for so long, with a last line in the log.
import { writeSync } from 'node:fs';
import { Session } from 'node:inspector';
import { workerData } from 'node:worker_threads';
import { line } from './telemetry/log.ts';
import type { Watched } from './watchdog.ts';

const { beats, hungMs, everyMs } = workerData as Watched;
let [seen, stillMs] = [0, 0];

for (;;) {
  // What counts is how often we looked, not the clock: after SIGSTOP or a suspended machine no loop is to blame.
  Atomics.wait(beats, 1, 0, everyMs);
  const now = Atomics.load(beats, 0);
  stillMs = now === seen ? stillMs + everyMs : 0;
  seen = now;
  // One look more than fits: the loop may have turned until just before the beat that did not come.
  if (stillMs <= hungMs) continue;
  endProcess();
  stillMs = 0;
}

function endProcess(): void {
  try {
    writeSync(1, line(new Date().toISOString(), 'error', 'event_loop_hung', { ms: hungMs }));
  } catch {
    // Whoever reads the log is stuck, or gone.
  }
  process.kill(process.pid, 'SIGKILL');
  // The first process of a container cannot be killed from inside: its own thread is interrupted and made to leave.
  const main = new Session();
  main.connectToMainThread();
  main.post('Runtime.evaluate', { expression: 'process.exit(1)' });
}
