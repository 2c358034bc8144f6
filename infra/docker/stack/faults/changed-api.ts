// The service's container made again as it should not be: of another build, or with a capability too many.
import { join } from 'node:path';
import { oldBuild } from '../../../platform.ts';
import { Trouble, present } from '../../engine.ts';
import type { Engine } from '../../engine.ts';
import type { Container } from '../../inspect.ts';
import { composeUp } from '../compose.ts';
import type { Otherwise } from '../compose.ts';

const CAPABILITY = 'NET_ADMIN';
const tagOf = ({ options }: Engine) => `${options.project}-old-build`;

/** The same image but for what it says it was built from. */
export async function startOldBuild(engine: Engine): Promise<void> {
  const { look, sh, options: { settings } } = engine;
  const api = present(engine, await look(), 'api');
  if (isOldBuild(engine, api)) return;
  const recipe = `FROM ${api.image}\nENV ${Object.entries(oldBuild).map(pair => pair.join('=')).join(' ')}\n`;
  const deadlineMs = settings.scaled(120_000);
  await sh('exec docker build -q -t "$1" - >/dev/null', [tagOf(engine)], { input: recipe, deadlineMs });
  await makeAgain(engine, { env: { ORDERS_IMAGE: tagOf(engine) } });
}

export function isOldBuild(engine: Engine, { image }: Container): boolean {
  return image === tagOf(engine);
}

export async function loosen(engine: Engine): Promise<void> {
  const { host, folder } = engine.options;
  if (isLoosened(present(engine, await engine.look(), 'api'))) return;
  const file = join(folder, 'loosened.yml');
  await host.write([{ path: file, text: `services: { api: { cap_add: [${CAPABILITY}] } }\n` }]);
  await makeAgain(engine, { file });
}

export function isLoosened({ capAdd }: Container): boolean {
  return capAdd.some(name => name.replace(/^CAP_/, '') === CAPABILITY);
}

/** As `up` makes it, if it is not. */
export async function restoreApi(engine: Engine, api: Container): Promise<void> {
  if (isOldBuild(engine, api) || isLoosened(api)) await makeAgain(engine, {});
  await forgetOldBuild(engine);
}

/** Once no container is made of it any more. */
export async function forgetOldBuild(engine: Engine): Promise<void> {
  await engine.sh('docker image rm "$1" >/dev/null 2>&1 || true', [tagOf(engine)]);
}

async function makeAgain(engine: Engine, other: Otherwise): Promise<void> {
  const failed = await composeUp(engine, { ...other, service: 'api' });
  if (failed !== undefined) throw new Trouble(`${engine.options.node.name}: api could not be made again: ${failed}`);
}
