// What each node that is up answers, at one glance: node verifier/dist/status.js. Places no order. Exit 0 all usable, 1 not, 2 could not run.
import { fileURLToPath } from 'node:url';
import { describe, openApi } from './api.ts';
import { openControl } from './control.ts';
import { addressOf, readOptions } from './options.ts';
import type { Options, Target } from './options.ts';
import { parseTargetLines } from './survey.ts';
import { probe } from './tcp.ts';

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
// An order that nobody was ever promised: 404 means that the database was asked and answered.
const nobodys = '00000000-0000-4000-8000-000000000000';

process.exitCode = await main();

async function main(): Promise<number> {
  const read = readOptions(process.env, root);
  if ('complaints' in read) {
    process.stderr.write(`status: ${read.complaints.join('; ')}\n`);
    return 2;
  }
  const { options } = read;
  const told = await openControl({ path: options.control, node: options.nodes ?? 'all', scaled: options.scaled }).targets();
  if (told.exit !== 0) return 2;
  const glances = await Promise.all(parseTargetLines(told.stdout).map(target => glance(target, options)));
  for (const { line } of glances) process.stdout.write(`${line}\n`);
  return glances.every(({ good }) => good) ? 0 : 1;
}

async function glance(target: Target, { scaled }: Options): Promise<{ line: string; good: boolean }> {
  const tcp = await probe(target, scaled(2_000));
  const begin = `${target.node} ${addressOf(target)}  tcp ${tcp.state}`;
  if (tcp.state !== 'held') return { line: begin, good: false };
  const api = openApi(target, scaled(2_000));
  const [health, ready, order] = await Promise.all([api.health(), api.ready(), api.find(nobodys)]);
  const usable = order.problem?.code === 'order_not_found';
  const mark = (good: boolean, otherwise: string) => good ? 'yes' : `no (${otherwise})`;
  const reason = ready.value?.reason ?? ready.value?.status ?? describe(ready);
  return {
    line: `${begin} · alive ${mark(health.value === 'alive', describe(health))} · ready ${mark(ready.status === 200, reason)} · usable ${mark(usable, describe(order))}`,
    good: usable && ready.status === 200 && health.value === 'alive',
  };
}
