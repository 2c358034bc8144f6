// What runs where, and what each node that is up answers, at one glance. Places no order.
import { messageOf } from '#infra/platform';
import type { Control } from '#infra/control';
import { Misunderstood } from '#infra/platform';
import type { Target } from '#infra/platform';
import { addressOf } from '../client/address.ts';
import { describe, openApi } from '../client/api.ts';
import { probe } from '../client/tcp.ts';
import { readOptions } from '../options.ts';
import type { Options } from '../options.ts';
import { root } from './program.ts';
import type { Program } from './program.ts';

// An order that nobody was ever promised: 404 means that the database was asked and answered.
const nobodys = '00000000-0000-4000-8000-000000000000';

/** Lines for people on stdout. Gives the exit code: 0 all that should be up is usable, 1 not, 2 not understood. */
export async function status({ args, env, openControl }: Omit<Program, 'file' | 'stage'>): Promise<number> {
  // `| head` has read enough: that is no reason to die with a stack trace
  process.stdout.on('error', () => undefined);
  const read = readOptions(env, root);
  const complaints = 'complaints' in read ? [...read.complaints] : [];
  if (args.length > 0) complaints.push('no arguments are taken, but NODE PLATFORM ORDERS_STATE SCALE are');
  if ('complaints' in read || complaints.length > 0) return tell(complaints.join('; '), 2);
  try {
    const control = openControl({ env, root, say: line => process.stderr.write(`${line}\n`) });
    return await glanceAt(control, read.options);
  } catch (error) {
    return tell(messageOf(error), error instanceof Misunderstood ? 2 : 1);
  }
}

async function glanceAt(control: Control, options: Options): Promise<number> {
  const nodes = await control.status();
  const up = nodes === undefined ? [] : await control.targets(nodes.map(({ node }) => node));
  if (nodes === undefined || up.length === 0) print('not up: nothing was started, or all of it is halted');
  nodes?.forEach(({ line }) => print(line));
  const glances = await Promise.all(up.map(target => glance(target, options)));
  glances.forEach(({ line }) => print(line));
  const down = up.filter(({ node }) => !nodes?.some(one => one.node === node && one.runs));
  return up.length > 0 && down.length === 0 && glances.every(({ good }) => good) ? 0 : 1;
}

async function glance(target: Target, { scaled }: Options): Promise<{ line: string; good: boolean }> {
  const tcp = await probe(target, scaled(2_000));
  const begin = `${target.node} ${addressOf(target)}  tcp ${tcp.state}`;
  if (tcp.state !== 'held') return { line: begin, good: false };
  const api = openApi(target, scaled(2_000));
  const [health, ready, order] = await Promise.all([api.health(), api.ready(), api.find(nobodys)]);
  const looks = [
    { name: 'alive', good: health.value === 'alive', saw: describe(health) },
    { name: 'ready', good: ready.status === 200, saw: ready.value?.reason ?? ready.value?.status ?? describe(ready) },
    { name: 'usable', good: order.problem?.code === 'order_not_found', saw: describe(order) },
  ];
  const words = looks.map(({ name, good, saw }) => `${name} ${good ? 'yes' : `no (${saw})`}`);
  return { line: [begin, ...words].join(' · '), good: looks.every(({ good }) => good) };
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function tell(why: string, exit: number): number {
  process.stderr.write(`status: ${why}\n`);
  return exit;
}
