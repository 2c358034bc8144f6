// The only file that acts on the system: it runs the control executable, each verb inside a deadline.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';

/** exit: 0 done, 1 failed (a missed deadline too), 2 not understood, 3 not possible on this platform. */
export type Told = { exit: number; stdout: string; stderr: string; ms: number };
export type FaultInPlace = { node: string; fault: string; since: string };
export type Control = {
  platform(): Promise<Told>;
  targets(): Promise<Told>;
  journal(): Promise<Told>;
  facts(node?: string): Promise<Told>;
  up(): Promise<Told>;
  halt(): Promise<Told>;
  destroy(): Promise<Told>;
  inject(fault: string, ...args: string[]): Promise<Told>;
  recover(fault?: string): Promise<Told>;
  /** Resolves once no command started here runs any more. */
  idle(): Promise<void>;
};
export type ControlOptions = {
  path: string;
  /** NODE for every verb; left as the environment has it when not given. */
  node?: string;
  scaled?: (ms: number) => number;
  /** Hears what the control executable says on stderr, while it says it. */
  onTalk?: (text: string) => void;
};

const deadlinesMs = { up: 900_000, halt: 300_000, destroy: 300_000, inject: 60_000, recover: 120_000, facts: 30_000, look: 15_000 };

/** Opens nothing yet; each call runs one command to its end, never throws, and tells what it said. */
export function openControl(options: ControlOptions): Control {
  const running = new Set<Promise<Told>>();
  const run = (args: string[], deadlineMs: number) => {
    const told = runOnce(options, args, (options.scaled ?? same)(deadlineMs)).finally(() => running.delete(told));
    running.add(told);
    return told;
  };
  return {
    platform: () => run(['platform'], deadlinesMs.look),
    targets: () => run(['targets'], deadlinesMs.look),
    journal: () => run(['journal'], deadlinesMs.look),
    facts: node => run(node === undefined ? ['facts'] : ['facts', node], deadlinesMs.facts),
    up: () => run(['up'], deadlinesMs.up),
    halt: () => run(['halt'], deadlinesMs.halt),
    destroy: () => run(['destroy'], deadlinesMs.destroy),
    inject: (fault, ...args) => run(['inject', fault, ...args], deadlinesMs.inject),
    recover: fault => run(fault === undefined ? ['recover'] : ['recover', fault], deadlinesMs.recover),
    idle: async () => { while (running.size > 0) await Promise.all(running); },
  };
}

/** The lines of `control journal`: node, fault, since when. */
export function parseJournal(text: string): FaultInPlace[] {
  return text.split('\n').flatMap(line => {
    const [node, fault, since = ''] = line.trim().split(/\s+/);
    return node && fault ? [{ node, fault, since }] : [];
  });
}

function same(ms: number): number { return ms; }

function runOnce(options: ControlOptions, args: string[], deadlineMs: number): Promise<Told> {
  const started = performance.now();
  const said = { stdout: '', stderr: '' };
  return new Promise(resolve => {
    const env: NodeJS.ProcessEnv = { ...process.env, ...(options.node === undefined ? {} : { NODE: options.node }) };
    delete env['NODE_TEST_CONTEXT'];
    // a process group of its own: Ctrl-C in the terminal must not end a recovery half way
    const child = spawn(options.path, args, { detached: true, stdio: ['ignore', 'pipe', 'pipe'], env });
    const giveUp = setTimeout(() => {
      said.stderr += `control ${args.join(' ')}: not done after ${deadlineMs} ms, given up\n`;
      endGroup(child);
    }, deadlineMs);
    child.stdout.setEncoding('utf8').on('data', (text: string) => { said.stdout += text; });
    child.stderr.setEncoding('utf8').on('data', (text: string) => { said.stderr += text; options.onTalk?.(text); });
    const tell = (exit: number) => {
      clearTimeout(giveUp);
      resolve({ exit, ...said, ms: Math.round(performance.now() - started) });
    };
    child.on('error', error => { said.stderr += `control ${options.path}: ${error.message}\n`; tell(1); });
    child.on('close', code => tell(code ?? 1));
    child.on('exit', () => letGo(child));
  });
}

/** A daemon left running by the command may hold its pipes open for ever, and 'close' waits for them. */
function letGo(child: ChildProcess): void {
  const late = setTimeout(() => { child.stdout?.destroy(); child.stderr?.destroy(); }, 500);
  child.on('close', () => clearTimeout(late));
}

function endGroup(child: ChildProcess): void {
  const signal = (name: NodeJS.Signals) => {
    try { process.kill(-(child.pid ?? NaN), name); } catch { /* gone already: that is what was wanted */ }
  };
  signal('SIGTERM');
  const hard = setTimeout(() => signal('SIGKILL'), 3_000);
  child.on('close', () => clearTimeout(hard));
}
