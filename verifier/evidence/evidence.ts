// Gathers the evidence of a run while it goes, and keeps it at its end; whatever fails here, the run's verdict stays.
import { join } from 'node:path';
import type { Control } from '#infra/control';
import { messageOf } from '#infra/platform';
import type { Facts, Outcome } from '#infra/platform';
import type { Env } from '#infra/settings';
import type { Options } from '../options.ts';
import { runPage } from '../report/run-page.ts';
import type { Message } from '../results/reporter.ts';
import type { Report, RunOptions } from '../results/run.ts';
import type { Ladder } from '../results/verdict.ts';
import type { Watched } from '../results/watched.ts';
import { readCheckout } from './checkout.ts';
import { takePlace } from './folder.ts';
import type { Place } from './folder.ts';
import { hideSecrets } from './hide.ts';
import { junitOf } from './junit.ts';
import type { Kept, ProgramName, Result } from './result.ts';
import { factsPart, seeFacts, seeLogs } from './surroundings.ts';
import type { Parts } from './surroundings.ts';

/** Who runs: the program's name, its environment, the checkout, and what it has in hand. */
export type Runner = { name: ProgramName; env: Env; root: string; options: Options; control: Control };
export type Evidence = {
  /** What `runTests` is to be given instead, so that everything is heard here too. */
  watch: (options: RunOptions) => RunOptions;
  /** Writes what was gathered, and gives the exit code that it was given: the report's, when there is no other. */
  keep: (report: Report, exit?: number) => Promise<number>;
};
/** Of one node, as the run was told them; `last` from its second look on. */
type Told = { first: Outcome<Facts>; last?: Outcome<Facts> };
type Gathered = {
  started: Date;
  nodes: Promise<string[]>;
  facts: Map<string, Told>;
  within: string | null;
  taps: string[];
  points: Pick<Kept, 'atMs' | 'ms'>[];
  watched: Watched[];
  ladders: Map<string, Ladder>;
  verdict: string;
};

/** Tells programs that a run starts which run it is. */
const WITHIN = 'ORDERS_EVIDENCE_WITHIN';
const PATIENCE_MS = 15_000;

/** Begins to gather. A verification that a drill runs for itself belongs to the drill. */
export async function openEvidence(runner: Runner): Promise<Evidence> {
  const { name, env, options, control } = runner;
  const within = env[WITHIN] || null;
  const nothing: Evidence = { watch: given => given, keep: async (report, exit = report.exit) => exit };
  if (within !== null && /-(drill|prove)(\.\d+)?$/.test(within)) return nothing;
  const started = new Date();
  let place: Place;
  try {
    place = await takePlace(join(options.state, 'evidence'), name, started);
  } catch (error) {
    return { ...nothing, keep: async (report, exit = report.exit) => complain(name, error, exit) };
  }
  const nodes = options.targets.length > 0 ? Promise.resolve([]) : control.chosenNodes().catch(() => []);
  const gathered: Gathered = {
    started, nodes, facts: new Map(), within, taps: [], points: [], watched: [], ladders: new Map(), verdict: '',
  };
  return {
    watch: given => listen(given, place.id, gathered),
    keep: async (report, exit = report.exit) => {
      try {
        await place.keep(await compose(runner, { id: place.id, report, exit, gathered }));
        return exit;
      } catch (error) {
        return complain(name, error, exit);
      }
    },
  };
}

function complain(name: string, error: unknown, exit: number): number {
  process.stderr.write(`${name}: no evidence is kept of this run: ${messageOf(error).split('\n')[0]}\n`);
  return exit;
}

function listen(given: RunOptions, id: string, gathered: Gathered): RunOptions {
  const { env, onEnd = () => [], onMessage = () => undefined } = given;
  return {
    ...given,
    env: { ...env, [WITHIN]: id },
    onTap: text => gathered.taps.push(text),
    onMessage: message => {
      gather(message, gathered);
      onMessage(message);
    },
    onEnd: report => {
      const lines = onEnd(report);
      gathered.verdict = lines.at(-1) ?? '';
      return lines;
    },
  };
}

function gather(message: Message, { started, points, watched, ladders, facts }: Gathered): void {
  if ('point' in message) points.push({ atMs: Date.now() - started.getTime(), ms: message.ms });
  if ('watched' in message) watched.push(message.watched);
  if ('ladder' in message) ladders.set(message.drill, message.ladder);
  if ('facts' in message) {
    const first = facts.get(message.node)?.first;
    facts.set(message.node, first === undefined ? { first: message.facts } : { first, last: message.facts });
  }
}

type Ending = { id: string; report: Report; exit: number; gathered: Gathered };

/** Every file by its path, without secrets. */
async function compose({ name, root, options, control }: Runner, ending: Ending): Promise<Record<string, string>> {
  const { id, report, exit, gathered } = ending;
  const { started, within, watched, ladders, taps, verdict } = gathered;
  const nodes = await gathered.nodes;
  const deadlineMs = options.scaled(PATIENCE_MS);
  const seen = [...gathered.facts];
  const before = seen.map(([node, { first }]) => [node, first] as const);
  const last = new Map(seen.flatMap(([node, told]) => told.last === undefined ? [] : [[node, told.last]]));
  const [after, logs] = await Promise.all([
    seeFacts(control, nodes, { last, deadlineMs }),
    seeLogs(control, nodes, { sinceMs: started.getTime(), deadlineMs }),
  ]);
  const parts: Parts = { 'facts-before.json': factsPart(before), 'facts-after.json': after, ...logs };
  const missing = Object.entries(parts).flatMap(([path, part]) => 'why' in part ? [[path, part.why]] : []);
  const { commit, version } = await readCheckout(root);
  const { scale, strict, expect, kills, targets } = options;
  const result: Result = {
    format: 1, id, program: name, within, nodes, commit, verdict, exit,
    platform: options.platform ?? (await control.memory().catch(() => undefined))?.platform ?? null,
    versions: { node: process.versions.node, verifier: version },
    settings: {
      scale, strict, expect, kills: kills ?? null, targets: targets.map(({ host, port }) => `${host}:${port}`),
    },
    started: started.toISOString(), ms: Date.now() - started.getTime(),
    fault: report.fault, cannotRun: report.cannotRun ?? null,
    points: report.points.map((point, i) => ({ ...point, ...gathered.points[i] ?? { atMs: 0, ms: 0 } })),
    drills: watched.map(({ drill, node, times }) => ({ drill, node, times, ladder: ladders.get(drill) ?? null })),
    missing: Object.fromEntries(missing),
  };
  const files: (readonly [path: string, text: string])[] = [
    ['result.json', `${JSON.stringify(result, undefined, 2)}\n`], ['run.tap', taps.join('')],
    ['junit.xml', await junitOf(result)], ['report.html', await runPage({ result, watched, root })],
    ...watched.length === 0 ? [] : [['timeline.ndjson', ndjson(watched)] as const],
    ...Object.entries(parts).flatMap(([path, part]) => 'text' in part ? [[path, part.text] as const] : []),
  ];
  return Object.fromEntries(files.map(([path, text]) => [path, hideSecrets(text)]));
}

function ndjson(watched: readonly Watched[]): string {
  return watched.flatMap(({ drill, node, marks, samples }) => [
    ...Object.entries(marks).map(([mark, atMs]) => ({ drill, node, mark, atMs })),
    ...samples.map(sample => ({ drill, node, ...sample })),
  ]).map(line => `${JSON.stringify(line)}\n`).join('');
}
