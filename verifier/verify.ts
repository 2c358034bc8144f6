// Says whether the system works: node verifier/dist/verify.js, TAP on stdout. Exit 0 held, 1 broken, 2 could not run.
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openApi } from './api.ts';
import { sameEverywhere } from './contained.ts';
import { climbContract, climbNotUp } from './contract.ts';
import { openControl } from './control.ts';
import type { FaultInPlace } from './control.ts';
import { broken, climb } from './ladder.ts';
import type { Stage } from './ladder.ts';
import { readOptions } from './options.ts';
import type { Options } from './options.ts';
import { verdict } from './report.ts';
import type { Point } from './report.ts';
import { CannotRun, factsOf, survey } from './survey.ts';
import type { ControlFor, Sighted } from './survey.ts';
import { isSupervised, superviseTap } from './tap.ts';

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const stage: Stage = { test };

process.exitCode = await main(process.argv.slice(2));

async function main(args: string[]): Promise<number> {
  const read = readOptions(process.env, root);
  const complaints = 'complaints' in read ? [...read.complaints] : [];
  if (args.length > 0) complaints.push('no arguments are taken, but TARGETS EXPECT STRICT NODE PLATFORM ORDERS_STATE SCALE CONTROL are');
  if ('complaints' in read || complaints.length > 0) return cannotRun(complaints.join('; '));
  if (!isSupervised(process.env)) return superviseTap(fileURLToPath(import.meta.url), args, { env: process.env, onEnd: ({ points }) => summary(points, read.options) });
  try {
    return await verify(read.options);
  } catch (error) {
    if (error instanceof CannotRun) return cannotRun(error.message);
    throw error;
  }
}

async function verify(options: Options): Promise<number> {
  const controlFor: ControlFor = node => openControl({ path: options.control, scaled: options.scaled, ...(node === undefined ? {} : { node }) });
  const { sighted, notUp, faults } = await survey(options, controlFor);
  await tellFaults(faults, [...notUp, ...sighted.map(({ node }) => node)], options);
  const ends: (string | null)[] = [];
  for (const node of notUp) ends.push(await climbNotUp(stage, node, options.strict));
  for (const { target, node, ledger } of sighted) {
    ends.push(await climbContract(stage, target, { ...options, ledger, facts: factsOf(controlFor, node) }));
  }
  if (ends.length > 1) await compareNodes(sighted, ends.find(end => end !== null), { options, controlFor });
  return ends.every(end => end === null) ? 0 : 1;
}

// A fault on a node that is looked at makes the run red, unless trouble is what was asked for; any other is told.
async function tellFaults(faults: FaultInPlace[], nodes: (string | undefined)[], { expect }: Options): Promise<void> {
  for (const { node, fault, since } of faults) {
    const what = `fault ${fault} is still in place since ${since}`;
    const undo = `make recover NODE=${node}, or NODE=${node} node verifier/dist/drill.js recover, undoes it`;
    await stage.test(`${node} journal: ${what}; ${undo}`, {}, async t => {
      if (nodes.includes(node) && expect === 'ready') throw broken(`${node} journal`, 'no fault in place', `${fault} since ${since}; ${undo}`);
      t.diagnostic(`${node} journal: ${what}; ${undo}`);
    });
  }
}

type Comparing = { options: Options; controlFor: ControlFor };

async function compareNodes(sighted: Sighted[], below: string | null | undefined, { options, controlFor }: Comparing): Promise<void> {
  const names = sighted.map(({ target }) => target.node).join(', ');
  const same = async () => {
    const seen = await Promise.all(sighted.map(async ({ target, node }) => {
      const told = await factsOf(controlFor, node)();
      const version = (await openApi(target, options.scaled(2_000)).version()).value;
      return { node: target.node, image: 'facts' in told ? String(told.facts.api['image_id']) : 'no image', commit: version?.git_sha ?? 'no version' };
    }));
    const finding = sameEverywhere(seen);
    if (finding) throw broken(names, finding.wanted, finding.saw);
  };
  const skip = below ? { skip: `blocked by ${below}` } : {};
  await climb(stage, [{ name: 'contained', checks: [{ claim: `one image and one commit on ${names}`, ...skip, run: same }] }], { label: 'nodes' });
}

function summary(points: Point[], { expect }: Options): string[] {
  const faults = points.filter(({ name }) => / journal: /.test(name)).map(({ name }) => name);
  return [...faults, verdict(points, expect)];
}

function cannotRun(why: string): number {
  process.stderr.write(`verify: ${why}\n`);
  return 2;
}
