// Lines typed on this host at VMs: what each prints, and steps of which none runs after one that failed.
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { readNodes } from '../nodes.ts';
import type { Node } from '../platform.ts';
import { root, runIn } from './stack.ts';
import type { Run } from './stack.ts';

export type Order = Record<string, unknown> & { order_id: string };
export type Machines = {
  nodes: readonly Node[];
  second: Node;
  /** Of the first node: its address, and where its service is. */
  address: string;
  base: string;
  step: (name: string, run: () => Promise<void>) => Promise<void>;
  /** The HTTP status of a path; undefined when nobody answers. */
  status: (path: string) => Promise<string | undefined>;
  find: (id: string) => Promise<unknown>;
};

const { NODE_TEST_CONTEXT: _, NODE: _n, TARGETS: _t, ...env } = process.env;
export const scale = Number(env['SCALE'] ?? 1);
/** Why these tests cannot run, or false. */
export const missing = env['PLATFORM'] === 'vagrant' ? false : 'PLATFORM is not vagrant (make lab TARGET=machines)';

/** From nothing: what is up already is not ours to destroy at the end. */
export async function openMachines(t: TestContext): Promise<Machines> {
  const free = await exit('infra/control platform') === 1;
  assert.ok(free, 'a platform is in use, and this ends by destroying all: make destroy first');
  t.after(() => typed('make destroy'));
  const nodes = readNodes(root);
  const [{ address } = assert.fail('there is no node'), second = assert.fail('there is no second node')] = nodes;
  const base = `http://${address}:8000`;
  let broken = false;
  return {
    nodes, second, address, base,
    step: (name, run) => t.test(name, async st => {
      if (broken) return st.skip('an earlier step failed');
      const began = performance.now();
      broken = true;
      await run();
      broken = false;
      st.diagnostic(`${Math.round((performance.now() - began) / 1000)} s`);
    }),
    status: async path => /^HTTP\/1.1 (\d+)/.exec(await told(`curl -isS -m ${20 * scale} ${base}${path}`))?.[1],
    find: async id => JSON.parse(await typed(`curl -sS ${base}/orders/${id}`)) as unknown,
  };
}

/** What a line prints; a line that fails is a failure that shows what it said. */
export async function typed(line: string): Promise<string> {
  const { code, stdout, stderr } = await shell(line);
  if (code !== 0) throw new Error(`${line}: exit ${code}\n${stdout.slice(-1_500)}${stderr.slice(-1_500)}`);
  return stdout;
}

/** What a line prints, however it ends: make status ends with 1 when nobody answers. */
export async function told(line: string): Promise<string> {
  return (await shell(line)).stdout;
}

export async function exit(line: string): Promise<number | null> {
  return (await shell(line)).code;
}

export function shell(line: string): Promise<Run> {
  return runIn(env, 'bash', ['-c', line]);
}

/** A text as one word of a shell. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
