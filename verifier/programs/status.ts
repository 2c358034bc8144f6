// What runs where, and what each node that is up answers, at one glance. Places no order.
import type { Control } from '#infra/control';
import { Misunderstood, messageOf } from '#infra/platform';
import type { Target } from '#infra/platform';
import { oneOf, openReader } from '#infra/settings';
import { addressOf } from '../client/address.ts';
import { describe, openApi } from '../client/api.ts';
import { probe } from '../client/tcp.ts';
import { readOptions } from '../options.ts';
import type { Options } from '../options.ts';
import { openOutput } from '../results/terminal.ts';
import { answerHelp } from './help.ts';
import { root } from './program.ts';
import type { Program } from './program.ts';

// An order that nobody was ever promised: 404 means that the database was asked and answered.
const nobodys = '00000000-0000-4000-8000-000000000000';

const usage = `usage: node verifier/dist/status.js
What runs where, and what each node that is up answers. Places no order.
  NODE="control worker1"  these nodes; without it all of them
  JSON=1                  one object on stdout, for programs
  PLATFORM= ORDERS_STATE= where they are not those of make up; SCALE= stretches every deadline
Exit 0 something is up and all of it is usable, 1 not, 2 not understood.`;

type Look = { good: boolean; saw: string };
/** What one node answers; above a TCP that is not held nothing was asked. */
type Glance = Target & { tcp: string; alive?: Look; ready?: Look; usable?: Look };

/** For people, or as JSON. Gives the exit code: 0 all that should be up is usable, 1 not, 2 not understood. */
export async function status({ args, env, openControl }: Omit<Program, 'file' | 'stage'>): Promise<number> {
  const answered = await answerHelp('status', args, usage);
  if (answered !== undefined) return answered;
  const read = readOptions(env, root);
  const own = openReader(env);
  const json = own.read('JSON', oneOf('0', '1'), '0') === '1';
  const complaints = [...'complaints' in read ? read.complaints : [], ...own.complaints];
  if (args.length > 0) complaints.push('no arguments are taken, but NODE JSON PLATFORM ORDERS_STATE SCALE are');
  if ('complaints' in read || complaints.length > 0) return tell(complaints.join('; '), 2);
  try {
    const control = openControl({ env, root, say: line => process.stderr.write(`${line}\n`) });
    return await glanceAt(control, read.options, json);
  } catch (error) {
    return tell(messageOf(error), error instanceof Misunderstood ? 2 : 1);
  }
}

async function glanceAt(control: Control, options: Options, json: boolean): Promise<number> {
  const nodes = await control.status();
  const up = nodes === undefined ? [] : await control.targets(nodes.map(({ node }) => node));
  const targets = await Promise.all(up.map(target => glance(target, options)));
  const isDown = nodes?.some(({ runs, wanted }) => wanted && !runs) ?? true;
  const good = up.length > 0 && !isDown && targets.every(isGood);
  const lines = [
    ...up.length === 0 ? ['not up: nothing was started, or all of it is halted'] : [],
    ...nodes?.map(({ line }) => line) ?? [],
    ...targets.map(lineOf),
  ];
  const output = openOutput();
  output.write(json ? `${JSON.stringify({ good, nodes: nodes ?? [], targets })}\n` : `${lines.join('\n')}\n`);
  const unwritten = await output.flush();
  return unwritten === undefined ? good ? 0 : 1 : tell(unwritten, 2);
}

async function glance(target: Target, { scaled }: Options): Promise<Glance> {
  const { state: tcp } = await probe(target, scaled(2_000));
  if (tcp !== 'held') return { ...target, tcp };
  const api = openApi(target, scaled(2_000));
  const [health, ready, order] = await Promise.all([api.health(), api.ready(), api.find(nobodys)]);
  const reason = ready.value?.reason ?? ready.value?.status ?? describe(ready);
  return {
    ...target, tcp,
    alive: { good: health.value === 'alive', saw: describe(health) },
    ready: { good: ready.status === 200, saw: reason },
    usable: { good: order.problem?.code === 'order_not_found', saw: describe(order) },
  };
}

function looksOf({ alive, ready, usable }: Glance): [name: string, look: Look | undefined][] {
  return [['alive', alive], ['ready', ready], ['usable', usable]];
}

function isGood(glance: Glance): boolean {
  return looksOf(glance).every(([, look]) => look?.good === true);
}

function lineOf(glance: Glance): string {
  const begin = `${glance.node} ${addressOf(glance)}  tcp ${glance.tcp}`;
  const words = looksOf(glance).flatMap(([name, look]) => (
    look === undefined ? [] : [`${name} ${look.good ? 'yes' : `no (${look.saw})`}`]
  ));
  return [begin, ...words].join(' · ');
}

function tell(why: string, exit: number): number {
  process.stderr.write(`status: ${why}\n`);
  return exit;
}
