// Starting the stack of a node: `up` returns when the service is ready, or says who is to blame; what ran goes on.
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { recoverAll, writable } from '../../database/faults.ts';
import { HOPELESS_MS, watchHope } from '../../database/readiness.ts';
import { composeUp } from './compose.ts';
import { DEAF_S, databaseAnswers, ownData, runSql, setRole } from './database.ts';
import { proveDisk, readyDisk } from './disk.ts';
import { Trouble, exitCodes, linesOf, present, sectionsOf } from '../engine.ts';
import type { Engine, Service, Survey } from '../engine.ts';
import { forgetDerived, isDerived } from './faults/derived.ts';
import { thaw } from './faults/signals.ts';
import { readEnv } from './env-file.ts';
import { firstStartIsOver, noteReady, prepare, servedFile, servedSettings, writeSettings } from './files.ts';
import { Unreadable, parseContainers } from '../inspect.ts';
import { RolledBack, messageOf } from '../../platform.ts';
import type { Container } from '../inspect.ts';
import { askReady, clearFirewall, reconnect, republish } from './network.ts';
import type { Answer } from './network.ts';
import { stop } from './stop.ts';

/** A start: what there was before, when it is late, how often the service had been restarted, what was repaired. */
type Start = {
  engine: Engine; before: Survey; api: Container; db: Container;
  endMs: number; restarts: number; mended: Set<'port' | 'data' | 'frozen'>; isHopeless: (body: string) => boolean;
};

/** A program that will not get well by waiting. `fatal`: it refuses its configuration, and is not left running. */
class Guilty extends Trouble {
  readonly service: Service | 'preflight';
  readonly fatal: boolean;
  constructor(service: Service | 'preflight', reason: string, fatal = false) {
    super(reason);
    this.service = service;
    this.fatal = fatal;
  }
}

/** Compose failed, which may have cost what ran before. */
class NotStarted extends Trouble {}

/** With these settings. */
export async function start(engine: Engine, settled: string): Promise<void> {
  const { node, address, port, say } = engine.options;
  const { ORDERS_IMAGE: service = '', ORDERS_DB_IMAGE: database = '' } = readEnv(settled);
  const seen = await engine.survey();
  refuseTakenPort(engine, seen);
  const before = await readyDisk(engine, seen);
  await noteReady(engine, before);
  const former = await servedSettings(engine);
  await prepare(engine, before, { service, database }, settled);
  say(`${node.name}: image ${short(service)}, service on ${address}:${port}`);
  try {
    await compose(engine);
    await serve(engine, before, settled);
    if (before.api !== undefined && isDerived(engine, before.api)) await forgetDerived(engine);
  } catch (error) {
    if (error instanceof Trouble || error instanceof Unreadable) throw await explain(engine, before, error, former);
    throw error;
  }
}

/** Containers that Compose has made come to serve; their settings are then the way back of the next `up`. */
async function serve(engine: Engine, before: Survey, settled: string): Promise<void> {
  const { host, settings } = engine.options;
  const sight = await engine.look();
  await reconnect(engine, sight);
  await clearFirewall(engine);
  const [api, db] = [present(engine, sight, 'api'), present(engine, sight, 'db')];
  await awaitReady({
    engine, before, api, db, restarts: api.restartCount, mended: new Set(),
    endMs: performance.now() + settings.scaled(60_000),
    isHopeless: watchHope(settings.scaled(HOPELESS_MS)),
  });
  await proveDisk(engine, db);
  await host.write([{ path: servedFile(engine), text: settled }]);
}

/** Before anything is touched: Compose would stop the old service, then find that the new one cannot have its port. */
function refuseTakenPort({ options: { node, address, port } }: Engine, { publishers: [holder] }: Survey): void {
  if (holder === undefined) return;
  const owner = holder.owner === '' ? '' : `, which belongs to ${holder.owner}`;
  const where = `${node.name}: ${address}:${port}`;
  throw new Trouble(`${where} is published by the container ${holder.name}${owner}; ORDERS_PORT= takes another`);
}

const REFUSED = 78;

async function compose(engine: Engine): Promise<void> {
  const failed = await composeUp(engine);
  if (failed === undefined) return;
  if (/address already in use|port is already allocated/.test(failed)) throw couldNotStart(engine, failed);
  // What does not run may hold on to something that is gone, such as a network. It is made again; data is in a volume.
  const { all, preflight } = await engine.look();
  if (preflight?.status === 'exited' && preflight.exitCode === REFUSED) {
    throw new Guilty('preflight', 'the service refuses its configuration', true);
  }
  const isLeft = (box: Container) =>
    ['running', 'paused', 'removing'].includes(box.status) || (box === preflight && box.status === 'exited');
  const idle = all.filter(box => !isLeft(box));
  if (idle.length > 0) {
    const names = idle.map(({ name }) => name).join(' and ');
    engine.options.say(`${engine.options.node.name}: ${names} cannot be started, and is made again`);
    await engine.docker('rm', '-f', ...idle.map(({ id }) => id));
  }
  const again = await composeUp(engine);
  if (again !== undefined) throw couldNotStart(engine, again);
}

