// Every sabotaged build, and who sees it: what make sabotage runs. A build that nobody sees is a hole in the verifier.
import { onSignals } from '../results/signals.ts';
import { mutations } from './mutations.ts';
import type { Mutation } from './mutations.ts';
import { openSabotaged } from './sabotaged.ts';
import type { Sabotaged } from './sabotaged.ts';

const { env } = process;
const words = (env['ONLY'] ?? '').split(',');
const picked = mutations.filter(({ name }) => words.some(word => name.includes(word)));
const honest = undefined;
const queue: (Mutation | undefined)[] = [honest, ...picked];
const rows: { name: string; kind: 'seen' | 'held' | 'SURVIVED' | 'RED THOUGH HONEST' | 'NOT JUDGED' }[] = [];
const stacks: Sabotaged[] = [];
// Ctrl-C ends it after the build that is looked at, and the stacks are removed
const stopping = onSignals(() => { queue.length = 0; });
try {
  const wanted = Number(env['STACKS'] || 1);
  // one after the other: two at a time would look for the same free ports
  while (stacks.length < wanted) stacks.push(await openSabotaged());
  print('| build | | seen by | took |\n|---|---|---|---|');
  await Promise.all(stacks.map(work));
} finally {
  for (const stack of stacks) await stack.remove();
  stopping.stop();
}
const count = (kind: string) => rows.filter(row => row.kind === kind).length;
const bad = rows.filter(({ kind }) => kind !== 'seen' && kind !== 'held');
print(`${picked.length} sabotaged builds, ${count('seen')} seen, ${count('SURVIVED')} survived`);
for (const { name, kind } of bad) print(`${kind}: ${name}`);
process.exitCode = bad.length === 0 && rows.length === picked.length + 1 ? 0 : 1;

async function work(stack: Sabotaged): Promise<void> {
  while (queue.length > 0) {
    const mutation = queue.shift();
    const began = performance.now();
    const name = mutation?.name ?? 'the honest one';
    const { by, trouble } = await judge(stack, mutation);
    const kind = trouble !== undefined ? 'NOT JUDGED'
      : mutation === undefined ? by === undefined ? 'held' : 'RED THOUGH HONEST'
        : by === undefined ? 'SURVIVED' : 'seen';
    rows.push({ name, kind });
    const took = `${Math.round((performance.now() - began) / 1000)} s`;
    print(`| ${name} | ${kind} | ${trouble ?? by ?? ''} | ${took} |`);
  }
}

async function judge(stack: Sabotaged, mutation: Mutation | undefined) {
  const drills = mutation === undefined ? [...new Set(picked.flatMap(({ by = [] }) => by))] : mutation.by ?? [];
  try {
    return await stack.judge(mutation, drills);
  } catch (error) {
    return { by: undefined, trouble: String(error) };
  }
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
