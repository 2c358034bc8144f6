// A node as a host: commands over one OpenSSH connection, which every call, and every later command of ours, shares.
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Unreachable } from '../host.ts';
import type { Host, Run, RunOptions } from '../host.ts';

export type SshHost = Host & {
  /** The login user's home folder in the guest, absolute. Remembered beside the connection until it begins again. */
  home: () => Promise<string>;
  /** Ends the shared connection, if there is one; the next command begins another. */
  hangUp: () => Promise<void>;
};
export type SshOptions = {
  local: Host;
  node: string;
  /** Where `NODE.ssh` (OpenSSH's settings), `NODE.session` (the connection's socket) and `NODE.home` lie. */
  folder: string;
  scaled: (ms: number) => number;
  /** Writes NODE.ssh when it is not there; throws with the reason when nothing knows a way into the machine. */
  configure: () => Promise<void>;
};

/** How long a guest that has given a command up may take to say so. */
const REPORT_MS = 10_000;
const FILES_MS = 60_000;

/** Opens nothing yet: the connection begins with the first command, or is the one that an earlier command left. */
export function openSsh({ local, node, folder, scaled, configure }: SshOptions): SshHost {
  const session = join(folder, `${node}.session`);
  const homeFile = join(folder, `${node}.home`);
  const seconds = (ms: number) => Math.max(1, Math.ceil(scaled(ms) / 1000));
  // Run in the folder, with names relative to it: the path of a socket has room for about a hundred characters.
  // The SSH daemon of an emulated machine was seen silent for more than half a minute while its database was made.
  const options = [
    '-F', `${node}.ssh`, `ControlPath=${node}.session`, 'BatchMode=yes', `ConnectTimeout=${seconds(10_000)}`,
    'ServerAliveInterval=5', `ServerAliveCountMax=${seconds(3_000)}`,
  ].flatMap((word, i) => i < 2 ? [word] : ['-o', word]);
  const ssh = (words: string[], more: RunOptions = {}) => (
    local.run(['ssh', ...options, ...words], { ...more, cwd: folder })
  );
  const noAnswer = ({ stderr }: Run) => {
    const advice = 'make status tells whether its machine runs, make up starts it';
    return new Unreachable(`${node} does not answer over SSH; ${advice}${because(stderr)}`);
  };

  let connected: Promise<void> | undefined;
  const connect = () => connected ??= begin().catch((error: unknown) => {
    connected = undefined;
    throw error;
  });
  const begin = async () => {
    if (existsSync(session) && existsSync(homeFile) && (await control('check')).code === 0) return;
    await hangUp();
    if (!existsSync(join(folder, `${node}.ssh`))) await configure();
    // Apart from any command: the connection stays in the background, and some versions keep their first one's pipes.
    const sharing = ['-o', 'ControlMaster=auto', '-o', 'ControlPersist=600'];
    const begun = await ssh([...sharing, node, 'pwd'], { deadlineMs: scaled(60_000) });
    if (begun.code !== 0) throw noAnswer(begun);
    const home = begun.stdout.trimEnd();
    if (!/^\/[^\n]*$/.test(home)) throw new Error(`${node}: the home folder there should be a path, not "${home}"`);
    await local.write([{ path: homeFile, text: home }]);
  };
  const control = (what: 'check' | 'exit') => ssh(['-O', what, node], { deadlineMs: scaled(10_000) });
  const hangUp = async () => {
    connected = undefined;
    if (existsSync(session)) await control('exit');
    // what a crash left behind listens to nobody, and would be in the way of the next
    await rm(session, { force: true });
  };

  const run: Host['run'] = async (argv, { env, cwd, deadlineMs, ...streams } = {}) => {
    await connect();
    const began = performance.now();
    const line = commandLine(argv, { env, cwd, deadlineMs });
    const patience = deadlineMs === undefined ? {} : { deadlineMs: deadlineMs + scaled(REPORT_MS) };
    const ended = await ssh(['-o', 'ControlMaster=no', node, line], { ...streams, ...patience });
    if (ended.code === 255) {
      await hangUp();
      throw noAnswer(ended);
    }
    const isOver = deadlineMs !== undefined && performance.now() - began >= deadlineMs;
    return isOver && (ended.code === 124 || ended.code === 137) ? { ...ended, code: null, late: true } : ended;
  };
  return {
    name: node,
    run,
    write: async files => {
      const written = await run(['sh'], { input: writingScript(files), deadlineMs: scaled(FILES_MS) });
      succeeded(written, `${node}: writing failed`);
    },
    read: async path => {
      // a mark in front tells an empty file from none
      const script = 'if [ -e "$1" ]; then printf + && cat -- "$1"; fi';
      const seen = await run(['sh', '-c', script, 'sh', path], { deadlineMs: scaled(FILES_MS) });
      succeeded(seen, `${node}: ${path} cannot be read`);
      return seen.stdout === '' ? undefined : seen.stdout.slice(1);
    },
    home: async () => {
      if (!existsSync(homeFile)) await connect();
      return await local.read(homeFile) ?? '';
    },
    hangUp,
  };
}

type Where = { env?: RunOptions['env'] | undefined; cwd?: string | undefined; deadlineMs?: number | undefined };

/** The line that a login shell takes apart into exactly these words again. A deadline is kept where the command is. */
export function commandLine(argv: readonly string[], { env = {}, cwd, deadlineMs }: Where): string {
  const settings = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const words = [
    ...deadlineMs === undefined ? [] : ['timeout', '-k', '5', String(deadlineMs / 1000)],
    ...settings.length === 0 ? [] : ['env', ...settings],
    ...argv,
  ];
  return `${cwd === undefined ? '' : `cd ${quoted(cwd)} && `}exec ${words.map(quoted).join(' ')}`;
}

/** One word for a POSIX shell, whatever is in it. */
export function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/**
 * A script that writes files beside their places, syncs them, and only then puts them there.
 * It is read from stdin, since what is an argument anybody in the guest can see.
 */
export function writingScript(files: Parameters<Host['write']>[0]): string {
  const lines = files.map(({ path, text, mode = 0o600 }) => {
    const at = quoted(path);
    const beside = quoted(`${path}.new`);
    return `mkdir -p "$(dirname -- ${at})"
      printf %s ${quoted(text)} > ${beside}
      chmod ${mode.toString(8)} ${beside}\n`;
  });
  const beside = files.map(({ path }) => quoted(`${path}.new`)).join(' ');
  const moves = files.map(({ path }) => `mv ${quoted(`${path}.new`)} ${quoted(path)}\n`);
  return `set -eu\numask 077\n${lines.join('')}sync ${beside}\n${moves.join('')}`;
}

function succeeded({ code, stderr }: Run, what: string): void {
  if (code !== 0) throw new Error(`${what}: ${stderr.trim() || `exit ${code}`}`);
}

function because(stderr: string): string {
  const last = stderr.trim().split('\n').at(-1) ?? '';
  return last === '' ? '' : ` (${last.trim()})`;
}
