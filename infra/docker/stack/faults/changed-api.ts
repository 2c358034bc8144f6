// The service's container made again as it should not be: of another build, or with a capability too many.
import { join } from 'node:path';
import { Trouble, present } from '../../engine.ts';
import type { Engine } from '../../engine.ts';
import type { Container } from '../../inspect.ts';
import { composeUp } from '../compose.ts';
import type { Otherwise } from '../compose.ts';
import { derive, forgetDerived, isDerived, originOf } from './derived.ts';

const CAPABILITY = 'NET_ADMIN';

/** The same image but for what it says it was built from. */
export async function startOldBuild(engine: Engine): Promise<void> {
  if (isDerived(engine, present(engine, await engine.look(), 'api'), 'old-build')) return;
  await makeAgain(engine, { env: { ORDERS_IMAGE: await derive(engine, 'old-build', await originOf(engine)) } });
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
  if (isDerived(engine, api, 'old-build') || isLoosened(api)) await makeAgain(engine, {});
  await forgetDerived(engine);
}

async function makeAgain(engine: Engine, other: Otherwise): Promise<void> {
  const failed = await composeUp(engine, { ...other, service: 'api' });
  if (failed !== undefined) throw new Trouble(`${engine.options.node.name}: api could not be made again: ${failed}`);
}
