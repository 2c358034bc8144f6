// The drill program with the real control, over a platform that asks the test for everything it does.
import { request } from 'node:http';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openControl } from '#infra/control';
import type { ControlOptions } from '#infra/control';
import { faultNames } from '#infra/platform';
import type { Fault, FaultName, Faults, Platform } from '#infra/platform';
import { drill } from '../programs/drill.ts';
import { stageOf } from '../results/registry.ts';

/** A control over the fake platform that listens on a port of this machine; also for tests that act beside a drill. */
export function openFakeControl(options: ControlOptions): ReturnType<typeof openControl> {
  const port = Number(options.env['TEST_PLATFORM_PORT']);
  return openControl({ ...options, open: () => openFakePlatform(port) });
}

function openFakePlatform(port: number): Platform {
  const ask = (verb: string) => (...args: unknown[]): Promise<never> => post(port, [verb, ...args]);
  const faultOf = (name: FaultName): Fault => ({
    inject: (_node, spoilt) => ask('inject')(name, spoilt),
    recover: () => ask('recover')(name),
    inPlace: () => ask('inPlace')(name),
  });
  return {
    name: 'process',
    up: () => ask('up')(), halt: () => ask('halt')(), destroy: () => ask('destroy')(), status: () => ask('status')(),
    logs: () => ask('logs')(), targets: () => ask('targets')(), facts: () => ask('facts')(),
    leaks: () => ask('leaks')(), inDatabase: () => ask('inDatabase'), machine: () => ask('machine')(),
    mend: () => ask('recover')(),
    faults: Object.fromEntries(faultNames.map(name => [name, faultOf(name)])) as Faults,
  };
}

/** Asks the test, which plays the platform. */
export function post(port: number, body: unknown[]): Promise<never> {
  return new Promise((resolve, reject) => {
    request({ port, host: '127.0.0.1', method: 'POST', agent: false }, answer => {
      let text = '';
      answer.setEncoding('utf8').on('data', (chunk: string) => { text += chunk; }).on('end', () => {
        const { value, thrown } = JSON.parse(text) as { value: never; thrown?: string };
        if (thrown === undefined) resolve(value);
        else reject(new Error(thrown));
      });
    }).on('error', reject).end(JSON.stringify(body));
  });
}

const { argv, env } = process;
if (env['TEST_PLATFORM_PORT'] !== undefined && argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = await drill({
    args: argv.slice(2), env, file: import.meta.url, stage: stageOf({ test }), openControl: openFakeControl,
    verify: new URL('./pretended-verify.js', import.meta.url).href,
  });
}
