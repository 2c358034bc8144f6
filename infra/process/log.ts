// The log files of programs: how long they grow, and their last lines.
import { closeSync, fstatSync, openSync, readFileSync, readSync, renameSync, statSync } from 'node:fs';

/** Above it a log is moved aside when its program is started. */
const LARGE_BYTES = 10 * 1024 * 1024;
const PART_BYTES = 64 * 1024;

/** How long a log is; 0 when there is none. */
export function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

export function rotate(file: string): void {
  if (sizeOf(file) >= LARGE_BYTES) renameSync(file, `${file}.1`);
}

/** The last lines of a file from a byte on, read from its end; none when there is no file. */
export function lastLines(file: string, count: number, from = 0): string[] {
  if (sizeOf(file) <= from) return [];
  const fd = openSync(file, 'r');
  try {
    let begin = fstatSync(fd).size;
    let text = Buffer.alloc(0);
    while (begin > from && lines(text).length <= count) {
      const part = Buffer.alloc(Math.min(PART_BYTES, begin - from));
      begin -= part.length;
      text = Buffer.concat([part.subarray(0, readSync(fd, part, 0, part.length, begin)), text]);
    }
    return lines(text).slice(-count);
  } finally {
    closeSync(fd);
  }
}

function lines(text: Buffer): string[] {
  const all = text.toString('utf8').split('\n');
  return all.at(-1) === '' ? all.slice(0, -1) : all;
}

/** Whether a text stands anywhere in a file, which need not exist. */
export function holds(file: string, text: string): boolean {
  return sizeOf(file) > 0 && readFileSync(file).includes(text);
}
