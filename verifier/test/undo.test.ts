// What a drill broke is mended however the drill ends: signals, a crash, a reader that goes away; and told when nobody could mend it.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { until } from '../until.ts';
import { openFakeSystem } from './fake-system.ts';
import type { FakeSystem, Play } from './fake-system.ts';
import { start } from './program.ts';
import type { Started } from './program.ts';

const program = fileURLToPath(new URL('../drill.js', import.meta.url));
const undone = /drill: undone on control: db-down/;

describe('undo', { concurrency: 4 }, () => {
  for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143], ['SIGHUP', 129]] as const) {
    it(`${signal} in the middle of a drill undoes the fault and says so, also when it comes twice`, async t => {
      const { system, drill } = await inTheMiddle(t);
      drill.child.kill(signal);
      await until(async () => system.acts.includes('recover') || drill.child.exitCode !== null, Boolean, 10_000, 5);
      drill.child.kill(signal);
      const end = await drill.ended;
      assert.equal(end.code, code);
      assert.match(end.stderr, undone);
      assertMended(system);
    });
  }

  it('a signal during an injection waits for its end: nothing is injected after it was recovered', async t => {
    const { system, drill } = await inTheMiddle(t, running => async (verb, _args, { honest }) => {
      if (verb !== 'inject') return undefined;
      running()?.child.kill('SIGINT');
      await new Promise(resolve => { setTimeout(resolve, 700); });
      honest.database = false;
      return {};
    });
    const end = await drill.ended;
    assert.equal(end.code, 130);
    assert.deepEqual(system.acts, ['inject db-down', 'inject db-down done', 'recover', 'recover done']);
    assertMended(system);
  });

  it('a signal during a recovery lets it come to its end', async t => {
    const { system, drill } = await inTheMiddle(t, running => async verb => {
      if (verb !== 'recover') return undefined;
      running()?.child.kill('SIGINT');
      running()?.child.kill('SIGTERM');
      await new Promise(resolve => { setTimeout(resolve, 700); });
      return undefined;
    });
    const end = await drill.ended;
    assert.ok(end.code === 130 || end.code === 143, `${end.code}`);
    assertMended(system);
    assert.equal(system.acts.filter(act => act.startsWith('recover')).length, 2, system.acts.join(', '));
  });

  it('a drill that crashes is undone by its parent', async t => {
    const { system, drill } = await inTheMiddle(t);
    childrenOf(drill).forEach(pid => process.kill(pid, 'SIGKILL'));
    const end = await drill.ended;
    assert.equal(end.code, 1);
    assert.match(end.stderr, undone);
    assertMended(system);
  });

  it('a reader that hangs up early costs the report, not the recovery', async t => {
    const system = await openFakeSystem(t);
    const drill = start(program, ['db-down'], system.env);
    drill.child.stdout?.once('data', () => drill.child.stdout?.destroy());
    const end = await drill.ended;
    assert.equal(end.code, 0, end.stderr);
    assert.doesNotMatch(end.stderr, /EPIPE/);
    assertMended(system);
  });

  it('a drill interrupted while the stack is halted starts it again', async t => {
    const system = await openFakeSystem(t, { play: (verb, _args, { honest }) => { if (verb === 'halt') honest.database = false; return undefined; } });
    const drill = start(program, ['restart-keeps-orders'], system.env);
    await until(async () => system.acts.includes('halt done'), Boolean, 20_000, 10);
    drill.child.kill('SIGINT');
    const end = await drill.ended;
    assert.equal(end.code, 130);
    assert.match(end.stderr, /control was halted and is up again/);
    assert.equal(system.up, true);
  });

  it('a recovery that fails is said loudly, with what to do, and the exit is 1', async t => {
    const { drill } = await inTheMiddle(t, () => verb => verb === 'recover' ? { exit: 1, stderr: 'the database does not start\n' } : undefined);
    drill.child.kill('SIGINT');
    const end = await drill.ended;
    assert.equal(end.code, 1);
    assert.match(end.stderr, /NOT undone on control: db-down: the database does not start; make recover NODE=control/);
  });

  it('a drill whose parent is killed leaves at once, even while it has nothing to say', async t => {
    let release = () => {};
    const held = new Promise<void>(resolve => { release = resolve; });
    const { drill } = await inTheMiddle(t, () => async verb => { if (verb === 'inject') await held; return undefined; });
    t.after(() => release());
    const children = childrenOf(drill);
    drill.child.kill('SIGKILL');
    await until(async () => children.some(alive), living => !living, 5_000);
    release();
  });

  it('kill -9 leaves the journal and no process; the next drill names the fault, and drill recover plays what was left', async t => {
    const { system, drill } = await inTheMiddle(t);
    const children = childrenOf(drill);
    assert.equal(children.length, 1);
    drill.child.kill('SIGKILL');
    await drill.ended;
    await until(async () => children.some(alive), living => !living, 5_000);
    assert.deepEqual([...system.journal], ['db-down']);
    assert.match((await start(program, ['db-hung'], system.env).ended).stderr, /still in place on control: db-down/);
    const recovered = await start(program, ['recover'], system.env).ended;
    assert.equal(recovered.code, 0);
    assert.match(recovered.stderr, undone);
    assert.equal(recovered.stdout, '');
    assertMended(system);
    assert.match((await start(program, ['recover'], system.env).ended).stderr, /no fault is in place on control/);
  });
});

/** A drill whose fault is injected, or being injected; what the test plays can get at the drill. */
async function inTheMiddle(t: TestContext, play: (running: () => Started | undefined) => Play = () => () => undefined): Promise<{ system: FakeSystem; drill: Started }> {
  let running: Started | undefined;
  const system = await openFakeSystem(t, { play: play(() => running) });
  const drill = running = start(program, ['db-down'], system.env);
  await until(async () => system.acts.includes('inject db-down'), Boolean, 20_000, 5);
  return { system, drill };
}

function assertMended({ honest, journal }: FakeSystem): void {
  assert.deepEqual([...journal], []);
  assert.equal(honest.database, true);
}

function childrenOf({ child }: Started): number[] {
  return execFileSync('ps', ['-o', 'pid=', '--ppid', String(child.pid)], { encoding: 'utf8' }).trim().split('\n').map(Number);
}

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
