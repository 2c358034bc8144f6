// Compose makes and starts the containers of a node, as its file and the settings say; here and in a VM.
import { join } from 'node:path';
import { lastWords } from '../engine.ts';
import type { Engine } from '../engine.ts';
import { readEnv } from './env-file.ts';

/** Another Compose file over ours, other values than those of the settings; one service. */
export type Otherwise = { file?: string; env?: Record<string, string>; service?: 'api' };

/** What Compose said when it failed. */
export async function composeUp({ options }: Engine, other: Otherwise = {}): Promise<string | undefined> {
  const { host, infra, folder, settings } = options;
  const { ORDERS_OVERRIDE: override } = readEnv(await host.read(join(folder, 'env')) ?? '');
  const more = [override, other.file].filter(file => file !== undefined);
  const files = [join(infra, 'docker-compose.yml'), ...more].flatMap(file => ['-f', file]);
  const what = other.service === undefined ? ['--remove-orphans'] : ['--no-deps', other.service];
  const argv = ['docker', 'compose', '--project-directory', infra, '--env-file', join(folder, 'env'), ...files,
    'up', '--detach', '--no-build', ...what];
  // the database's image may have to be fetched
  const run = await host.run(argv, { deadlineMs: settings.scaled(900_000), ...other.env && { env: other.env } });
  return run.code === 0 ? undefined : lastWords(run.stdout + run.stderr, 5) || `it ended with ${run.code}`;
}
