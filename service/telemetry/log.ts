// One JSON line an event on stdout. A reader that stalls costs lines, never memory and never the event loop.
import type { LogLevel } from '../config.ts';

export type Fields = Record<string, string | number | boolean | undefined>;
export type Log = {
  debug(event: string, fields?: Fields): void;
  info(event: string, fields?: Fields): void;
  warn(event: string, fields?: Fields): void;
  error(event: string, fields?: Fields): void;
  dropped(): number;
  /** The reader is gone: the lines that were written last did not arrive. */
  lost(): void;
  /** Hands out at once what waits; resolves when all has left, or after withinMs. */
  flush(withinMs: number): Promise<void>;
};
/** What of a writable stream is needed; a pipe takes writes without blocking and says how much it still holds. */
export type Sink = { write(text: string): boolean; readonly writableLength: number };

const levels: LogLevel[] = ['debug', 'info', 'warn', 'error'];

/** Lines leave once a turn of the event loop, since each write to a pipe is a system call of its own. */
export function openLog(sink: Sink, level: LogLevel, maxBufferedBytes: number): Log {
  const least = levels.indexOf(level);
  const clock = openClock();
  let pending = '';
  let lines = 0;
  let dropped = 0;
  let untold = 0;
  function send(): void {
    if (pending === '') return;
    const text = pending;
    pending = '';
    sink.write(text);
  }
  function write(at: LogLevel, event: string, fields: Fields = {}): void {
    if (levels.indexOf(at) < least) return;
    if (sink.writableLength + pending.length > maxBufferedBytes) {
      dropped += 1;
      untold += 1;
      return;
    }
    if (pending === '') {
      lines = 0;
      setImmediate(send);
    }
    if (untold > 0) pending += line(clock(), 'warn', 'log_lines_dropped', { count: untold });
    untold = 0;
    pending += line(clock(), at, event, fields);
    lines += 1;
  }
  return {
    debug: (event, fields) => write('debug', event, fields),
    info: (event, fields) => write('info', event, fields),
    warn: (event, fields) => write('warn', event, fields),
    error: (event, fields) => write('error', event, fields),
    dropped: () => dropped,
    lost: () => { dropped += lines; },
    flush: async withinMs => {
      send();
      const endMs = performance.now() + withinMs;
      while (sink.writableLength > 0 && performance.now() < endMs) await new Promise(resolve => setTimeout(resolve, 5));
    },
  };
}

/** One line of the log, with its end. */
export function line(time: string, level: LogLevel, event: string, fields: Fields): string {
  const rest = JSON.stringify(fields).slice(1);
  return `{"time":"${time}","level":"${level}","event":"${event}"${rest === '}' ? '' : ','}${rest}\n`;
}

// Many lines share a millisecond, and writing it out costs as much as the rest of a line.
function openClock(): () => string {
  let [atMs, text] = [0, ''];
  return () => {
    const nowMs = Date.now();
    if (nowMs !== atMs) [atMs, text] = [nowMs, new Date(nowMs).toISOString()];
    return text;
  };
}
