// Sees to it that a hung event loop ends the process: the loop beats, and a thread of its own looks for the beats.
import { Worker } from 'node:worker_threads';

/** What the thread gets. Of `beats` the first counts up with the loop, the second never changes and is waited on. */
export type Watched = { beats: Int32Array; hungMs: number; everyMs: number };

const looks = 10;

/** Keeps no process alive. A thread that cannot be started, or fails, ends the process as any error does. */
export function openWatchdog(hungMs: number): void {
  const everyMs = hungMs / looks;
  const beats = new Int32Array(new SharedArrayBuffer(8));
  setInterval(() => Atomics.add(beats, 0, 1), everyMs).unref();
  const workerData: Watched = { beats, hungMs, everyMs };
  // Without our environment, which may hold the password, and without our flags: what `--import` names would run twice.
  new Worker(new URL('./watchdog-thread.js', import.meta.url), { workerData, env: {}, execArgv: [] }).unref();
}
