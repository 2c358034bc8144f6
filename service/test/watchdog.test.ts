// A loop that hangs ends the process with its last words, also the first one of a container; nothing else does.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { freePort } from '../bench/port.ts';
import { until } from './database.ts';
import { get } from './http-cases.ts';
import { talk } from './raw.ts';
import { main, required, startService } from './running.ts';

/** On SIGUSR2 the loop is held up by this statement. */
const onSignal = (statement: string): string[] =>
  ['--import', `data:text/javascript,process.on("SIGUSR2", () => { ${statement} })`];
const ways = {
  'a loop without end': 'for (;;);',
  'promises that make promises': 'const again = () => Promise.resolve().then(again); again()',
  'a lock that nobody gives back': 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)',
};
const health = (port: number): ReturnType<typeof talk> => talk({ port, bytes: get('/health', 'Connection: close') });
const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));

describe('the watchdog', { concurrency: true, timeout: 60_000 }, () => {
  for (const [what, statement] of Object.entries(ways)) {
    test(`${what}: killed, with one last line`, async t => {
      const service = await startService(t, { WATCHDOG_MS: '1000' }, onSignal(statement));
      service.child.kill('SIGUSR2');
      assert.equal((await service.exited).signal, 'SIGKILL');
      const last = service.lines().at(-1);
      assert.deepEqual([last?.['level'], last?.event, last?.['ms']], ['error', 'event_loop_hung', 1000]);
      assert.equal(service.stderr(), '');
    });
  }

  test('the first process of a container, which no signal of its own kills, leaves with 1', async t => {
    if (!canUnshare()) return t.skip('this user may not make a PID namespace');
    const port = await freePort();
    const env = { ...required, PORT: String(port), WATCHDOG_MS: '1000' };
    const argv = ['--pid', '--fork', '--kill-child', process.execPath, ...onSignal(ways['a loop without end']), main];
    const path = process.env['PATH'];
    const child = spawn('unshare', argv, { env: { ...env, PATH: path }, stdio: ['ignore', 'pipe', 'ignore'] });
    let out = '';
    child.stdout.on('data', chunk => { out += String(chunk); });
    const ended = new Promise<number | null>(resolve => child.once('close', resolve));
    t.after(() => void child.kill('SIGKILL'));
    await until(() => health(port), ({ answers }) => answers[0]?.status === 200, 10_000);
    const [first] = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').split(' ');
    process.kill(Number(first), 'SIGUSR2');
    assert.equal(await ended, 1);
    assert.equal(JSON.parse(out.trimEnd().split('\n').at(-1) ?? '').event, 'event_loop_hung');
  });

  test('stalls, SIGSTOP for longer than it waits, and load do not end it, and it still drains with 0', async t => {
    const stall = 'const endMs = Date.now() + 700; while (Date.now() < endMs)';
    const env = { WATCHDOG_MS: '1500', DRAIN_GRACE_MS: '100' };
    const service = await startService(t, env, onSignal(`${stall};`));
    const { port } = service;
    const flood = (): ReturnType<typeof talk> => talk({ port, bytes: get('/health').repeat(500), until: 500 });
    for (let stalls = 0; stalls < 2; stalls += 1) {
      service.child.kill('SIGUSR2');
      assert.equal((await flood()).answers.length, 500);
    }
    service.child.kill('SIGSTOP');
    await pause(3000);
    service.child.kill('SIGCONT');
    assert.equal((await flood()).answers.length, 500);
    service.child.kill('SIGTERM');
    assert.equal((await service.exited).code, 0);
    assert.deepEqual(service.lines().filter(({ event }) => event === 'event_loop_hung'), []);
  });
});

function canUnshare(): boolean {
  try {
    execFileSync('unshare', ['--pid', '--fork', 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
