// The stack on the swarm: its images on every machine, its secrets, and a rollout that is waited for.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Context } from '../context.ts';
import { Trouble, linesOf } from '../docker/engine.ts';
import { askReady } from '../docker/stack/network.ts';
import { RolledBack } from '../platform.ts';
import { load, openArchives, parseLacking } from '../vagrant/ship.ts';
import type { Fleet } from './fleet.ts';
import { PORT } from './places.ts';
import { parseRollout, parseServices } from './texts.ts';
import type { Rollout } from './texts.ts';

export const STACK = 'orders';
/** What stack.yml takes from its environment. */
export type Values = Readonly<Record<string, string>>;
type Rolling = { context: Context; fleet: Fleet };

/** Made once; they stay until `destroy`. */
export async function secretsIn({ local, settings }: Context, names: readonly string[]): Promise<string> {
  const folder = join(settings.state, 'swarm', 'secrets');
  for (const name of names) {
    const path = join(folder, name);
    if (await local.read(path) !== undefined) continue;
    await local.write([{ path, text: randomBytes(24).toString('hex'), mode: 0o600 }]);
  }
  return folder;
}

/** Every machine's engine has these images then. No registry is asked, so they travel as archives. */
export async function distribute({ context, fleet }: Rolling, images: readonly string[]): Promise<void> {
  const { settings, local } = context;
  const archives = openArchives(context, local, join(settings.state, 'swarm', 'images'));
  for (const machine of fleet.machines) {
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
  }
}

/**
 * Deploys the stack and returns when all of it runs and every router says ready. Throws RolledBack when Swarm has taken
 * the former build back.
 */
export async function rollOut(rolling: Rolling, values: Values): Promise<void> {
  const { context: { settings }, fleet } = rolling;
  const before = await rolloutOf(fleet);
  const files = ['stack.yml', 'cluster.yml'].flatMap(name => ['-c', join(settings.infra, 'swarm', name)]);
  const argv = ['docker', 'stack', 'deploy', '--resolve-image', 'never', '--prune', ...files, STACK];
  await fleet.ask(argv, { env: { ...values }, deadlineMs: settings.scaled(60_000) });
  await settled(rolling, before);
  await Promise.all(fleet.places.places.map(({ node, address }) => awaitReady(rolling, node.name, address)));
}

/** Waits until every service has as many tasks as it wants, and the update of the service that was begun is over. */
export async function settled(rolling: Rolling, before: Rollout | undefined): Promise<void> {
  const { context: { settings, say }, fleet } = rolling;
  const end = performance.now() + settings.scaled(300_000);
  let told = '';
  for (;;) {
    const services = parseServices(await fleet.ask(['docker', 'service', 'ls', '--format', '{{.Name}} {{.Replicas}}']));
    const now = await rolloutOf(fleet);
    const isNew = now?.spec !== before?.spec || now?.startedAt !== before?.startedAt;
    if (isNew && now?.state === 'rollback_completed') throw new RolledBack(await reasonOf(fleet, now));
    if (isNew && now?.state?.endsWith('paused')) throw new Trouble(`the update stopped half way: ${now.message}`);
    const missing = services.filter(({ running, wanted }) => running !== wanted);
    const isBusy = isNew && ['updating', 'rollback_started'].includes(now?.state ?? '');
    const isOver = !isBusy && (before === undefined || now?.spec === before.spec || now?.state === 'completed');
    if (services.length > 0 && missing.length === 0 && isOver) return;
    const tasks = missing.map(({ name, running, wanted }) => `${name} ${running} of ${wanted}`).join(', ');
    const line = tasks || 'the update';
    if (line !== told) say(`waiting for ${line}`);
    told = line;
    if (performance.now() > end) throw new Trouble(`not there in time: ${line}; ${await failures(fleet)}`);
    await pause(settings.scaled(500));
  }
}

/** Undefined before the first deployment. */
export async function rolloutOf(fleet: Fleet): Promise<Rollout | undefined> {
  const services = parseServices(await fleet.ask(['docker', 'service', 'ls', '--format', '{{.Name}} {{.Replicas}}']));
  if (!services.some(({ name }) => name === `${STACK}_api`)) return undefined;
  return parseRollout(await fleet.ask(['docker', 'service', 'inspect', `${STACK}_api`]));
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

async function reasonOf(fleet: Fleet, { message, env }: Rollout): Promise<string> {
  const serves = env['GIT_SHA'] ?? 'the former build';
  const what = `the new build did not become ready and was rolled back by Swarm (${message})`;
  return `${what}; ${serves} serves; ${await failures(fleet)}`;
}

/** What the last tasks that failed said. */
async function failures(fleet: Fleet): Promise<string> {
  const argv = ['docker', 'stack', 'ps', STACK, '--no-trunc', '--format', '{{.Name}} on {{.Node}}: {{.Error}}'];
  const told = linesOf(await fleet.ask(argv)).filter(line => !line.endsWith(': '));
  return told.slice(0, 3).join('; ') || 'no task says why';
}
