// What surrounds a run: the facts of its nodes, and what their programs have logged since it began.
import { setTimeout as pause } from 'node:timers/promises';
import type { Control } from '#infra/control';
import { messageOf } from '#infra/platform';
import type { Facts, Outcome } from '#infra/platform';
import { linesSince } from './hide.ts';

/** A part of the evidence by its path, or why it is missing. */
export type Part = { text: string } | { why: string };
export type Parts = Record<string, Part>;

/** Of each program's log, at most; the last of them. */
const MOST_LINES = 5_000;
const MOST_CHARACTERS = 1_000_000;
/** Clocks of machines differ by less. */
const SKEW_MS = 2_000;

type Telling = { last: ReadonlyMap<string, Outcome<Facts>>; deadlineMs: number };

/** What the platform knows of each node at the end: what the run itself saw last, else it is asked for now. */
export async function seeFacts(control: Control, nodes: readonly string[], telling: Telling): Promise<Part> {
  const one = async (node: string) => {
    const now = telling.last.get(node)
      ?? await control.facts(node).catch((error: unknown) => ({ failed: messageOf(error) }));
    return [node, now] as const;
  };
  const told = await inTime(Promise.all(nodes.map(one)), telling.deadlineMs);
  return 'why' in told ? told : factsPart(told.is);
}

/** What was told of each node, or why nothing was: JSON. */
export function factsPart(told: readonly (readonly [node: string, facts: Outcome<Facts>])[]): Part {
  if (told.length === 0) return { why: 'no node of ours was looked at' };
  const facts = told.map(([node, outcome]) => [node, 'done' in outcome ? outcome.done : outcome]);
  return { text: `${JSON.stringify(Object.fromEntries(facts), undefined, 2)}\n` };
}

/** A file for each program of each node. */
export async function seeLogs(
  control: Control, nodes: readonly string[], { sinceMs, deadlineMs }: { sinceMs: number; deadlineMs: number },
): Promise<Parts> {
  if (nodes.length === 0) return { logs: { why: 'no node of ours was looked at' } };
  const logs = new Map<string, string[]>();
  const take = (line: string) => {
    const [, node, program, text = ''] = /^([\w.-]+) ([\w.-]+) +\| ?(.*)$/s.exec(line) ?? [];
    const path = node === undefined ? 'logs/other.log' : `logs/${node}-${program}.log`;
    const lines = logs.get(path) ?? [];
    logs.set(path, lines);
    lines.push(node === undefined ? line : text);
  };
  const asked = await inTime(control.logs(take, nodes, MOST_LINES), deadlineMs);
  if ('why' in asked) return { logs: asked };
  if (!('done' in asked.is)) return { logs: { why: Object.values(asked.is).join() } };
  return Object.fromEntries([...logs].map(([path, lines]) => {
    const text = linesSince(lines, sinceMs - SKEW_MS).join('\n').slice(-MOST_CHARACTERS);
    return [path, text === '' ? { why: 'nothing was logged meanwhile' } : { text: `${text}\n` }];
  }));
}

async function inTime<T>(asked: Promise<T>, deadlineMs: number): Promise<{ is: T } | { why: string }> {
  const timer = new AbortController();
  const late = pause(deadlineMs, { why: `not within ${deadlineMs} ms` }, { signal: timer.signal });
  late.catch(() => undefined);
  try {
    return await Promise.race([asked.then(is => ({ is })), late]);
  } catch (error) {
    return { why: messageOf(error) };
  } finally {
    timer.abort();
  }
}
