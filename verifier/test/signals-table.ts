// Every drill interrupted by every signal, to each of its processes, at each moment: what make signals runs.
import { drills } from '../drills/catalogue.ts';
import { readOptions } from '../options.ts';
import { root } from '../programs/program.ts';
import { onSignals } from '../results/signals.ts';
import { interrupt, moments, receivers, signals, tellRow } from './interrupt.ts';
import type { Case, Row } from './interrupt.ts';
import { openRealStack } from './real-stack.ts';
import type { RealStack } from './real-stack.ts';

/** On docker an interruption takes three times as long; three drills are what was asked for. */
const onDocker = ['db-down', 'port-closed', 'restart-keeps-orders'];
const { env } = process;
const read = readOptions(env, root);
if ('complaints' in read) throw new Error(read.complaints.join('; '));
const platform = read.options.platform ?? 'process';
// what a platform cannot do cannot be interrupted either
const impossible = ['port-dropped', ...platform === 'process' ? ['network-cut', 'loosened'] : []];
const possible = drills.map(({ name }) => name).filter(name => !impossible.includes(name));
const chosen = env['DRILLS']?.split(' ') ?? (platform === 'process' ? possible : onDocker);
const sent = signals.filter(signal => (env['SIGNALS'] ?? signal).split(' ').includes(signal));
const cases: Case[] = chosen.flatMap(drill => sent.flatMap(signal =>
  receivers.flatMap(whom => moments.map(moment => ({ drill, signal, whom, moment })))));

const rows: Row[] = [];
const queue = [...cases];
const stacks: RealStack[] = [];
// Ctrl-C ends it after the interruption under way, and the stacks are removed
const stopping = onSignals(() => { queue.length = 0; });
try {
  // one after the other: two at a time would look for the same free ports
  const wanted = Number(env['STACKS'] || 1);
  while (stacks.length < wanted) stacks.push(await openRealStack(platform, { KILLS: '1' }));
  print('| drill | signal | to | while | exit | undone by | took | after it |\n|---|---|---|---|---|---|---|---|');
  await Promise.all(stacks.map(async stack => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const row = await interrupt(stack, next);
      rows.push(row);
      print(tellRow(row));
    }
  }));
} finally {
  for (const stack of stacks) await stack.remove();
  stopping.stop();
}
const bad = rows.filter(({ trouble }) => trouble !== undefined).length;
print(`${rows.length} interruptions, ${bad} with trouble`);
process.exitCode = bad === 0 && rows.length === cases.length ? 0 : 1;

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
