// Follows logs on any platform by asking for their ends again and again: what is new is written, in order.
import { setTimeout as pause } from 'node:timers/promises';
import type { Control } from './control.ts';
import type { Outcome } from './platform.ts';

/** How much of each log is asked for; a program that writes more than this between two looks has lines left out. */
const AT_ONCE = 2_000;
const PAUSE_MS = 500;

/** Until `write` gives false (nobody reads any more), or the logs cannot be had, as when all was halted. */
export async function followLogs(
  control: Pick<Control, 'logs' | 'settings'>, write: (line: string) => boolean, names: readonly string[],
): Promise<Outcome> {
  const before = new Map<string, string[]>();
  for (;;) {
    const now = new Map<string, string[]>();
    const outcome = await control.logs(line => {
      const from = sourceOf(line);
      now.set(from, [...now.get(from) ?? [], line]);
    }, names, AT_ONCE);
    if (!('done' in outcome)) return outcome;
    for (const [source, lines] of now) {
      const seen = before.get(source);
      const fresh = seen === undefined ? lines.slice(-control.settings.lines) : newLines(seen, lines);
      for (const line of fresh) if (!write(line)) return { done: undefined };
      before.set(source, lines);
    }
    await pause(PAUSE_MS);
  }
}

/** What of a log's end came since it was looked at before: all that follows the longest piece they have in common. */
export function newLines(before: readonly string[], now: readonly string[]): string[] {
  for (let common = Math.min(before.length, now.length); common > 0; common -= 1) {
    const begin = before.length - common;
    if (now.slice(0, common).every((line, i) => line === before[begin + i])) return now.slice(common);
  }
  return [...now];
}

/** `control api` of `control api | {"time":…}`: each log is followed by itself. */
function sourceOf(line: string): string {
  return line.split(' | ')[0] ?? '';
}