function couldNotStart({ options }: Engine, said: string): NotStarted {
  return new NotStarted(`${options.node.name}: Compose could not start the stack: ${said}`);
}

/** Waits for the database, sets its role, waits for /ready as a client sees it; watches both containers meanwhile. */
async function awaitReady(start: Start): Promise<void> {
  const { engine, endMs } = start;
  const { address, port, node, say, settings } = engine.options;
  let [roleIsSet, last]: [boolean, Answer | undefined] = [false, undefined];
  say(`${node.name}: waiting for the database`);
  for (;;) {
    const seen = await tick(start, roleIsSet);
    await blame(start, seen);
    if (seen.role !== undefined && !roleIsSet) {
      if (!seen.role) throw new Guilty('db', 'the role orders could not be set up');
      roleIsSet = true;
      say(`${node.name}: waiting for http://${address}:${port}/ready`);
    }
    if (roleIsSet) {
      last = await watchReady(start);
      if ('status' in last && last.status === 200) return;
      if ('status' in last && start.isHopeless(last.body)) {
        throw new Guilty('api', `what /ready says does not pass: ${last.status} ${last.body}`);
      }
      await mendPort(start, seen.api, last);
    }
    if (performance.now() > endMs) throw await late(start, last);
    await pause(settings.scaled(200));
  }
}

type Tick = { api: Container; db: Container; role: boolean | undefined };

/** One command: a slow machine would do nothing else but be looked at. */
async function tick({ engine, api, db }: Start, roleIsSet: boolean): Promise<Tick> {
  const { options, sh } = engine;
  const text = await sh(ticking, [api.id, db.id, roleIsSet ? 'set' : '', options.folder], {
    input: writable + recoverAll,
  });
  const { '': inspected = '', role } = sectionsOf(text);
  const [nowApi, nowDb] = parseContainers(inspected);
  if (nowApi === undefined || nowDb === undefined) throw new Guilty('api', 'a container has gone');
  return { api: nowApi, db: nowDb, role: role === undefined ? undefined : role.trim() === 'set' };
}

const ticking = `
api=$1 db=$2 role=$3 folder=$4
docker inspect --type container "$api" "$db" || exit
if [ -z "$role" ] && ${databaseAnswers}; then
  echo '== role'
  ${setRole} 1>&2 && ${runSql} 1>&2 && echo set && ${firstStartIsOver}
fi
exit 0
`;

/** For about a second. */
async function watchReady({ engine, endMs }: Start): Promise<Answer> {
  const { address, port, settings } = engine.options;
  const end = Math.min(endMs, performance.now() + settings.scaled(1_000));
  for (;;) {
    const answer = await askReady(address, port, settings.scaled(2_000));
    if (('status' in answer && answer.status === 200) || performance.now() > end) return answer;
    await pause(100);
  }
}

/**
 * A service that ran before, and whose port nobody listens on now, has lost the engine's forwarder; one that takes a
 * connection and says nothing may be frozen.
 */
async function mendPort({ engine, before, mended }: Start, api: Container, answer: Answer): Promise<void> {
  if ('status' in answer || api.startedAt !== before.api?.startedAt || api.status !== 'running') return;
  const trouble = answer.refused ? 'port' : 'frozen';
  if (mended.has(trouble)) return;
  mended.add(trouble);
  await (answer.refused ? republish(engine, api) : thaw(engine));
}

/** What ends again and again will not get well by waiting; but data that are another user's can be given back. */
async function blame(start: Start, { api, db }: Tick): Promise<void> {
  const ended = api.status === 'exited';
  if (api.restartCount > start.restarts || ended) {
    const ends = await exitCodes(start.engine, api.id, String(start.before.now), 0);
    if (ends.includes(String(REFUSED))) throw new Guilty('api', 'the service refuses its configuration', true);
    if (ended || api.restartCount > start.restarts + 4) throw new Guilty('api', 'the service ends again and again');
  }
  if (db.status !== 'exited' && !(db.status === 'restarting' && db.restartCount >= 3)) return;
  const { engine, mended } = start;
  if (mended.has('data') || !await ownData(engine, db)) throw new Guilty('db', 'the database ends again and again');
  mended.add('data');
  engine.options.say(`${engine.options.node.name}: the database's data were another user's, and are its own again`);
  await engine.docker('restart', '-t', String(DEAF_S), db.id);
}

