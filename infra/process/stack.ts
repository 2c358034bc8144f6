// The two programs of one node: the service and its database, kept running by a supervisor in the node's folder.
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import type { Context } from '../context.ts';
import { recoverAll } from '../database/faults.ts';
import { RolledBack, messageOf } from '../platform.ts';
import type { Node, ProcessFacts } from '../platform.ts';
import { openCluster } from './database/cluster.ts';
import type { Cluster } from './database/cluster.ts';
import { lastLines, sizeOf } from './log.ts';
import { needFree, openPlace } from './place.ts';
import { changed, openReleases, originOf } from './release.ts';
import type { Changed, Run } from './release.ts';
import { awaitService, endStrays, isReady, mainOf, placed, settingsOf, tagOf } from './service.ts';
import type { Place } from './service.ts';
import { factsOf, isFrozen, isVain, statusOf, tellNode } from './status.ts';
import { needLinux, openSupervision } from './supervision.ts';
import type { Killed, ProgramStatus, Supervision } from './supervision.ts';
import { until } from './until.ts';

export type ProgramName = 'service' | 'database';
/** Its verbs throw with the reason when they fail, and may each run twice. */
export type ProcessStack = {
  readonly node: string;
  readonly supervision: Supervision;
  readonly cluster: Cluster;
  /** Where it is up; undefined when it is not. Looks at a file only. */
  isUp: () => Place | undefined;
  up: () => Promise<void>;
  halt: () => Promise<void>;
  destroy: () => Promise<void>;
  status: () => Promise<{ line: string; runs: boolean }>;
  logs: (write: (line: string) => void) => void;
  facts: () => Promise<ProcessFacts>;
  /** What the supervisor says of a program. */
  program: (name: ProgramName) => Promise<ProgramStatus>;
  /** Thaws it, starts it if need be, and returns when it accepts sessions. */
  startDatabase: () => Promise<void>;
  stopDatabase: () => Promise<void>;
  /**
   * Starts what served last if need be, and returns when it answers /health. `as`: that with other settings, under a
   * tag of their own.
   */
  startService: (as?: Changed) => Promise<void>;
  /**
   * As `up` does: what serves gives way to this checkout's build, or to what serves with other settings; returns when
   * that is ready. If it will not be, what served before is brought back, and RolledBack thrown.
   */
  replaceService: (as?: Changed) => Promise<void>;
  /** The same, to what served before a fault changed it. */
  restoreService: () => Promise<void>;
  /** What was ready last. */
  served: () => Run | undefined;
  /** What runs, and is ready, is what comes back, though the `up` that began it was killed before it could see that. */
  noteReady: () => Promise<void>;
  stopService: () => Promise<void>;
  /** Sets the role's password in the database; without one to that of the service. */
  setPassword: (password?: string) => Promise<void>;
  settings: () => Promise<Record<string, string>>;
};

const graces = { service: 15_000, database: 60_000 };
const deadlines = { database: 60_000, ready: 30_000, health: 15_000 };

