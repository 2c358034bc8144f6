// Runs the other programs of this folder as an operator would, and reads what they said.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { watchPoints } from './report.ts';
import type { Point } from './report.ts';

export type ProgramEnd = { exit: number; points: Point[]; lines: string[]; ms: number };
export type Programs = {
  /** `nodes` as NODE takes them. */
  verify(nodes: string, deadlineMs: number): Promise<ProgramEnd>;
  drill(name: string, node: string, deadlineMs: number): Promise<ProgramEnd>;
  /** Asks whatever still runs to end, and waits until it has: a drill mends first. */
  end(): Promise<void>;
};

type Run = { child: ChildProcess; ended: Promise<number> };

/** The programs are run with this process's own environment but for NODE, and for what steers only one of them. */
export function openPrograms(): Programs {
  const running = new Set<Run>();
  return {
    verify: (nodes, deadlineMs) => run(running, ['verify.js'], { nodes, deadlineMs }),
    drill: (name, node, deadlineMs) => run(running, ['drill.js', name], { nodes: node, deadlineMs }),
    end: async () => {
      for (const { child } of running) child.kill('SIGTERM');
      await Promise.all([...running].map(({ ended }) => ended));
    },
  };
}

/** SIGTERM at the deadline, never SIGKILL: a drill still has to mend what it broke. */
async function run(running: Set<Run>, [file = '', ...args]: string[], { nodes, deadlineMs }: { nodes: string; deadlineMs: number }): Promise<ProgramEnd> {
  const began = performance.now();
  // the marks of a run under node:test, and of our own child, are not for the program that is run
  const { NODE_TEST_CONTEXT: _context, ORDERS_TAP_CHILD: _child, TARGETS: _targets, EXPECT: _expect, ...env } = process.env;
  const child = spawn(process.execPath, [fileURLToPath(new URL(file, import.meta.url)), ...args], {
    env: { ...env, NODE: nodes }, stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<number>(resolve => {
    child.on('exit', code => resolve(code ?? 1));
    child.on('error', () => resolve(2));
  });
  const one = { child, ended };
  running.add(one);
  const late = setTimeout(() => child.kill('SIGTERM'), deadlineMs);
  const watch = watchPoints();
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) { watch.take(line); lines.push(line); }
  const exit = await ended;
  clearTimeout(late);
  running.delete(one);
  return { exit, points: watch.points, lines, ms: Math.round(performance.now() - began) };
}

/** The points that broke, in a few words, and why. */
export function brokenPoints({ points, lines }: ProgramEnd): string {
  const names = points.filter(point => !point.held && !point.suite).map(point => point.name).join(', ') || 'no point';
  const why = lines.flatMap(line => /^ +error: '(.*)'$/.exec(line)?.[1] ?? []).filter(text => !/^\d+ subtests? failed$/.test(text));
  return [names, ...new Set(why)].join(': ');
}
