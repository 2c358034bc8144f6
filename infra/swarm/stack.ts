// The stack on the swarm: its images on every machine, its secrets, and a rollout that is waited for.
import { randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Context } from '../context.ts';
import { Trouble, linesOf } from '../docker/engine.ts';
import { askReady } from '../docker/stack/network.ts';
import { RolledBack } from '../platform.ts';
import { load, openArchives, parseLacking } from '../vagrant/ship.ts';
import type { Fleet } from './fleet.ts';
import { writePaced } from './pace.ts';
import { PORT } from './places.ts';
import { parseRollouts, parseServices } from './texts.ts';
import type { Rollout, ServiceState } from './texts.ts';

export const STACK = 'orders';
/** What stack.yml takes from its environment. */
export type Values = Readonly<Record<string, string>>;
type Rolling = { context: Context; fleet: Fleet };

const passwords = ['database_password', 'replication_password', 'rewind_password', 'patroni_password'];

/** Made once; they stay until `destroy`. */
async function makeSecrets({ local, settings }: Context): Promise<void> {
  for (const path of secretsOf(settings.state)) {
    if (await local.read(path) !== undefined) continue;
    await local.write([{ path, text: randomBytes(24).toString('hex'), mode: 0o600 }]);
  }
}

/** The files of all passwords. */
export function secretsOf(state: string): string[] {
  return passwords.map(name => join(state, 'swarm', 'secrets', name));
}

/** Every machine's engine has these images then. No registry is asked, so they travel as archives. */
export async function distribute({ context, fleet }: Rolling, images: readonly string[]): Promise<void> {
  const { settings, local } = context;
  const archives = openArchives(context, local, join(settings.state, 'swarm', 'images'));
  await Promise.all(fleet.machines.map(async machine => {
    const argv = ['docker', 'image', 'inspect', '--format', 'there', ...images];
    const lacking = parseLacking(await machine.host.run(argv), images);
    if (!('done' in lacking)) throw new Trouble(`${machine.host.name}: images cannot be looked at`);
    for (const image of lacking.done) {
      const archive = await archives(image);
      if (!('done' in archive)) throw new Trouble(Object.values(archive).join());
      if (archive.done === undefined) throw new Trouble(`${image} would have to be fetched there`);
      const loaded = await load(machine.host, archive.done, settings.scaled(300_000));
      if (!('done' in loaded)) throw new Trouble(`${machine.host.name}: ${Object.values(loaded).join()}`);
    }
  }));
}

/**
 * Deploys the stack and returns when all of it runs and every router says ready. Throws RolledBack when Swarm has taken
 * a former build back.
 */
export async function rollOut(rolling: Rolling, values: Values): Promise<void> {
  const { context, fleet } = rolling;
  const { settings } = context;
  const before = await unhurried(rolling);
  const [stack = '', cluster = '', ...configs] = await writePaced(context);
  await makeSecrets(context);
  const secrets = secretsOf(settings.state);
  const machine = await fleet.manager();
  await machine.lend([stack, cluster, ...configs, ...secrets], at => fleet.sh(machine, deploying, [
    at(stack), at(cluster), STACK,
  ], {
    env: { ...values, ORDERS_SECRETS: dirname(at(secrets[0] ?? '')) }, deadlineMs: settings.scaled(60_000),
  }));
  await settled(rolling, before);
  await awaitRouters(rolling);
}

const deploying = 'exec docker stack deploy --resolve-image never --prune -c "$1" -c "$2" "$3" >/dev/null';

/**
 * The services, once no update of them is under way: Swarm remembers one former build only, and a second update in the
 * middle of a bad one would make the bad one what it goes back to.
 */
export async function unhurried({ context: { settings, say }, fleet }: Rolling): Promise<Rollout[]> {
  const end = performance.now() + settings.scaled(300_000);
  let told = '';
  for (;;) {
    const all = await rolloutsOf(fleet);
    const line = all.filter(isUnderWay).map(({ name, state }) => `${name} (${state})`).join(', ');
    if (line === '') return all;
    if (line !== told) say(`waiting for the update that is under way: ${line}`);
    told = line;
    if (performance.now() > end) throw new Trouble(`an update that is under way does not end: ${line}`);
    await pause(settings.scaled(500));
  }
}

/** Waits until every service has as many tasks as it wants, and every update that was begun since `before` is over. */
export async function settled(rolling: Rolling, before: readonly Rollout[]): Promise<void> {
  const { context: { settings, say }, fleet } = rolling;
  const since = new Date().toISOString();
  const end = performance.now() + settings.scaled(300_000);
  let told = '';
  for (;;) {
    const services = await servicesOf(fleet);
    const now = await rolloutsOf(fleet);
    const former = (name: string) => before.find(one => one.name === name);
    const begun = now.filter(one => one.startedAt !== former(one.name)?.startedAt);
    const back = begun.filter(({ state }) => state === 'rollback_completed');
    if (back.length > 0) throw new RolledBack(await reasonOf(fleet, back, since));
    const stuck = begun.filter(({ state }) => state?.endsWith('paused'));
    const halfWay = `an update stopped half way: ${messagesOf(stuck)}`;
    if (stuck.length > 0) throw new Trouble(`${halfWay}; ${await failures(fleet, since)}`);
    const missing = services.filter(({ running, wanted }) => running !== wanted);
    const open = now.filter(one => isUnderWay(one) || isToCome(one, former(one.name)));
    if (services.length > 0 && missing.length === 0 && open.length === 0) return;
    const line = [
      ...missing.map(({ name, running, wanted }) => `${name} ${running} of ${wanted}`),
      ...open.map(({ name }) => `the update of ${name}`),
    ].join(', ');
    if (line !== told) say(`waiting for ${line}`);
    told = line;
    if (performance.now() > end) throw new Trouble(`not there in time: ${line}; ${await failures(fleet, since)}`);
    await pause(settings.scaled(500));
  }
}

