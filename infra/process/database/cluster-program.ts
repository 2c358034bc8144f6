// A PostgreSQL cluster for tests and benches, by hand: node cluster-program.js VERB FOLDER …
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openLocal } from '../../local.ts';
import { readSettings } from '../../settings.ts';
import { openCluster } from './cluster.ts';
import type { Cluster } from './cluster.ts';
import { sizeOf } from '../log.ts';
import { until } from '../until.ts';

const usage = `cluster-program.js VERB FOLDER
  init FOLDER PORT [ADDRESS]      make it, or give an existing one another port
  start FOLDER | stop FOLDER      as a daemon; both return when done
  freeze FOLDER | thaw FOLDER | kill FOLDER    SIGSTOP, SIGCONT, SIGKILL to every server process
  psql FOLDER [ARG…] | pid FOLDER | remove FOLDER
Exit 0 done, 1 failed, 2 not understood.
`;
const START_MS = 60_000;

const [verb = '', given = '', ...args] = process.argv.slice(2);
const read = readSettings(process.env, fileURLToPath(new URL('../../../..', import.meta.url)));
if ('complaints' in read) refuse(read.complaints.join('\n'));
const { settings } = read;
const say = (line: string) => void process.stderr.write(`cluster: ${line}\n`);

const verbs: Record<string, (cluster: Cluster, folder: string) => Promise<number | void> | number | void> = {
  init: async cluster => {
    const [port = '', address = '127.0.0.1'] = args;
    if (!/^\d+$/.test(port)) refuse(usage);
    await cluster.init(Number(port), address);
  },
  start,
  stop: cluster => cluster.stop(),
  freeze: cluster => cluster.signal('SIGSTOP'),
  thaw: cluster => cluster.signal('SIGCONT'),
  kill: async cluster => {
    const all = cluster.processes();
    cluster.signal('SIGKILL');
    await cluster.untilEnded(all);
  },
  psql: async cluster => {
    const { argv: [program = '', ...words], cwd, env } = await cluster.psql(...args);
    const child = spawn(program, words, { cwd, env: { ...settings.env, ...env }, stdio: 'inherit' });
    return new Promise(resolve => child.on('exit', code => resolve(code ?? 1)));
  },
  pid: cluster => {
    const [pid] = cluster.processes();
    if (pid === undefined) return 1;
    process.stdout.write(`${pid}\n`);
  },
  remove: cluster => cluster.remove(),
};

const act = verbs[verb];
if (act === undefined || given === '') refuse(usage);
if (verb === 'init') mkdirSync(given, { recursive: true, mode: 0o700 });
try {
  const folder = realpathSync(given);
  const { env, scaled, given: { PG_BIN: pgBin } } = settings;
  const cluster = openCluster({ folder, local: openLocal(env), pgBin, scaled, say });
  const needsOne = ['start', 'psql', 'freeze'].includes(verb);
  if (needsOne && !cluster.exists()) throw new Error(`no cluster in ${folder}: init makes one`);
  process.exitCode = await act(cluster, folder) ?? 0;
} catch (error) {
  const isGone = verb === 'remove' && (error as NodeJS.ErrnoException).code === 'ENOENT';
  if (!isGone) say(error instanceof Error ? error.message : String(error));
  process.exitCode = isGone ? 0 : 1;
}

async function start(cluster: Cluster, folder: string): Promise<void> {
  if (cluster.processes().length > 0) return;
  await cluster.clear();
  const { argv, cwd, user } = await cluster.server();
  const log = join(folder, 'log');
  const [from, fd] = [sizeOf(log), openSync(log, 'a', 0o600)];
  const [program = '', ...words] = argv;
  const child = spawn(program, words, { cwd, ...user, env: settings.env, detached: true, stdio: ['ignore', fd, fd] });
  closeSync(fd);
  child.unref();
  let ended = false;
  child.on('exit', () => { ended = true; });
  const began = await until(() => ended ? false : cluster.accepts(child.pid ?? 0) || undefined, START_MS);
  if (began !== true) throw new Error(`the server did not start: ${cluster.reason(log, from)}`);
}

function refuse(why: string): never {
  process.stderr.write(why.endsWith('\n') ? why : `${why}\n`);
  process.exit(2);
}
