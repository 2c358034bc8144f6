// One JSON line an event on stdout. A reader that stalls costs lines, never memory and never the event loop.
import type { LogLevel } from '../config.ts';

export type Fields = Record<string, string | number | boolean | undefined>;
export type Log = {
  debug(event: string, fields?: Fields): void;
  info(event: string, fields?: Fields): void;
  warn(event: string, fields?: Fields): void;
  error(event: string, fields?: Fields): void;
  dropped(): number;
  /** The reader is gone: what was written last did not arrive. */
  lost(): void;
  /** Resolves when what was written has left, or after withinMs. */
  flush(withinMs: number): Promise<void>;
};
/** What of a writable stream is needed; a pipe takes writes without blocking and says how much it still holds. */
export type Sink = { write(text: string): boolean; readonly writableLength: number };

const levels: LogLevel[] = ['debug', 'info', 'warn', 'error'];

/** Lines of one turn of the event loop leave in one write: a write to a pipe costs more than making the line. */
export function openLog(sink: Sink, level: LogLevel, maxBufferedBytes: number): Log {
  const least = levels.indexOf(level);
  let lines = '';
  let dropped = 0;
  let untold = 0;
  function send(): void {
    if (lines !== '') sink.write(lines);
    lines = '';
  }
  function write(at: LogLevel, event: string, fields: Fields = {}): void {
    if (levels.indexOf(at) < least) return;
    if (sink.writableLength + lines.length > maxBufferedBytes) {
      dropped += 1;
      untold += 1;
      return;
    }
    if (lines === '') setImmediate(send);
    if (untold > 0) lines += line('warn', 'log_lines_dropped', { count: untold });
    untold = 0;
    lines += line(at, event, fields);
  }
  return {
    debug: (event, fields) => write('debug', event, fields),
    info: (event, fields) => write('info', event, fields),
    warn: (event, fields) => write('warn', event, fields),
    error: (event, fields) => write('error', event, fields),
    dropped: () => dropped,
    lost: () => {
      dropped += 1;
    },
    flush: async withinMs => {
      send();
      const endMs = performance.now() + withinMs;
      while (sink.writableLength > 0 && performance.now() < endMs) await new Promise(resolve => setTimeout(resolve, 5));
    },
  };
}

function line(level: LogLevel, event: string, fields: Fields): string {
  return `${JSON.stringify({ time: new Date().toISOString(), level, event, ...fields })}\n`;
}
