// Runs verify.js as an operator does, with a control executable that only tells what the test wants it to tell.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Target } from '../options.ts';
import { readPoint } from '../report.ts';
import type { Point } from '../report.ts';

export type World = {
  /** State folder, control executable and its answers; all of it goes when the test ends. */
  folder: string;
  env: Record<string, string>;
  /** What control answers from now on. */
  tell: (verb: 'targets' | 'journal' | 'facts' | 'platform', text: string) => Promise<void>;
  calls: () => Promise<string[]>;
};
export type Run = { code: number | null; signal: string | null; stdout: string; stderr: string; points: Point[]; verdict: string; ms: number };

export const program = fileURLToPath(new URL('../verify.js', import.meta.url));
export const plain = '{"platform":"process","node":"control","containers":false,"reason":"nothing contains them"}';

const control = `#!/bin/sh
# What the test wrote beside this file, and a note of what was asked.
echo "$* NODE=\${NODE:-}" >> "$0.calls"
cat "$0.$1" 2>/dev/null || { echo "no answer to $1" >&2; exit 1; }
`;

export async function openWorld(t: TestContext, targets: Target[]): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'verify-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, 'control');
  await writeFile(path, control, { mode: 0o755 });
  const world: World = {
    folder,
    env: { CONTROL: path, ORDERS_STATE: join(folder, 'state'), SCALE: '1' },
    tell: (verb, text) => writeFile(`${path}.${verb}`, text),
    calls: async () => (await readFile(`${path}.calls`, 'utf8').catch(() => '')).split('\n').filter(line => line !== ''),
  };
  await world.tell('targets', targets.map(({ node, host, port }) => `${node} ${host}:${port}\n`).join(''));
  await world.tell('journal', '');
  await world.tell('platform', 'process\n');
  await world.tell('facts', `${plain}\n${plain.replace('"control"', '"worker1"')}\n`);
  return world;
}

/** Starts verify.js and nothing of this environment that would steer it. */
export function startVerify(env: Record<string, string>, args: string[] = []): ChildProcess & { stdout: NodeJS.ReadableStream; stderr: NodeJS.ReadableStream } {
  const child = spawn(process.execPath, [program, ...args], { env: { PATH: process.env['PATH'], ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.setEncoding('utf8');
  child.stderr.setEncoding('utf8');
  return child;
}

export async function runVerify(env: Record<string, string>, args: string[] = []): Promise<Run> {
  return collect(startVerify(env, args));
}

export async function collect(child: ReturnType<typeof startVerify>): Promise<Run> {
  const began = performance.now();
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', text => { stdout += String(text); });
  child.stderr.on('data', text => { stderr += String(text); });
  const [code, signal] = await new Promise<[number | null, string | null]>(resolve => { child.on('close', (...end) => resolve(end)); });
  const points = stdout.split('\n').map(readPoint).filter(point => point !== undefined);
  const verdict = stdout.trimEnd().split('\n').at(-1) ?? '';
  return { code, signal, stdout, stderr, points, verdict, ms: Math.round(performance.now() - began) };
}

/** The lines of the ledger that verify kept for the node control. */
export async function promisesOf(world: World): Promise<string[]> {
  return (await readFile(join(world.folder, 'state/ledger/process-control.jsonl'), 'utf8')).trim().split('\n');
}

/** Version first, numbered points, one plan that counts them, after it only comments, nothing else anywhere. */
export function assertTap({ stdout }: Run): void {
  const lines = stdout.replace(/\n$/, '').split('\n');
  assert.equal(lines[0], 'TAP version 13');
  const bare = stdout.replace(/^ {2}---\n(.*\n)*? {2}\.\.\.\n/gm, '').trimEnd().split('\n').slice(1);
  const plan = bare.findIndex(line => /^1\.\./.test(line));
  const points = bare.filter(line => /^(not )?ok /.test(line));
  assert.equal(bare[plan], `1..${points.length}`);
  points.forEach((line, i) => assert.match(line, new RegExp(`^(not )?ok ${i + 1} - `)));
  assert.deepEqual(bare.filter((line, i) => !/^#/.test(line) && !/^(not )?ok /.test(line) && i !== plan), []);
  assert.deepEqual(bare.slice(plan + 1).filter(line => !line.startsWith('# ')), []);
  assert.match(lines.at(-1) ?? '', /^# verdict: /);
}
