// What infra/control runs: verbs in, words and exit codes out. Only here an outcome becomes an exit code.
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openControl } from './control.ts';
import type { Control } from './control.ts';
import { examine, linesOf } from './doctor/doctor.ts';
import { readText } from './files.ts';
import { followLogs } from './follow.ts';
import { openLocal } from './local.ts';
import { Misunderstood, faultNames, messageOf, waysToSpoil } from './platform.ts';
import type { Ended, FaultName, Outcome, Spoilt } from './platform.ts';

const listed = faultNames.map((name, i) => `${i % 6 === 0 ? `\n${' '.repeat(19)}` : ' '}${name}`).join('');
const usage = `infra/control VERB [ARG…]
  up [NODE…]       starts the system and returns when it can be verified; what runs already is kept
  halt [NODE…]     stops services first, then machines; the data is kept
  destroy [NODE…]  stops and removes everything, the data too
  status [NODE…]   what runs where; exit 1 when something that should run does not, or nothing is up
  logs [NODE…]     the last lines of every log, and what comes [LINES=50] [FOLLOW=1]
  targets [NODE…]  one line a node that is up: NODE HOST:PORT
  facts [NODE…]    what the platform knows of a node, one line of JSON each
  inject FAULT     breaks something; FAULT is one of${listed}
  inject config-refused VARIABLE missing|malformed|misspelt
  recover [FAULT]  undoes one fault, or every one
  backup [NODE…]   every order in one file, while they are written; prints its path [ORDERS_BACKUPS=]
  restore FILE     brings a backup into a node that is up and has no order
  journal          one line for each fault still in place: NODE FAULT SINCE
  platform         the platform in force; exit 1 when nothing was started
  doctor           what this host can run and what it lacks; changes nothing [JSON=1]; exit 1 when up could not work
Nodes: NODE="control worker1" or NODE=all. --help prints this, --version the version.
The platform: PLATFORM=, else the one remembered since up, else (for up) the best that is usable here.
Exit 0 done, 1 failed, 2 not understood, 3 not possible on this platform.
`;
const codes = { done: 0, failed: 1, misunderstood: 2, impossible: 3 } as const;

// a reader that hangs up early (`| head`) ends the writing, not the verb; what does not fit anywhere is said at the end
let unwritten: string | undefined;
let hungUp = false;
process.stdout.on('error', ({ code: why, message }: NodeJS.ErrnoException) => {
  if (why === 'EPIPE') hungUp = true;
  else unwritten ??= message;
});
process.stderr.on('error', () => undefined);

async function main([verb = '', ...args]: string[]): Promise<number> {
  try {
    const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
    if (args.length === 0 && verb === '--help') return print(usage.trimEnd());
    if (args.length === 0 && verb === '--version') return print(await versionOf(root));
    const control = openControl({ env: process.env, root, say: line => process.stderr.write(`${line}\n`) });
    const act = Object.hasOwn(verbs, verb) ? verbs[verb] : undefined;
    if (act !== undefined) return await act(control, args);
    if (verb !== '') tell(`unknown verb "${verb}"`);
    process.stderr.write(usage);
    return codes.misunderstood;
  } catch (error) {
    tell(messageOf(error));
    return error instanceof Misunderstood ? codes.misunderstood : codes.failed;
  }
}

