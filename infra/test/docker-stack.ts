// A container stack for one test: project, state folder and port of its own, removed with the test.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { freePort, root, runIn } from './stack.ts';
import type { Run } from './stack.ts';

export type Containers = {
  env: NodeJS.ProcessEnv; state: string; project: string; port: number;
  docker: (...args: string[]) => Promise<string>;
  platform: (...args: string[]) => Promise<Run>;
  /** What the service answers, as JSON. */
  ask: (path: string, method?: string) => Promise<Record<string, unknown>>;
  /** Like platform('up'), with one more Compose file. */
  upWith: (override: string) => Promise<Run>;
  compose: (override: string, ...args: string[]) => Promise<Run>;
  /** The claims of verify that were broken, each with what was wanted and seen. */
  broken: (env?: NodeJS.ProcessEnv) => Promise<string[]>;
};

/** Why no test of containers can run here; false when it can. */
export const missing: string | false = reasonToSkip();

export async function openContainers(t: TestContext, extra: NodeJS.ProcessEnv = {}): Promise<Containers> {
  const state = await mkdtemp(join(tmpdir(), 'orders-docker-'));
  const project = `orders-test-${randomBytes(4).toString('hex')}`;
  const port = await freePort();
  const { NODE_TEST_CONTEXT: _, TARGETS: _t, NODE: _n, ORDERS_STATE: outer = join(root, '.state'), ...outside } = process.env;
  const env: NodeJS.ProcessEnv = { ...outside, PLATFORM: 'docker', ORDERS_STATE: state, ORDERS_PORT: String(port), ORDERS_PROJECT: project, ...extra };
  // base images are those of the machine, and so is the image of the service, which is built there when its sources changed
  await copyFile(join(outer, 'images.env'), join(state, 'images.env')).catch(() => undefined);
  if (env['ORDERS_IMAGE'] === undefined) env['ORDERS_IMAGE'] = succeeded(await runIn({ ...env, ORDERS_STATE: outer }, join(root, 'infra/docker'), ['build']), 'build').trim();
  const docker = async (...args: string[]) => succeeded(await runIn(env, 'docker', args), `docker ${args.join(' ')}`);
  const platform = (...args: string[]) => runIn(env, join(root, 'infra/docker'), args);
  const override = async (text: string) => { await writeFile(join(state, 'override.yml'), text); return join(state, 'override.yml'); };
  t.after(async () => {
    const gone = await platform('destroy');
    for (const image of await builtIn(state)) await runIn(env, 'docker', ['image', 'rm', image]);
    await rm(state, { recursive: true, force: true });
    succeeded(gone, 'destroy');
  });
  return {
    env, state, project, port, docker, platform,
    ask: async (path, method = 'GET') => asObject(await (await fetch(`http://127.0.0.1:${port}${path}`, { method })).json()),
    upWith: async text => runIn({ ...env, ORDERS_OVERRIDE: await override(text) }, join(root, 'infra/docker'), ['up']),
    compose: async (text, ...args) => runIn(env, 'docker', ['compose', '--env-file', join(state, 'docker/control/env'),
      '-f', join(root, 'infra/docker-compose.yml'), '-f', await override(text), ...args]),
    broken: async more => brokenIn((await runIn({ ...env, ...more }, process.execPath, [join(root, 'verifier/dist/verify.js')])).stdout),
  };
}

/** Its standard output, or a failure that shows what it said. */
export function succeeded(run: Run, what: string): string {
  if (run.code !== 0) throw new Error(`${what} ended with ${run.code}: ${run.stderr}${run.stdout.slice(-500)}`);
  return run.stdout;
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : { value };
}

/** Images that a test built for itself. */
async function builtIn(state: string): Promise<string[]> {
  const text = await readFile(join(state, 'image'), 'utf8').catch(() => '');
  return text.split('\n').map(line => line.split(' ')[1] ?? '').filter(name => name !== '');
}

function brokenIn(tap: string): string[] {
  const verdict = /^# verdict: .*$/m.exec(tap)?.[0] ?? 'no verdict';
  const points = tap.split(/^(?=(?:not )?ok \d+ - )/m).filter(point => point.startsWith('not ok'));
  return points.map(point => `${/- (.*)/.exec(point)?.[1] ?? ''} | ${/error: (.*)/.exec(point)?.[1] ?? ''} | ${verdict}`);
}

function reasonToSkip(): string | false {
  try {
    execFileSync('docker', ['version', '--format', '{{.Server.Version}}'], { stdio: 'pipe' });
    execFileSync('docker', ['compose', 'version'], { stdio: 'pipe' });
    return false;
  } catch (error) {
    return `no Docker engine with Compose v2 answers here: ${error instanceof Error ? (error.message.split('\n')[1] ?? error.message) : error}`;
  }
}
