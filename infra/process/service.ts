// The compiled service as a plain process: its settings, what it was built from, and whether it answers.
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { revisionOf } from '../build.ts';
import type { Context } from '../context.ts';

type Env = Record<string, string>;
export type Place = { address: string; port: number; dbPort: number };
export type Said = { status: number; body: string };

/** The compiled program of a checkout. */
export function mainOf(root: string): string {
  return join(root, 'service/dist/main.js');
}

/** Every setting that the service gets; nothing of the caller's environment but what is documented. */
export async function settingsOf(context: Context, place: Place, passwordFile: string): Promise<Env> {
  const { settings } = context;
  return {
    ...placed(place, passwordFile),
    DATABASE_NAME: 'orders',
    DATABASE_USER: 'orders',
    SERVICE_NAME: 'orders',
    ENV: 'process',
    LOG_LEVEL: 'info',
    GIT_SHA: await revisionOf(context),
    BUILD_TIME: statSync(mainOf(settings.root)).mtime.toISOString(),
    ...settings.service,
  };
}

/** The settings that follow from where the node is, whatever build it runs. */
export function placed({ address, port, dbPort }: Place, passwordFile: string): Env {
  return {
    HOST: address, PORT: String(port),
    DATABASE_HOST: address, DATABASE_PORT: String(dbPort), DATABASE_PASSWORD_FILE: passwordFile,
  };
}

/** Differs when the build or one of its settings does. */
export function tagOf(release: string, given: Env): string {
  return createHash('sha256').update(release).update(JSON.stringify(given)).digest('hex').slice(0, 16);
}

/** What the service answers on this path within `deadlineMs`; undefined when nothing comes. */
export function ask({ address, port }: Place, path: string, deadlineMs: number): Promise<Said | undefined> {
  return new Promise(resolve => {
    // a fresh connection each time: a kept one outlives its listener
    const request = get({ host: address, port, path, agent: false, timeout: deadlineMs }, response => {
      let body = '';
      response.setEncoding('utf8').on('data', (part: string) => { body += part; });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: body.trim() }));
    });
    const timer = setTimeout(() => request.destroy(), deadlineMs);
    request.on('error', () => resolve(undefined));
    request.on('close', () => {
      clearTimeout(timer);
      resolve(undefined);
    });
  });
}
