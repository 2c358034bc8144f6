// A new build in the place of the one that serves, by the very way of `make up`; and one that `up` has to roll back.
import { RolledBack } from '../../../platform.ts';
import type { Ended } from '../../../platform.ts';
import { Trouble, present } from '../../engine.ts';
import type { Engine } from '../../engine.ts';
import { withImage } from '../env-file.ts';
import { noteReady, servedSettings } from '../files.ts';
import { start } from '../start.ts';
import { derive, forgetDerived, isDerived, originOf } from './derived.ts';

export async function upgrade(engine: Engine): Promise<void> {
  await bring(engine, await derive(engine, 'upgrade', await originOf(engine)));
}

/** What `up` would have said is the finding; a build that was taken after all is a failure. */
export async function upgradeBadly(engine: Engine): Promise<Ended> {
  const began = performance.now();
  const image = await derive(engine, 'bad-upgrade', await originOf(engine));
  try {
    await bring(engine, image);
  } catch (error) {
    if (!(error instanceof RolledBack)) throw error;
    await forgetDerived(engine);
    return { exit: 1, ms: Math.round(performance.now() - began), stderr: error.message };
  }
  throw new Trouble(`${engine.options.node.name}: a build that cannot be ready was taken for one that is`);
}

/** The build that both were derived from. */
export async function bringOrigin(engine: Engine): Promise<void> {
  if (!isDerived(engine, present(engine, await engine.look(), 'api'), 'upgrade', 'bad-upgrade')) return;
  const origin = await originOf(engine);
  await bring(engine, origin);
  await forgetDerived(engine);
}

async function bring(engine: Engine, service: string): Promise<void> {
  await noteReady(engine, await engine.look());
  const served = await servedSettings(engine);
  if (served === undefined) throw new Trouble(`${engine.options.node.name} has no settings: make up`);
  await start(engine, withImage(served, service));
}