/** None before the first deployment. */
export async function rolloutsOf(fleet: Fleet): Promise<Rollout[]> {
  const services = await servicesOf(fleet);
  if (services.length === 0) return [];
  return parseRollouts(await fleet.ask(['docker', 'service', 'inspect', ...services.map(({ name }) => name)]));
}

/** Swarm says of each service that as many of its tasks run as it wants; it may be wrong about what it lost lately. */
export async function countsAll(fleet: Fleet): Promise<boolean> {
  return (await servicesOf(fleet)).every(({ running, wanted }) => running === wanted);
}

async function servicesOf(fleet: Fleet): Promise<ServiceState[]> {
  return parseServices(await fleet.ask(['docker', 'service', 'ls', '--format', '{{.Name}} {{.Replicas}}']));
}

/** Every router of a machine that is on says ready. */
export async function awaitRouters(rolling: Rolling): Promise<void> {
  const on = (await rolling.fleet.on()).map(({ place }) => place);
  await Promise.all(on.map(({ node, address }) => awaitReady(rolling, node.name, address)));
}

function isUnderWay({ state }: Rollout): boolean {
  return state === 'updating' || state === 'rollback_started';
}

/** Other tasks are wanted, and Swarm has not yet said that it is about to make them: it says so a moment later. */
function isToCome({ spec, state }: Rollout, before: Rollout | undefined): boolean {
  return before !== undefined && spec !== before.spec && state !== 'completed';
}

async function awaitReady({ context: { settings } }: Rolling, node: string, address: string): Promise<void> {
  const end = performance.now() + settings.scaled(60_000);
  for (;;) {
    const answer = await askReady(address, PORT, settings.scaled(2_000));
    if ('status' in answer && answer.status === 200) return;
    if (performance.now() > end) {
      const saw = 'status' in answer ? `${answer.status} ${answer.body}` : answer.error;
      throw new Trouble(`${node}: not ready at ${address}:${PORT} in time: ${saw}`);
    }
    await pause(settings.scaled(100));
  }
}

async function reasonOf(fleet: Fleet, back: readonly Rollout[], since: string): Promise<string> {
  const what = `what is new did not become ready and was rolled back by Swarm (${messagesOf(back)})`;
  const serves = back.find(({ name }) => name === `${STACK}_api`)?.env['GIT_SHA'] ?? 'the former build';
  return `${what}; ${serves} serves; ${await failures(fleet, since)}`;
}

function messagesOf(some: readonly Rollout[]): string {
  return some.map(({ name, message }) => `${name}: ${message}`).join('; ');
}

/**
 * What failed since then, in its own words: of a task that Swarm could not start its error, of a container that has
 * ended its last health check or the last line of its log. One that was told to end for being unhealthy ends well, so
 * that Swarm has no error to tell.
 */
async function failures({ on, ask, sh }: Fleet, since: string): Promise<string> {
  const tasks = linesOf(await ask(['docker', 'stack', 'ps', STACK, '--no-trunc', '--format', naming]));
  const ids = tasks.map(line => line.split(' ')[0] ?? '');
  const times = ids.length === 0 ? [] : linesOf(await ask(['docker', 'inspect', '--format', timing, ...ids]));
  const unstarted = tasks.flatMap((line, i) => (
    (times[i] ?? '') > since && !line.endsWith(': ') ? line.slice(line.indexOf(' ') + 1) : []
  ));
  const ended = await Promise.all((await on()).map(async machine => (
    linesOf(await sh(machine, ending, [STACK])).flatMap(line => {
      const [at = '', service = '', ...words] = line.split(' ');
      return at > since ? `${service} on ${machine.host.name}: ${words.join(' ').slice(0, 300)}` : [];
    })
  )));
  return [...ended.flat(), ...unstarted].slice(0, 3).join('; ') || 'no task says why';
}

const naming = '{{.ID}} {{.Name}} on {{.Node}}: {{.Error}}';
const timing = '{{.Status.Timestamp.UTC.Format "2006-01-02T15:04:05.000Z"}}';
// one that is looked at may be gone the next moment
const ending = `
for id in $(docker ps -aq --filter "label=com.docker.stack.namespace=$1" --filter status=exited); do
  told=$(docker inspect --format '{{with .State.Health}}{{range .Log}}{{println .Output}}{{end}}{{end}}' "$id" |
    grep . | tail -n 1)
  [ -n "$told" ] || told=$(docker logs --tail 1 "$id" 2>&1)
  docker inspect --format \
    '{{.State.FinishedAt}} {{index .Config.Labels "com.docker.swarm.service.name"}} exit {{.State.ExitCode}},' "$id" |
    while read -r line; do echo "$line $told"; done
done 2>/dev/null
exit 0
`;
