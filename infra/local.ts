// This machine as a host: programs start without a shell, in an environment that we made, each inside a deadline.
import { spawn } from 'node:child_process';
import { closeSync, createReadStream, openSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { readText, writeWhole } from './files.ts';
import type { Host, Run, RunOptions } from './host.ts';

/**
 * A daemon that keeps its starter's pipes open must not keep us: after its exit a program has so long to close them.
 */
const CLOSING_MS = 500;

/**
 * `env` is the whole environment of what is run. `shared` gives a file descriptor that every program gets as its
 * third, so that a lock on it lasts until the last of them has ended, even if this process is killed before.
 */
export function openLocal(
  env: Readonly<Record<string, string>>, shared: () => number | undefined = () => undefined,
): Host {
  return {
    name: 'this machine',
    run: (argv, options = {}) => run(argv, { ...options, env: { ...env, ...options.env } }, shared()),
    write: async files => { for (const file of files) await writeWhole(file); },
    read: readText,
  };
}

function run([program = '', ...args]: string[], options: RunOptions, shared: number | undefined): Promise<Run> {
  const { input, into, deadlineMs, env, cwd, onLine } = options;
  const opened: number[] = [];
  const open = (file: string, flags: string) => {
    const fd = openSync(file, flags, 0o600);
    opened.push(fd);
    return fd;
  };
  // through this process: what it feeds must not come to its end when this has been killed half way
  const source = hasFile(input) ? createReadStream('', { fd: openSync(input.file, 'r') }) : undefined;
  const stdout = into === undefined ? 'pipe' : open(into.file, 'w');
  return new Promise(resolve => {
    const said = { stdout: '', stderr: '' };
    let late = false;
    // a session of its own: Ctrl-C in the operator's terminal must not end a recovery half way
    const stdin = input === undefined ? 'ignore' : 'pipe';
    const child = spawn(program, args, {
      env, cwd, detached: true, stdio: [stdin, stdout, 'pipe', ...shared === undefined ? [] : [shared]],
    });
    opened.forEach(closeSync);
    const giveUp = () => {
      late = true;
      endGroup(child.pid);
    };
    const giveUpReading = ({ message }: Error) => {
      said.stderr += `${message}\n`;
      endGroup(child.pid);
    };
    const timer = deadlineMs === undefined ? undefined : setTimeout(giveUp, deadlineMs);
    const end = (code: number | null) => {
      clearTimeout(timer);
      source?.destroy();
      if (late) said.stderr = `${said.stderr.trimEnd()}\n${program}: given up after ${deadlineMs} ms\n`.trimStart();
      resolve({ code: late ? null : code, ...said, late });
    };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name]?.setEncoding('utf8').on('data', (text: string) => { said[name] += text; });
      if (onLine !== undefined && child[name] !== null) tellLines(child[name], onLine);
    }
    child.on('error', (error: NodeJS.ErrnoException) => {
      said.stderr += `${program}: ${error.code === 'ENOENT' ? 'not found' : error.message}\n`;
      end(127);
    });
    child.on('close', code => end(code));
    child.on('exit', code => setTimeout(() => end(code), CLOSING_MS).unref());
    // whoever ends without reading all of its input has a reason, which its exit code tells
    child.stdin?.on('error', () => source?.destroy());
    if (source === undefined) child.stdin?.end(hasFile(input) ? undefined : input);
    else if (child.stdin !== null) source.on('error', giveUpReading).pipe(child.stdin);
  });
}

function tellLines(stream: Readable, onLine: (line: string) => void): void {
  createInterface({ input: stream }).on('line', onLine);
}

function hasFile(input: RunOptions['input']): input is { file: string } {
  return typeof input === 'object' && 'file' in input;
}

function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
