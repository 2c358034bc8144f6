// Where commands run: this machine, or a node over one SSH connection. A command is a list of words.

/** How a command ended. `code` is null after a signal, and when it was given up at its deadline (`late`). */
export type Run = { code: number | null; stdout: string; stderr: string; late: boolean };
export type RunOptions = {
  /** What the command reads; nothing when not given. */
  input?: string | Buffer | { file: string };
  /** Where stdout goes instead of `Run.stdout`, byte for byte. */
  into?: { file: string };
  /** Given up, with all that it started, after so many ms (already scaled). */
  deadlineMs?: number;
  /** Added to the environment that commands get on this host. */
  env?: Record<string, string>;
  cwd?: string;
  /** Hears each line of stdout and stderr as it comes. */
  onLine?: (line: string) => void;
};
export type Host = {
  /** For messages: `this machine`, or the name of a node. */
  readonly name: string;
  /**
   * Runs one command to its end. Throws `Unreachable` when the host does not answer; never for what the command does.
   */
  run: (argv: string[], options?: RunOptions) => Promise<Run>;
  /** Writes files whole or not at all (a new file beside it, then renamed), making folders as needed (0700). */
  write: (files: { path: string; text: string; mode?: number }[]) => Promise<void>;
  /** The text of a file, or undefined when there is none. */
  read: (path: string) => Promise<string | undefined>;
};

/** The host itself does not answer: the message says which and what to do. */
export class Unreachable extends Error {}
