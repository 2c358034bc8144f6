// A container stack for one test: project, state folder and port of its own, removed with the test.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { imagesHere } from '../docker/image.ts';
import { openLocal } from '../local.ts';
import { readSettings } from '../settings.ts';
import { freePort, root, runIn } from './stack.ts';
import type { Run } from './stack.ts';

export type Containers = {
  env: NodeJS.ProcessEnv; state: string; port: number;
  /** The Compose project of the node control, and the names of its two containers. */
  project: string; api: string; db: string;
  docker: (...args: string[]) => Promise<string>;
  /** infra/control with the platform docker. */
  platform: (...args: string[]) => Promise<Run>;
  /** What the service answers, as JSON. */
  ask: (path: string, method?: string) => Promise<Record<string, unknown>>;
  /** The status of an answer on a connection of its own; 0 when there is none. */
  status: (path: string) => Promise<number>;
  /** Like platform('up'), with one more Compose file. */
  upWith: (override: string) => Promise<Run>;
  compose: (override: string, ...args: string[]) => Promise<Run>;
  /** The claims of verify that were broken, each with what was wanted and seen. */
  broken: (env?: NodeJS.ProcessEnv) => Promise<string[]>;
};

/** Why no test of containers can run here; false when it can. */
export const missing: string | false = reasonToSkip();

/** Without a name of its own (ORDERS_PROJECT: '') the stack is called after its state folder. */
export async function openContainers(t: TestContext, extra: NodeJS.ProcessEnv = {}): Promise<Containers> {
  const state = extra['ORDERS_STATE'] ?? await mkdtemp(join(tmpdir(), 'orders-docker-'));
  const port = await freePort();
  const { NODE_TEST_CONTEXT: _, TARGETS: _t, NODE: _n, ...outside } = process.env;
  const outer = outside['ORDERS_STATE'] ?? join(root, '.state');
  const env: NodeJS.ProcessEnv = {
    ...outside, PLATFORM: 'docker', ORDERS_STATE: state, ORDERS_PORT: String(port),
    ORDERS_PROJECT: `orders-test-${randomBytes(4).toString('hex')}`, ...extra,
  };
  // base images are those of the machine, and so is the image of the service, built there when its sources changed
  await mkdir(state, { recursive: true });
  await copyFile(join(outer, 'images.env'), join(state, 'images.env')).catch(() => undefined);
  if (env['ORDERS_IMAGE'] === undefined) env['ORDERS_IMAGE'] = await machinesImage({ ...env, ORDERS_STATE: outer });
  const docker = async (...args: string[]) => succeeded(await runIn(env, 'docker', args), `docker ${args.join(' ')}`);
  const platform = (...args: string[]) => runIn(env, join(root, 'infra/control'), args);
  const override = async (text: string) => {
    await writeFile(join(state, 'override.yml'), text);
    return join(state, 'override.yml');
  };
  t.after(async () => {
    const gone = await platform('destroy');
    for (const image of await builtIn(state)) await runIn(env, 'docker', ['image', 'rm', image]);
    await rm(state, { recursive: true, force: true });
    succeeded(gone, 'destroy');
  });
  const named = env['ORDERS_PROJECT'] || `orders-${createHash('sha256').update(state).digest('hex').slice(0, 8)}`;
  const project = `${named}-control`;
  return {
    env, state, project, port, docker, platform, api: `${project}-api-1`, db: `${project}-db-1`,
    ask: async (path, method = 'GET') => {
      const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method, headers: { connection: 'close' } });
      return asObject(await answer.json());
    },
    status: path => statusOf(`http://127.0.0.1:${port}${path}`),
    upWith: async text => runIn({ ...env, ORDERS_OVERRIDE: await override(text) }, join(root, 'infra/control'), ['up']),
    compose: async (text, ...args) => runIn(env, 'docker', ['compose', '--env-file', join(state, 'docker/control/env'),
      '-f', join(root, 'infra/docker-compose.yml'), '-f', await override(text), ...args]),
    broken: async more => {
      const verify = join(root, 'verifier/dist/verify.js');
      return brokenIn(await runIn({ ...env, ...more }, process.execPath, [verify]));
    },
  };
}

/** Its standard output, or a failure that shows what it said. */
export function succeeded(run: Run, what: string): string {
  if (run.code !== 0) throw new Error(`${what} ended with ${run.code}: ${run.stderr}${run.stdout.slice(-500)}`);
  return run.stdout;
}

/** Looks again until it is so; late is a failure that shows the last thing seen. */
export async function soon(see: () => Promise<unknown>, wanted: unknown, deadlineMs = 30_000): Promise<void> {
  const end = performance.now() + deadlineMs * Number(process.env['SCALE'] ?? 1);
  for (;;) {
    const seen = await see();
    try {
      assert.deepEqual(seen, wanted);
      return;
    } catch (error) {
      if (performance.now() > end) throw error;
      await pause(100);
    }
  }
}

/** This checkout's service, built if its sources changed. */
export async function machinesImage(env: NodeJS.ProcessEnv): Promise<string> {
  const read = readSettings(env, root.replace(/\/$/, ''));
  if ('complaints' in read) throw new Error(read.complaints.join('; '));
  const { settings } = read;
  const images = await imagesHere({ settings, local: openLocal(settings.env), say: () => undefined });
  if (!('done' in images)) throw new Error(JSON.stringify(images));
  return images.done.service;
}

async function statusOf(url: string): Promise<number> {
  const gone = new AbortController();
  const late = setTimeout(() => gone.abort(), 3_000);
  try {
    const answer = await fetch(url, { signal: gone.signal, headers: { connection: 'close' } });
    await answer.text();
    return answer.status;
  } catch {
    return 0; // no answer is the finding
  } finally {
    clearTimeout(late);
  }
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : { value };
}

/** Images that a test built for itself. */
async function builtIn(state: string): Promise<string[]> {
  const text = await readFile(join(state, 'image'), 'utf8').catch(() => '');
  return text.split('\n').map(line => line.split(' ')[1] ?? '').filter(name => name !== '');
}

/** What did not hold, as a person reads it off the TAP text; a run without a verdict has failed altogether. */
function brokenIn({ stdout: tap, stderr }: Run): string[] {
  const verdict = /^# verdict: .*$/m.exec(tap)?.[0];
  if (verdict === undefined) throw new Error(`verify gave no verdict: ${stderr}${tap.slice(-500)}`);
  const points = tap.split(/^(?=(?:not )?ok \d+ - )/m).filter(point => point.startsWith('not ok'));
  const found = (point: string, pattern: RegExp) => pattern.exec(point)?.[1] ?? '';
  return points.map(point => `${found(point, /- (.*)/)} | ${found(point, /error: (.*)/)} | ${verdict}`);
}

function reasonToSkip(): string | false {
  try {
    execFileSync('docker', ['version', '--format', '{{.Server.Version}}'], { stdio: 'pipe' });
    execFileSync('docker', ['compose', 'version'], { stdio: 'pipe' });
    return false;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return `no Docker engine with Compose v2 answers here: ${message.split('\n')[1] ?? message}`;
  }
}
