// The compiled service as a plain process: its settings, what it was built from, and whether it answers.
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { revisionOf } from '../build.ts';
import type { Context } from '../context.ts';
import { HOPELESS_MS, watchHope } from '../database/readiness.ts';
import { lastLines } from './log.ts';
import { processesIn, readArguments, runs, send } from './proc.ts';
import { REFUSED, isVain, told } from './status.ts';
import type { ProgramStatus } from './supervision.ts';
import { until } from './until.ts';

const ANSWER_MS = 2_000;
type Env = Record<string, string>;
export type Place = { address: string; port: number; dbPort: number };
type Said = { status: number; body: string };

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

type Awaited = {
  place: Place; path: string; deadlineMs: number; log: string; scaled: (ms: number) => number;
  look: () => Promise<ProgramStatus>;
};

/** Waits until the service answers the path with 200; says at once why it never will, with its last words. */
export async function awaitService(
  { place, path, deadlineMs, log, scaled, look }: Awaited,
): Promise<string | undefined> {
  const [began, before] = [performance.now(), await look()];
  const isHopeless = watchHope(scaled(HOPELESS_MS));
  let last: Said | undefined;
  const outcome = await until(async () => {
    const now = await look();
    if (now.state === 'stopped' || isVain(before, now, performance.now() - began)) return 'ends';
    last = now.state === 'running' ? await ask(place, path, scaled(ANSWER_MS)) : undefined;
    if (last?.status === 200) return 'answers';
    return isHopeless(last?.body ?? '') ? 'hopeless' : undefined;
  }, scaled(deadlineMs));
  if (outcome === 'answers') return undefined;
  const { exit } = await look();
  const said = last === undefined ? '' : `; it said last: ${last.status} ${last.body}`;
  const how = outcome === 'hopeless' ? `says on ${path} for ${HOPELESS_MS / 1000} s what does not pass${said}`
    : outcome !== 'ends' ? `does not answer ${path} with 200 after ${deadlineMs / 1000} s${said}`
      : exit?.code === REFUSED ? `refuses its configuration (exit ${REFUSED})`
        : `ends again and again (${told(exit)})`;
  return `${how}; the last lines of ${log}:\n${lastLines(log, 8).join('\n')}`;
}

export async function isReady(place: Place, scaled: (ms: number) => number): Promise<boolean> {
  return (await ask(place, '/ready', scaled(ANSWER_MS)))?.status === 200;
}

/** A service that the kernel did not end with its supervisor, which was killed in the moment between. */
export async function endStrays(folder: string, graceMs: number): Promise<void> {
  const isService = (text: string): boolean => /\/service\/(dist\/)?main\.js$/.test(text);
  const ours = processesIn(folder, 'node').filter(({ pid }) => readArguments(pid).some(isService));
  const left = (): number[] => ours.map(({ pid }) => pid).filter(runs);
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    left().forEach(pid => send(pid, signal));
    if (await until(() => left().length === 0 || undefined, graceMs) === true) return;
  }
  throw new Error(`service processes of ${folder} do not end: ${left().join(', ')}`);
}

/** What the service answers on this path within `deadlineMs`; undefined when nothing comes. */
function ask({ address, port }: Place, path: string, deadlineMs: number): Promise<Said | undefined> {
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
