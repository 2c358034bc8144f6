// What people see of a run: stdout, which may fail, and on a terminal one line of what is looked at now.

type Env = Readonly<Record<string, string | undefined>>;
export type Output = {
  write: (text: string) => void;
  /** Resolves when all is on its way; gives why it is not. A reader that has read enough (`| head`) is no trouble. */
  flush: () => Promise<string | undefined>;
};
/** What a terminal has to be for a line that is written over and over. */
export type Screen = { isTTY?: boolean; columns?: number; write: (text: string) => unknown };
export type Progress = { show: (what: string) => void; hide: () => void; close: () => void };

/** stdout of this process. What is under way is finished whoever reads it; half a report is no good one. */
export function openOutput(): Output {
  let gone = false;
  let trouble: string | undefined;
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    gone = true;
    if (error.code !== 'EPIPE') trouble ??= `stdout cannot be written: ${error.message}`;
  });
  process.stderr.on('error', () => undefined);
  return {
    write: text => { if (!gone) process.stdout.write(text); },
    flush: () => new Promise(resolve => {
      // one turn later, so that an error of this last write has been heard as well
      process.stdout.write('', () => setImmediate(() => resolve(trouble)));
    }),
  };
}

/** Writes text for people on stdout and gives the exit code: 0, or 2 where it could not be written. */
export async function printText(text: string): Promise<number> {
  const output = openOutput();
  output.write(`${text}\n`);
  const trouble = await output.flush();
  if (trouble === undefined) return 0;
  process.stderr.write(`${trouble}\n`);
  return 2;
}

/** One line, with how long it has been shown; nothing where there is no terminal, or one that cannot erase a line. */
export function openProgress(screen: Screen, { TERM }: Env): Progress {
  if (screen.isTTY !== true || TERM === undefined || TERM === 'dumb') {
    return { show: () => undefined, hide: () => undefined, close: () => undefined };
  }
  let shown: { what: string; since: number } | undefined;
  let visible = false;
  const draw = () => {
    if (shown === undefined) return;
    const seconds = Math.round((performance.now() - shown.since) / 1000);
    const line = `${shown.what} · ${seconds} s`;
    const width = (screen.columns || 80) - 1;
    const fits = line.length <= width ? line : `${line.slice(0, width - 8)}… · ${seconds} s`.slice(0, width);
    screen.write(`\r\u001b[2K${fits}`);
    visible = true;
  };
  const hide = () => {
    if (visible) screen.write('\r\u001b[2K');
    visible = false;
  };
  const timer = setInterval(draw, 1_000).unref();
  return {
    show: what => {
      shown = { what, since: performance.now() };
      draw();
    },
    hide,
    close: () => {
      clearInterval(timer);
      hide();
    },
  };
}
