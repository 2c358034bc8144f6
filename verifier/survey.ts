// What there is to look at: the targets, the ledger and the facts of each, and faults that somebody left in place.
import { join } from 'node:path';
import { parseFacts } from './contained.ts';
import type { Contract } from './contract.ts';
import { parseJournal } from './control.ts';
import type { Control, FaultInPlace, Told } from './control.ts';
import { addressOf } from './options.ts';
import type { Options, Target } from './options.ts';

/** `node` is undefined for a target that no node of ours answers to. */
export type Sighted = { target: Target; node: string | undefined; ledger: string };
export type Survey = { sighted: Sighted[]; notUp: string[]; faults: FaultInPlace[] };
/** A control for the nodes named, `all` included; undefined leaves the choice to control. */
export type ControlFor = (nodes: string | undefined) => Control;

/** The verifier cannot even begin: the message says why. */
export class CannotRun extends Error {}

/** Targets by TARGETS at their word, else those nodes that are up; sends nothing to any of them. */
export async function survey(options: Options, controlFor: ControlFor): Promise<Survey> {
  const { targets, nodes, stateFolder } = options;
  const ledgerOf = (name: string) => join(stateFolder, 'ledger', `${name}.jsonl`);
  if (targets.length > 0) return surveyGiven(options, controlFor, ledgerOf);
  const control = controlFor(nodes);
  const up = parseTargetLines(answered(await control.targets(), options.control, 'targets'));
  const platform = options.platform ?? ((await control.platform()).stdout.trim() || 'unknown');
  const faults = parseJournal(answered(await control.journal(), options.control, 'journal'));
  // Without NODE control means the node `control`; all nodes, but none up, is as much as that one not up.
  const asked = nodes === 'all' ? [] : (nodes ?? 'control').split(' ');
  const notUp = asked.filter(name => !up.some(({ node }) => node === name));
  return {
    sighted: up.map(target => ({ target, node: target.node, ledger: ledgerOf(`${platform}-${target.node}`) })),
    notUp: up.length === 0 && notUp.length === 0 ? ['all'] : notUp,
    faults,
  };
}

/** What the platform tells about one node. */
export function factsOf(controlFor: ControlFor, node: string | undefined): Contract['facts'] {
  return async () => {
    if (node === undefined) return { skip: 'this target is no node of ours that is up, so nothing tells facts about it' };
    const told = await controlFor(node).facts();
    if (told.exit === 3) return { skip: lastLine(told.stderr) };
    if (told.exit !== 0) return { trouble: `control facts ${node} ended with ${told.exit}: ${lastLine(told.stderr)}` };
    return parseFacts(told.stdout, node);
  };
}

async function surveyGiven({ targets }: Options, controlFor: ControlFor, ledgerOf: (name: string) => string): Promise<Survey> {
  // Only to know whose facts to ask for: where to look was said, and holds without any control at all.
  const control = controlFor('all');
  const known = await control.targets();
  const up = known.exit === 0 ? parseTargetLines(known.stdout) : [];
  const journal = await control.journal();
  return {
    sighted: targets.map(target => ({
      target,
      node: up.find(one => addressOf(one) === addressOf(target))?.node,
      ledger: ledgerOf(`${target.host}_${target.port}`.replaceAll(':', '.')),
    })),
    notUp: [],
    faults: journal.exit === 0 ? parseJournal(journal.stdout) : [],
  };
}

/** Lines `node host:port`. */
export function parseTargetLines(text: string): Target[] {
  return text.split('\n').flatMap(line => {
    const [, node, host, port] = /^(\S+) \[?(.+?)\]?:(\d+)$/.exec(line.trim()) ?? [];
    return node && host ? [{ node, host, port: Number(port) }] : [];
  });
}

function answered(told: Told, path: string, verb: string): string {
  if (told.exit === 0) return told.stdout;
  throw new CannotRun(`${path} ${verb} ended with ${told.exit}: ${lastLine(told.stderr)}`);
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) || 'no reason given';
}
