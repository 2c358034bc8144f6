// Load and what came of it: wrk for whatever speaks HTTP, pgbench for the database alone.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** What both programs need: a folder for their scripts, and a way to run them within a deadline. */
export type Runner = {
  dir: string;
  run(program: string, args: string[], deadlineMs: number, env?: Record<string, string>): Promise<string>;
};

/** rate: 2xx answers a second. Latencies are those of all answers. errors: answers above 399 and socket errors. */
export type Figures = { rate: number; accepted: number; errors: number; p50Ms: number; p99Ms: number };

/** Requests are lines such as "GET /health", sent in turn. */
export type Load = { requests: string[]; connections: number; seconds: number };

// Requests are formatted once; the figures leave in a form that needs no units.
const script = `
local requests, at = {}, 0
function init(args)
  for line in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format(line:match("^(%S+) (%S+)$"))
  end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    "figures duration_us=%d requests=%d status=%d connect=%d read=%d write=%d timeout=%d p50_us=%d p99_us=%d",
    summary.duration, summary.requests, errors.status, errors.connect, errors.read, errors.write, errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
`;

/** One round, on one thread of wrk. */
export async function runWrk(runner: Runner, port: number, load: Load): Promise<Figures> {
  const [lua, list] = [join(runner.dir, `load-${port}.lua`), join(runner.dir, `requests-${port}`)];
  await writeFile(lua, script);
  await writeFile(list, `${load.requests.join('\n')}\n`);
  const size = ['-t1', `-c${load.connections}`, `-d${load.seconds}s`, '--latency'];
  const args = [...size, '-s', lua, `http://127.0.0.1:${port}`, '--', list];
  return parseWrk(await runner.run('wrk', args, load.seconds * 1000 + 20_000));
}

export function parseWrk(text: string): Figures {
  const figure = (name: string): number => {
    const [, digits] = new RegExp(`^figures .*\\b${name}=(\\d+)( |$)`, 'm').exec(text) ?? [];
    if (digits === undefined) throw new Error(`wrk printed no ${name}: ${text}`);
    return Number(digits);
  };
  const accepted = figure('requests') - figure('status');
  const errors = ['status', 'connect', 'read', 'write', 'timeout'].reduce((sum, name) => sum + figure(name), 0);
  const rate = accepted / (figure('duration_us') / 1e6);
  return { rate, accepted, errors, p50Ms: figure('p50_us') / 1000, p99Ms: figure('p99_us') / 1000 };
}

export type Login = { port: number; password: string };

export type Statement = { sql: string; clients: number; seconds: number };

/** Transactions a second of one prepared statement: what the database gives when nothing is in front of it. */
export async function runPgbench(runner: Runner, login: Login, { sql, clients, seconds }: Statement): Promise<number> {
  const file = join(runner.dir, 'statement.sql');
  await writeFile(file, sql);
  const size = ['-n', '-M', 'prepared', '-j1', '-c', String(clients), '-T', String(seconds)];
  const args = [...size, '-f', file, '-h', '127.0.0.1', '-p', String(login.port), '-U', 'orders', 'orders'];
  return parsePgbench(await runner.run('pgbench', args, seconds * 1000 + 20_000, { PGPASSWORD: login.password }));
}

export function parsePgbench(text: string): number {
  const [, failed] = /^number of failed transactions: (\d+)/m.exec(text) ?? [];
  const [, tps] = /^tps = (\d+(?:\.\d+)?) \((?:without initial|excluding) connection/m.exec(text) ?? [];
  // Before version 15 pgbench counted no failures: it ended the client, and said so with its exit code.
  if (tps === undefined || Number(failed ?? 0) > 0) throw new Error(`pgbench did not succeed: ${text}`);
  return Number(tps);
}
