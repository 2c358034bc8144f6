// make bench: the service beside a bare program and the database alone, in one run. REFERENCE.md says how to read it.
// Environment: BENCH, BENCH_ONLY, BENCH_IDS, ORDERS_STATE. Exit 0 done, 1 failed or an order was lost, 2 could not run.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';
import { parts } from './parts.ts';
import type { Course, Footprint, Plan } from './parts.ts';
import { ratesOf, render } from './table.ts';
import { openProcesses, root } from './testbed.ts';
import type { Ids, Testbed } from './testbed.ts';

type Part = keyof typeof parts;
type Asked = { plan: Plan; wanted: Part[]; ids: Ids };

const plans: Record<'full' | 'quick', Plan> = {
  full: { rounds: 3, seconds: 2, connections: [1, 8, 32, 128, 512], sizes: [1e3, 1e5, 1e7], fleets: [1, 2, 4] },
  quick: { rounds: 1, seconds: 1, connections: [1, 32, 128], sizes: [1e3, 1e5], fleets: [1, 2, 4] },
};
const partNames = ['start', 'rows', 'growth', 'processes'] as const;

const processes = openProcesses();
let stopping = false;
const leave = (code: number): void => {
  stopping = true;
  void processes.close().catch(error => say(String(error))).finally(() => process.exit(code));
};
for (const [signal, code] of Object.entries({ SIGHUP: 129, SIGINT: 130, SIGTERM: 143 })) {
  process.on(signal, () => leave(code));
}
process.on('uncaughtException', error => {
  say(String(error));
  leave(1);
});
// Whoever reads the table or the progress may go away; the file is written all the same.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

try {
  const asked = readEnvironment(process.env);
  const complaints = 'complaints' in asked ? asked.complaints : await findMissing();
  if ('complaints' in asked || complaints.length > 0) {
    complaints.forEach(say);
    process.exitCode = 2;
  } else {
    process.exitCode = await run(asked);
  }
} catch (error) {
  // What a signal cuts short fails as well; how that ends is the signal's affair.
  if (stopping) await new Promise(() => {});
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
} finally {
  await processes.close();
}

async function run({ plan, wanted, ids }: Asked): Promise<number> {
  const beganMs = performance.now();
  const testbed = await processes.open(ids);
  const machine = await describe(testbed);
  const none = (): Footprint => ({ ms: [], idleMb: Number.NaN, loadedMb: Number.NaN });
  const footprints = { ours: none(), bare: none() };
  const course: Course = { testbed, plan, say, cells: [], footprints, accepted: 0, stored: 0 };
  for (const part of wanted) await parts[part](course);
  const { cells, accepted, stored } = course;
  const { cores, cpu, node, postgres, commit, date } = machine;
  const leftOut = partNames.filter(part => !wanted.includes(part));
  process.stdout.write(`${[
    `${cores} × ${cpu}, Node ${node}, PostgreSQL ${postgres}, commit ${commit}, ${date}.`,
    `Medians of ${plan.rounds} × ${plan.seconds} s (least–most); ${ids} ids; a rate counts 2xx answers only.`,
    ...(leftOut.length > 0 ? [`Left out: ${leftOut.join(', ')}.`] : []),
    '', render(course),
  ].join('\n')}\n`);
  const state = process.env['ORDERS_STATE'] || join(root, '.state');
  const file = join(state, 'bench.json');
  mkdirSync(state, { recursive: true });
  const withMedians = cells.map(cell => ({ ...cell, medians: ratesOf(cell) }));
  const results = { machine, plan, ids, footprints, accepted, stored, cells: withMedians };
  writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`);
  say(`done in ${Math.round((performance.now() - beganMs) / 1000)} s, every round is in ${file}`);
  return accepted > stored ? 1 : 0;
}

function readEnvironment(env: Record<string, string | undefined>): Asked | { complaints: string[] } {
  const complaints: string[] = [];
  const oneOf = <T extends string>(name: string, choices: readonly [T, ...T[]], text: string): T => {
    const choice = choices.find(one => one === text);
    if (choice === undefined) complaints.push(`${name} must be ${choices.join(' or ')}, not ${JSON.stringify(text)}`);
    return choice ?? choices[0];
  };
  const size = oneOf('BENCH', ['full', 'quick'], env['BENCH'] || 'full');
  const ids = oneOf('BENCH_IDS', ['random', 'ordered'], env['BENCH_IDS'] || 'random');
  const only = (env['BENCH_ONLY'] ?? '').match(/[^\s,]+/g)?.map(text => oneOf('BENCH_ONLY', partNames, text)) ?? [];
  const usual = partNames.filter(part => size === 'full' || part !== 'growth');
  const wanted = only.length > 0 ? partNames.filter(part => only.includes(part)) : usual;
  return complaints.length > 0 ? { complaints } : { plan: plans[size], wanted, ids };
}

/** Says which package holds what does not run here. */
async function findMissing(): Promise<string[]> {
  const runs = async (program: string, sign: RegExp): Promise<boolean> => {
    // wrk shows its version, and ends with 1.
    const shown = await processes.run(program, ['--version'], 10_000).catch(error => String(error));
    return sign.test(shown);
  };
  const packages = [
    ...((await runs('wrk', /wrk \S+ \[/)) ? [] : ['wrk']),
    ...((await runs('pgbench', /^pgbench \(PostgreSQL\)/)) ? [] : ['postgresql']),
  ];
  return packages.length === 0 ? [] : [`wrk and pgbench are needed; on Debian: apt-get install ${packages.join(' ')}`];
}

async function describe(testbed: Testbed) {
  let commit = 'unknown';
  try {
    const args = ['-C', root, 'describe', '--always', '--dirty', '--exclude', '*', '--abbrev=12'];
    commit = execFileSync('git', args, { stdio: 'pipe' }).toString().trim();
  } catch {
    // An unpacked archive has no history.
  }
  const [cpu] = cpus();
  const postgres = (await testbed.psql('show server_version')).split(' ')[0] ?? '';
  return {
    cpu: cpu?.model ?? 'unknown', cores: availableParallelism(), node: process.versions.node, postgres, commit,
    date: new Date().toISOString().slice(0, 10),
  };
}

function say(text: string): void {
  process.stderr.write(`bench: ${text}\n`);
}