/** The stack of a node. Looks at nothing yet. */
export function openStack(node: Node, context: Context): ProcessStack {
  const { settings, local } = context;
  const { scaled, root } = settings;
  const { name } = node;
  const say = (line: string): void => context.say(`${name}: ${line}`);
  const fail = (line: string): never => { throw new Error(`${name}: ${line}`); };
  const folder = join(settings.state, 'process', name);
  const logOf = (which: ProgramName): string => join(folder, `${which}.log`);
  const kept = openPlace(folder, node, context);
  const releases = openReleases(folder, root);
  const cluster = openCluster({ folder: join(folder, 'db'), local, pgBin: settings.given.PG_BIN, scaled, say });
  const supervision = openSupervision({ folder, env: settings.env, scaled });
  const program = async (which: ProgramName): Promise<ProgramStatus> => statusOf(await supervision.status(), which);
  const isStopped = async (which: ProgramName): Promise<boolean> => (await program(which)).state === 'stopped';

  // ---- starting ----
  const beginDatabase = async (): Promise<void> => {
    const { address, dbPort } = kept.place();
    // one that its supervisor starts again in this moment is no stray, and has its port already
    if (await isStopped('database')) {
      await cluster.clear();
      await needFree(address, dbPort, 'ORDERS_DB_PORT');
    }
    await supervision.start('database', {
      ...await cluster.server(), env: settings.env, signal: 'SIGINT', graceMs: scaled(graces.database),
      log: logOf('database'), tag: '',
    });
  };
  /** Its disk, if it has one, is mounted. A server whose disk lost its power cannot go on. */
  const powerOn = async (mb?: number): Promise<void> => {
    const isLost = await cluster.disk.size() !== null && !await cluster.disk.isOn();
    if (isLost && !await isStopped('database')) await stopDatabase();
    await cluster.mount(mb);
  };
  const startDatabase = async (): Promise<void> => {
    await supervision.settled();
    await powerOn();
    const [began, from] = [performance.now(), sizeOf(logOf('database'))];
    if ((await program('database')).state === 'running') await supervision.signal('database', 'SIGCONT', true);
    else await beginDatabase();
    const before = await program('database');
    const outcome = await until(async () => {
      const now = await program('database');
      if (now.pid !== null && cluster.accepts(now.pid)) return 'accepts';
      return isVain(before, now, performance.now() - began) ? 'ends' : undefined;
    }, scaled(deadlines.database));
    if (outcome === 'accepts') return;
    const how = outcome === 'ends' ? 'cannot start' : `does not answer after ${deadlines.database / 1000} s`;
    // a log that was moved aside meanwhile is read from its beginning
    const since = from > sizeOf(logOf('database')) ? 0 : from;
    fail(`the database ${how}:\n${cluster.reason(logOf('database'), since)}`);
  };

  const serviceSettings = () => settingsOf(context, kept.place(), cluster.passwordFile);
  const wanted = async (): Promise<Run> => {
    const [release, env] = [releases.take(), await serviceSettings()];
    // the password too: the service reads it once, and a cluster that was made again has another
    const password = readFileSync(cluster.passwordFile, 'utf8');
    return { release, env, tag: tagOf(release, { ...env, password }) };
  };
  /** A full disk costs the way back only. */
  const note = (act: () => void): void => {
    try {
      act();
    } catch (error) {
      releases.forget();
      say(`this build cannot be noted, so it could not come back: ${messageOf(error)}`);
    }
  };
  const beginService = async (run: Run): Promise<void> => {
    const { release, env, tag } = run;
    await supervision.settled();
    // a frozen one would wait for somebody to thaw it
    if (await supervision.signal('service', 'SIGCONT', true)) return;
    if (await isStopped('service')) {
      await endStrays(folder, scaled(graces.service));
      const { address, port } = kept.place();
      await needFree(address, port, 'ORDERS_PORT');
    }
    note(() => releases.begins(run));
    await supervision.start('service', {
      // in the node's folder, by which one whose supervisor was killed is known
      argv: [process.execPath, releases.mainOf(release)], cwd: folder,
      env: { PATH: settings.env['PATH'] ?? '', ...env, ...placed(kept.place(), cluster.passwordFile) },
      signal: 'SIGTERM', graceMs: scaled(graces.service), log: logOf('service'), tag,
    });
  };
  const untilServed = async (path: string, deadlineMs: number): Promise<void> => {
    const never = await awaitService({
      place: kept.place(), path, deadlineMs, log: logOf('service'), scaled, look: () => program('service'),
    });
    if (never !== undefined) fail(`the service ${never}`);
  };
  const serve = async (run: Run): Promise<void> => {
    const { state, tag } = await program('service');
    if (state !== 'stopped' && tag !== run.tag) {
      say('build or settings have changed, restarting the service');
      await stopService();
    }
    await beginService(run);
    const here = kept.place();
    await kept.keep(here, true);
    say(`waiting for http://${here.address}:${here.port}/ready`);
    await untilServed('/ready', deadlines.ready);
    note(() => releases.serves(run));
  };
  const noteReady = async (): Promise<void> => {
    const [{ state, tag }, pending] = [await program('service'), releases.pending()];
    if (state !== 'running' || tag !== pending?.tag || tag === releases.served()?.tag) return;
    if (await isReady(kept.place(), scaled)) note(() => releases.serves(pending));
  };
  const replaceBy = async (choose: () => Promise<Run>): Promise<void> => {
    await noteReady();
    // copied before anything is stopped: a full disk costs nobody his service
    const run = await choose();
    const former = releases.served();
    const now = await program('service');
    if (former === undefined && now.state !== 'stopped' && now.tag !== run.tag) {
      say('no former build is kept: if this one does not get ready it cannot be rolled back');
    }
    try {
      await serve(run);
    } catch (error) {
      if (former === undefined || former.tag === run.tag) throw error;
      const build = `the former build ${former.env['GIT_SHA'] ?? 'unknown'}`;
      say(`it does not get ready; ${build} comes back`);
      const back = await serve(former).then(() => undefined, messageOf);
      if (back === undefined) throw new RolledBack(`${messageOf(error)}\n${name}: rolled back, ${build} serves again`);
      throw new Error(`${messageOf(error)}\n${name}: ${build} was started again, and does not serve either: ${back}`);
    }
  };

  const replaceService = (as?: Changed): Promise<void> => replaceBy(async () => {
    if (as === undefined) return wanted();
    const origin = originOf(releases.served()) ?? fail('no build that was ready is kept to be changed: make up');
    return changed(origin, as);
  });
  const restoreService = (): Promise<void> =>
    replaceBy(async () => originOf(releases.served()) ?? await wanted());

  const setPassword = (password = readFileSync(cluster.passwordFile, 'utf8').trim()): Promise<void> =>
    cluster.sql(`alter role orders password '${password}';\n`).then(() => undefined);

  const up = async (): Promise<void> => {
    await needLinux(local);
    if (!existsSync(mainOf(root))) fail(`${mainOf(root)} is not there: run make build`);
    await supervision.settled();
    const here = kept.choose(!await isStopped('service') || !await isStopped('database'));
    mkdirSync(folder, { recursive: true });
    await kept.keep(here, kept.isUp() !== undefined);
    await powerOn(settings.diskMb);
    if (await cluster.disk.isFull()) await cluster.disk.free();
    say(`database on ${here.address}:${here.dbPort}, service on ${here.address}:${here.port}`);
    if (kept.isUp() !== undefined && !cluster.exists()) {
      say(`the data in ${join(folder, 'db')} is gone: beginning with an empty database`);
      await supervision.stop('database');
    }
    if ((await program('database')).state !== 'running') await cluster.init(here.dbPort, here.address);
    await startDatabase();
    // a halted node could not recover what is wrong in its database
    await cluster.sql(recoverAll);
    await setPassword();
    await replaceService();
  };

  // ---- stopping ----
  const tell = ({ killed }: Killed): void => {
    for (const which of killed as ProgramName[]) {
      say(`the ${which} had not ended after ${graces[which] / 1000} s and was killed`);
    }
  };
  const stopService = async (): Promise<void> => {
    tell(await supervision.stop('service'));
    if (await supervision.status() === undefined) await endStrays(folder, scaled(graces.service));
  };
  const stopDatabase = async (): Promise<void> => {
    tell(await supervision.stop('database'));
    await cluster.stop();
  };
  const halt = async (): Promise<void> => {
    if (!existsSync(folder)) return;
    // neither a full disk nor a file that cannot be read keeps anybody from stopping
    await (async () => kept.keep(kept.place(), false))().catch(kept.forget);
    releases.forget();
    tell(await supervision.end());
    await endStrays(folder, scaled(graces.service));
    await cluster.stop();
    await cluster.disk.unmount();
    say('stopped, its data is kept');
  };
  const destroy = async (): Promise<void> => {
    if (!existsSync(folder)) return;
    await halt();
    await cluster.remove();
    rmSync(folder, { recursive: true, force: true });
    say('gone, with its data');
  };

  // ---- telling ----
  const status = async (): Promise<{ line: string; runs: boolean }> => {
    if (!existsSync(folder)) return { line: `${name}: never started`, runs: false };
    return tellNode(name, kept.place(), kept.isUp() !== undefined, await supervision.status());
  };
  const facts = async (): Promise<ProcessFacts> => {
    if (kept.isUp() === undefined) fail('not up');
    const seen = await supervision.status();
    const [service, database] = [statusOf(seen, 'service'), statusOf(seen, 'database')];
    // a frozen one takes connections and says nothing
    const isAwake = database.pid !== null && !isFrozen(database);
    return {
      platform: 'process', node: name, containers: false, reason: 'plain processes: nothing contains them',
      user: userInfo().username, boot_id: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
      disk_mb: await cluster.disk.size(), durability: isAwake ? await cluster.durability() : null,
      api: factsOf(service), db: factsOf(database),
    };
  };
  const logs = (write: (line: string) => void): void => {
    for (const which of ['service', 'database'] as const) {
      for (const line of lastLines(logOf(which), settings.lines)) write(`${name} ${which} | ${line}`);
    }
  };
  const startService = async (as?: Changed): Promise<void> => {
    const served = releases.served();
    await beginService(as === undefined ? served ?? await wanted() : changed(originOf(served) ?? await wanted(), as));
    await untilServed('/health', deadlines.health);
  };
  return {
    node: name, supervision, cluster, isUp: kept.isUp, up, halt, destroy, status, logs, facts, program,
    startDatabase, stopDatabase, startService, replaceService, restoreService, stopService, noteReady,
    served: releases.served, setPassword, settings: serviceSettings,
  };
}
