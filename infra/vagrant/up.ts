// Bringing nodes up: machines booted and provisioned, images sent to those that lack them, stacks started side by side.
import { createHash } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Context } from '../context.ts';
import type { Images } from '../docker/options.ts';
import { answered } from '../platform.ts';
import type { Outcome } from '../platform.ts';
import { DEFAULT_PORT, reasonOf, together } from './guest.ts';
import type { Guest, Login, Surroundings } from './guest.ts';
import type { Machines } from './machines.ts';
import { load, mebibytes, openArchives, ship, shipSources, short } from './ship.ts';
import type { Archives } from './ship.ts';

/**
 * The image is built once, by this machine's engine if it has one, else in the first machine, and the same archive goes
 * to every node that does not have it yet. A node that fails does not keep the others down; its name is reported. The
 * machines of `others` are online too afterwards, without anything being started on them.
 */
export async function bringUp(
  surroundings: Surroundings, guests: readonly Guest[], others: readonly Guest[],
): Promise<Outcome> {
  const { context, machines, folder, stacks } = surroundings;
  const archives = join(folder, 'images');
  const here = await hasEngine(context) ? await stacks.imagesHere(context) : undefined;
  if (here !== undefined && !('done' in here)) return here;
  const fromHere = openArchives(context, context.local, archives);
  // while the machines boot
  const archiving = Promise.allSettled(here === undefined ? [] : [here.done.service, here.done.database].map(fromHere));
  // over the connection to a node that is up something may be under way: it stays, as long as it answers
  const stale = others.filter(guest => !guest.isUp());
  await Promise.all([...guests, ...stale].map(({ host }) => host.hangUp()));
  const failures = await boot(context, machines, [...guests, ...others]);
  const running = guests.filter(({ name }) => !failures.has(name));
  const [first] = running;
  if (first !== undefined) {
    const images = here ?? await answered(() => buildIn(surroundings, first));
    const from = here === undefined ? openArchives(context, first.host, archives) : fromHere;
    await Promise.all(running.map(async guest => {
      const started = 'done' in images ? await answered(() => start(context, guest, images.done, from)) : images;
      if (!('done' in started)) failures.set(guest.name, reasonOf(started));
    }));
  }
  await archiving;
  return together(failures);
}

async function hasEngine({ local, settings }: Context): Promise<boolean> {
  const deadlineMs = settings.scaled(20_000);
  return (await local.run(['docker', 'version', '--format', '{{.Server.Version}}'], { deadlineMs })).code === 0;
}

/** Gives what went wrong, by node; those that are not in it run and can be reached. */
export async function boot(
  context: Context, machines: Machines, guests: readonly Login[],
): Promise<Map<string, string>> {
  const began = performance.now();
  // A new machine is provisioned in any case; others if provision.sh did not come to its end in them, or has changed.
  const provisioner = await readFile(join(context.settings.root, 'vagrant/provision.sh'));
  const recipe = createHash('sha256').update(provisioner).digest('hex');
  const recipes = await Promise.all(guests.map(guest => guest.recipe()));
  const provision = recipes.some(known => known !== recipe);
  const bring = async (some: readonly Login[]): Promise<Outcome> => {
    const brought = await machines.up(some.map(({ name }) => name), provision);
    if ('done' in brought) for (const guest of some) await guest.markProvisioned(recipe);
    return brought;
  };
  const failures = new Map<string, string>();
  const all = await bring(guests);
  if (!('done' in all)) {
    // Vagrant does not say which of several machines failed, nor whether it went on: each is tried by itself.
    for (const guest of guests) {
      const brought = guests.length === 1 ? all : await bring([guest]);
      if ('done' in brought) continue;
      const advice = 'and the RUNBOOK under "A VM does not come up"';
      failures.set(guest.name, `its machine did not come up: ${reasonOf(brought)}, ${advice}`);
    }
  }
  await configure(machines, guests.filter(({ name }) => !failures.has(name)), failures);
  await Promise.all(guests.filter(({ name }) => !failures.has(name)).map(async ({ name, host }) => {
    const deadlineMs = context.settings.scaled(30_000);
    const answer = await answered(async () => ({ done: await host.run(['hostname'], { deadlineMs }) }));
    if ('done' in answer) context.say(`${name}: online after ${Math.round((performance.now() - began) / 1000)} s`);
    else failures.set(name, reasonOf(answer));
  }));
  return failures;
}

async function configure(machines: Machines, guests: readonly Login[], failures: Map<string, string>): Promise<void> {
  if (guests.length === 0) return;
  const configs = await machines.sshConfigs(guests.map(({ name }) => name));
  for (const guest of guests) {
    if ('done' in configs) await guest.configure(configs.done.get(guest.name) ?? '');
    else failures.set(guest.name, reasonOf(configs));
  }
}

async function buildIn({ context, folder, stacks }: Surroundings, { name, host }: Guest): Promise<Outcome<Images>> {
  context.say(`no engine on this machine: building the image on ${name}`);
  const sources = `${await host.home()}/build`;
  const sent = await shipSources(context, host, sources);
  return 'done' in sent ? stacks.imagesOn(context, { host, sources, memory: join(folder, 'image') }) : sent;
}

/** What the node lacks is sent, then its stack is started. */
async function start(context: Context, guest: Guest, images: Images, archives: Archives): Promise<Outcome> {
  const { settings } = context;
  const lacking = await ship(context, guest.host, [images.service, images.database]);
  if (!('done' in lacking)) return lacking;
  for (const image of lacking.done) {
    const sent = await send(context, guest, image, archives);
    if (!('done' in sent)) return sent;
  }
  const port = settings.port ?? await guest.port() ?? DEFAULT_PORT;
  await guest.markBegun();
  const stack = await guest.stack(port);
  const started = await stack.up(images);
  if ('done' in started) {
    await guest.markUp(port);
    return started;
  }
  // what ran before the attempt may run on, and is a target still
  if ((await stack.status()).stopped) await guest.markDown();
  return started;
}

async function send(context: Context, { name, host }: Guest, image: string, archives: Archives): Promise<Outcome> {
  const { settings, say } = context;
  const archive = await archives(image);
  if (!('done' in archive)) return archive;
  if (archive.done === undefined) {
    say(`${name}: fetches ${short(image)} itself`);
    return { done: undefined };
  }
  say(`${name}: sending ${short(image)}, ${await mebibytes(archive.done)} MiB`);
  const loaded = await load(host, archive.done, settings.scaled(600_000));
  // Whatever it was, the next `up` begins with a new archive: one that cannot be loaded must not stay for good.
  if (!('done' in loaded)) await rm(archive.done, { force: true });
  return loaded;
}
