// Runs the other programs of this folder as an operator would, and reads what they said.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { watchPoints } from './report.ts';
import type { Point } from './report.ts';

export type ProgramEnd = { exit: number; points: Point[]; ms: number };

/** Runs `verify` against one node. */
export function runVerify(node: string, deadlineMs: number): Promise<ProgramEnd> {
  return runProgram('verify.js', [], { node, deadlineMs });
}

/** Runs one drill against one node. */
export function runDrillProgram(name: string, node: string, deadlineMs: number): Promise<ProgramEnd> {
  return runProgram('drill.js', [name], { node, deadlineMs });
}

/** SIGTERM at the deadline, never SIGKILL: a drill still has to mend what it broke. */
async function runProgram(file: string, args: string[], { node, deadlineMs }: { node: string; deadlineMs: number }): Promise<ProgramEnd> {
  const began = performance.now();
  // the marks of a run under node:test, and of our own child, are not for the program that is run
  const { NODE_TEST_CONTEXT: _context, ORDERS_TAP_CHILD: _child, TARGETS: _targets, EXPECT: _expect, ...env } = process.env;
  const child = spawn(process.execPath, [fileURLToPath(new URL(file, import.meta.url)), ...args], {
    env: { ...env, NODE: node }, stdio: ['ignore', 'pipe', 'inherit'],
  });
  const late = setTimeout(() => child.kill('SIGTERM'), deadlineMs);
  const ended = new Promise<number>(resolve => {
    child.on('exit', code => resolve(code ?? 1));
    child.on('error', () => resolve(2));
  });
  const watch = watchPoints();
  for await (const line of createInterface({ input: child.stdout })) watch.take(line);
  const exit = await ended;
  clearTimeout(late);
  return { exit, points: watch.points, ms: Math.round(performance.now() - began) };
}