async function late({ engine, api }: Start, last: Answer | undefined): Promise<Guilty> {
  if (last === undefined) return new Guilty('db', 'the database did not answer in time');
  if ('status' in last) return new Guilty('api', `not ready in time; /ready said last: ${last.status} ${last.body}`);
  const inside = await engine.docker('exec', api.id, '/nodejs/bin/node', '-e', askInside).catch(messageOf);
  if (!inside.startsWith('200')) {
    return new Guilty('api', `not ready in time: ${last.error}; inside, /ready said last: ${inside.trim()}`);
  }
  const inVm = engine.options.platform === 'vagrant';
  const advice = inVm ? 'does this machine have an address in its private network?' : 'its port is not forwarded';
  return new Guilty('api', `the service answers inside, but not from here (${last.error}); ${advice}`);
}

const askInside = `
const end = (...words) => { console.log(...words); process.exit(); };
require('http').get({ port: process.env.PORT, path: '/ready', agent: false, timeout: 3000 }, answer => {
  let body = '';
  answer.on('data', part => { body += part; }).on('end', () => end(answer.statusCode, body));
}).on('timeout', () => end('nothing in 3 s')).on('error', error => end(error.message));
`;

/**
 * Says what is left, with the last words of the one to blame. A start of what did not run leaves nothing running; what
 * ran and has changed is brought back with the settings that it had.
 */
async function explain(
  engine: Engine, before: Survey, error: Error, former: string | undefined,
): Promise<Error> {
  const { node, host, folder } = engine.options;
  const guilty = error instanceof Guilty ? error : undefined;
  const sight = await engine.look().catch(() => before);
  const words = guilty === undefined ? '' : await lastLines(engine, sight[guilty.service]).catch(messageOf);
  const reason = error.message.startsWith(`${node.name}: `) ? error.message : `${node.name}: ${error.message}`;
  const tell = (left: string) =>
    `${reason}; ${left}${words === '' ? '' : `; the last lines of ${guilty?.service}:\n${words}`}`;
  const ran = runs(before.api) || runs(before.db);
  const isChanged = (service: Service) =>
    runs(before[service]) && (!runs(sight[service]) || sight[service]?.id !== before[service]?.id);
  const isOther = isChanged('api') || isChanged('db') || await host.read(join(folder, 'env')) !== former;
  const isUntouched = error instanceof NotStarted && !isChanged('api') && !isChanged('db');
  if (former !== undefined && (error instanceof NotStarted || (ran && isOther))) {
    await writeSettings(engine.options, former);
  }
  if (former !== undefined && ran && isOther && !isUntouched) {
    const what = `what ran of ${node.name}`;
    const back = await bringBack(engine, before, former).then(() => undefined, messageOf);
    if (back !== undefined) return new Trouble(tell(`${what} was started again, and does not serve either: ${back}`));
    const build = buildOf((await engine.look().catch(() => before)).api);
    return new RolledBack(tell(`${what} runs again with the settings that it had, rolled back to the build ${build}`));
  }
  if (ran && guilty?.fatal !== true) return new Trouble(tell(`what ran of ${node.name} is left running`));
  return new Trouble(tell(await stop(engine, sight).then(() => `nothing of ${node.name} was left running`, messageOf)));
}

/** From its former image and settings, and ready. */
async function bringBack(engine: Engine, before: Survey, former: string): Promise<void> {
  engine.options.say(`${engine.options.node.name}: it does not get ready; what ran before comes back`);
  const failed = await composeUp(engine);
  if (failed !== undefined) throw new Trouble(failed);
  const { ORDERS_ADDRESS: address = '', ORDERS_PORT: port } = readEnv(former);
  await serve({ ...engine, options: { ...engine.options, address, port: Number(port) } }, before, former);
}

function runs(box: Container | undefined): boolean {
  return box !== undefined && ['running', 'paused'].includes(box.status);
}

function buildOf(api: Container | undefined): string {
  return api?.env.find(line => line.startsWith('GIT_SHA='))?.slice('GIT_SHA='.length) ?? 'unknown';
}

async function lastLines(engine: Engine, container: Container | undefined): Promise<string> {
  if (container === undefined) return '';
  const said = linesOf(await engine.sh('docker logs --tail 20 "$1" 2>&1', [container.id]));
  return [...new Set(said)].join('\n');
}

function short(image: string): string {
  return image.replace(/(sha256[:-].{12}).*/, '$1');
}