const verbs: Record<string, (control: Control, args: string[]) => Promise<number>> = {
  up: async (control, names) => code(await control.up(names)),
  halt: async (control, names) => code(await control.halt(names)),
  destroy: async (control, names) => code(await control.destroy(names)),
  status: async (control, names) => {
    const nodes = await control.status(names);
    if (nodes === undefined) tell('not up: nothing was started');
    nodes?.forEach(({ line }) => print(line));
    const isDown = nodes?.some(({ runs, wanted }) => wanted && !runs);
    return isDown === false && nodes?.some(({ runs }) => runs) ? codes.done : codes.failed;
  },
  logs: async (control, names) => {
    const { follow } = control.settings;
    return code(await (follow ? followLogs(control, printLive, names) : control.logs(print, names)));
  },
  targets: async (control, names) => {
    for (const { node, host, port } of await control.targets(names)) print(`${node} ${host}:${port}`);
    return codes.done;
  },
  facts: async (control, names) => {
    const ends: number[] = [];
    for (const name of await control.chosenNodes(names)) {
      const outcome = await control.facts(name);
      if ('done' in outcome) print(JSON.stringify(outcome.done));
      ends.push(code(outcome));
    }
    return Math.max(...ends);
  },
  inject: async (control, [fault, ...rest]) => {
    if (fault === undefined) throw new Misunderstood('inject FAULT');
    const name = parseFault(fault);
    const spoilt = parseSpoilt(name, rest);
    for (const node of await nodesToBreak(control)) {
      const outcome = await control.inject(node, name, spoilt);
      if (!('done' in outcome)) return code(outcome);
      for (const ended of outcome.done ?? []) print(tellEnded(name, ended));
    }
    return codes.done;
  },
  recover: async (control, [fault, ...rest]) => {
    takesNothing('recover [FAULT]', rest);
    const name = fault === undefined ? undefined : parseFault(fault);
    const ends: number[] = [];
    for (const node of await nodesToMend(control, name)) {
      try {
        ends.push(code(await control.recover(node, name)));
      } catch (error) {
        // one node that cannot be repaired is no reason to leave the others broken
        tell(`${node}: ${messageOf(error)}`);
        ends.push(error instanceof Misunderstood ? codes.misunderstood : codes.failed);
      }
    }
    return Math.max(codes.done, ...ends);
  },
  backup: async (control, names) => {
    const ends: number[] = [];
    for (const node of await control.chosenNodes(names)) {
      const outcome = await control.backup(node);
      if ('done' in outcome) {
        const { file, orders, bytes, ms } = outcome.done;
        print(file);
        tell(`${node}: backup of ${orders} orders, ${bytes} bytes, made and read back in ${ms} ms`);
      }
      ends.push(code(outcome));
    }
    return Math.max(...ends);
  },
  restore: async (control, [file = '', ...names]) => {
    if (file === '') throw new Misunderstood('which backup? make restore FILE=….dump; make backup prints its path');
    const [node = '', ...more] = await control.chosenNodes(names);
    if (more.length > 0) throw new Misunderstood(`restore goes into one node: NODE=${node}, or ${more.join(', ')}`);
    const outcome = await control.restore(node, resolve(file));
    if ('done' in outcome) tell(`${node}: ${outcome.done.orders} orders restored in ${outcome.done.ms} ms`);
    return code(outcome);
  },
  journal: async (control, args) => {
    takesNothing('journal', args);
    for (const { node, fault, since } of await control.faultsInPlace()) print(`${node} ${fault} ${since}`);
    return codes.done;
  },
  platform: async (control, args) => {
    takesNothing('platform', args);
    const memory = await control.memory();
    if (memory !== undefined) print(memory.platform);
    return memory === undefined ? codes.failed : codes.done;
  },
  doctor: async ({ settings, memory, targets }, args) => {
    takesNothing('doctor', args);
    const context = { settings, local: openLocal(settings.env), say: tell };
    const report = await examine(context, { memory, targets: () => targets(['all']) });
    for (const line of settings.json ? [JSON.stringify(report)] : linesOf(report)) print(line);
    return report.good ? codes.done : codes.failed;
  },
};

async function nodesToBreak(control: Control): Promise<string[]> {
  const chosen = await control.chosenNodes();
  return control.settings.nodes === undefined ? chosen.slice(0, 1) : chosen;
}

/** Without NODE and without a fault: every node that the journal knows a fault of. */
async function nodesToMend(control: Control, fault: FaultName | undefined): Promise<string[]> {
  if (fault !== undefined || control.settings.nodes !== undefined) return nodesToBreak(control);
  const nodes = [...new Set((await control.journal()).map(({ node }) => node))];
  return nodes.length > 0 ? nodes : control.chosenNodes();
}

function parseFault(text: string): FaultName {
  const fault = faultNames.find(name => name === text);
  if (fault === undefined) throw new Misunderstood(`unknown fault ${text}; known: ${faultNames.join(' ')}`);
  return fault;
}

function parseSpoilt(fault: FaultName, rest: string[]): Spoilt[] | undefined {
  if (fault !== 'config-refused') {
    takesNothing(`inject ${fault}`, rest);
    return undefined;
  }
  const [variable, text, ...more] = rest;
  const how = waysToSpoil.find(way => way === text);
  if (variable !== undefined && how !== undefined && more.length === 0) return [{ variable, how }];
  throw new Misunderstood(`inject config-refused VARIABLE ${waysToSpoil.join('|')}`);
}

function takesNothing(what: string, rest: string[]): void {
  if (rest.length > 0) throw new Misunderstood(`${what} takes no "${rest.join(' ')}"; nodes are given in NODE`);
}

function tellEnded(fault: FaultName, ended: Ended): string {
  return ['config-refused', 'bad-upgrade'].includes(fault) ? JSON.stringify(ended) : `exit ${ended.exit}`;
}

function code(outcome: Outcome<unknown>): number {
  if ('failed' in outcome) tell(outcome.failed);
  if ('impossible' in outcome) tell(outcome.impossible);
  return 'done' in outcome ? codes.done : 'failed' in outcome ? codes.failed : codes.impossible;
}

async function versionOf(root: string): Promise<string> {
  const { version } = JSON.parse(await readText(join(root, 'package.json')) ?? '{}') as { version?: string };
  return `infra/control ${version ?? 'unknown'}`;
}

/** False when nobody reads it any more. */
function printLive(line: string): boolean {
  print(line);
  return !hungUp && unwritten === undefined;
}

function print(line: string): number {
  process.stdout.write(`${line}\n`);
  return codes.done;
}

function tell(line: string): void {
  process.stderr.write(`infra/control: ${line}\n`);
}

process.exitCode = await main(process.argv.slice(2));
// one turn later, when an error of the last line has been heard as well
await new Promise(resolve => process.stdout.write('', () => setImmediate(resolve)));
if (unwritten !== undefined) {
  tell(`stdout cannot be written: ${unwritten}`);
  process.exitCode ||= codes.failed;
}
