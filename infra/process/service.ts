// The compiled service as a plain process: its settings, what it was built from, and whether it answers.
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { revisionOf } from '../build.ts';
import type { Context } from '../context.ts';

type Env = Record<string, string>;
export type Place = { address: string; port: number; dbPort: number };

/** The compiled program of a checkout. */
export function mainOf(root: string): string {
  return join(root, 'service/dist/main.js');
}

/** Every setting that the service gets; nothing of the caller's environment but what is documented. */
export async function settingsOf(context: Context, place: Place, passwordFile: string): Promise<Env> {
  const { settings } = context;
  return {
    HOST: place.address,
    PORT: String(place.port),
    DATABASE_HOST: place.address,
    DATABASE_PORT: String(place.dbPort),
    DATABASE_NAME: 'orders',
    DATABASE_USER: 'orders',
    DATABASE_PASSWORD_FILE: passwordFile,
    SERVICE_NAME: 'orders',
    ENV: 'process',
    LOG_LEVEL: 'info',
    GIT_SHA: await revisionOf(context),
    BUILD_TIME: statSync(mainOf(settings.root)).mtime.toISOString(),
    ...settings.service,
  };
}

/** Differs when the compiled service or one of its settings does. */
export function fingerprint(root: string, given: Record<string, string>): string {
  const dist = join(root, 'service/dist');
  const sources = readdirSync(dist, { recursive: true, encoding: 'utf8' })
    .filter(path => path.endsWith('.js') && !/^(test|bench)\//.test(path)).sort();
  const hash = createHash('sha256');
  for (const path of sources) hash.update(path).update(readFileSync(join(dist, path)));
  return hash.update(JSON.stringify(given)).digest('hex').slice(0, 16);
}

/** Whether the service answers this path with 200, within `deadlineMs`. */
export function answers({ address, port }: Place, path: string, deadlineMs: number): Promise<boolean> {
  return new Promise(resolve => {
    // a fresh connection each time: a kept one outlives its listener
    const request = get({ host: address, port, path, agent: false, timeout: deadlineMs }, response => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    const timer = setTimeout(() => request.destroy(), deadlineMs);
    request.on('error', () => resolve(false));
    request.on('close', () => {
      clearTimeout(timer);
      resolve(false);
    });
  });
}
