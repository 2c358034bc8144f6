// What a drill broke is undone however it ends: signals, a crash, a reader that goes away; said when it could not.
import assert from 'node:assert/strict';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { tryLock } from '#infra/lock';
import { until } from '../client/until.ts';
import { done, drillProgram as program, openFakeSystem, startInTheMiddle as inTheMiddle } from './fake-system.ts';
import type { FakeSystem, Play } from './fake-system.ts';
import { losingTables } from './fake-tables.ts';
import { alive, childrenOf, start } from './program.ts';
import type { Started } from './program.ts';

const undone = /drill: undone on control: db-down/;
const backupsIn = async ({ state }: FakeSystem): Promise<string[]> => (
  (await readdir(join(state, 'writers/control/backups'))).filter(name => !name.startsWith('.'))
);
const aWhile = () => new Promise(resolve => { setTimeout(resolve, 700); });

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
      await assertUndone(system);
    });
  }

  it('a signal during an injection waits for its end: nothing is injected after it was recovered', async t => {
    const { system, drill } = await inTheMiddle(t, running => async (verb, _args, { honest }) => {
      if (verb !== 'inject') return undefined;
      running()?.child.kill('SIGINT');
      await aWhile();
      honest.database = false;
      return done;
    });
    const end = await drill.ended;
    assert.equal(end.code, 130);
    assert.deepEqual(system.acts, ['inject db-down', 'inject db-down done', 'recover', 'recover done']);
    await assertUndone(system);
  });

  it('a signal during a recovery lets it come to its end', async t => {
    const { system, drill } = await inTheMiddle(t, running => async verb => {
      if (verb !== 'recover') return undefined;
      running()?.child.kill('SIGINT');
      running()?.child.kill('SIGTERM');
      await aWhile();
      return undefined;
    });
    const end = await drill.ended;
    assert.ok(end.code === 130 || end.code === 143, `${end.code}`);
    await assertUndone(system);
    assert.equal(system.acts.filter(act => act.startsWith('recover')).length, 2, system.acts.join(', '));
  });

  it('a drill that crashes is undone by its parent', async t => {
    const { system, drill } = await inTheMiddle(t);
    for (const pid of await childrenOf(drill)) process.kill(pid, 'SIGKILL');
    const end = await drill.ended;
    assert.equal(end.code, 1);
    assert.match(end.stderr, undone);
    await assertUndone(system);
  });

  for (const [when, at] of [['while the backup is taken', 'pg_dump'], ['once it is', 'tables-lost']] as const) {
    it(`leaves no backup behind when it is interrupted ${when}`, async t => {
      let drill: Started | undefined;
      const tables = losingTables();
      const system = await openFakeSystem(t, { play: (verb, args, self) => {
        if ((verb === 'inDatabase' || verb === 'inject') && String(args[0]).includes(at)) drill?.child.kill('SIGINT');
        return tables(verb, args, self);
      } });
      drill = start(program, ['backup-restores'], system.env);
      const end = await drill.ended;
      assert.equal(end.code, 130, end.stdout + end.stderr);
      assert.deepEqual(await backupsIn(system), [], end.stderr);
    });
  }

  it('says where the backup of a red drill is; one that held leaves none; none is among the operator\'s', async t => {
    for (const restores of [true, false]) {
      const system = await openFakeSystem(t, { play: losingTables({ restores }) });
      const end = await start(program, ['backup-restores'], system.env).ended;
      assert.equal(end.code, restores ? 0 : 1, end.stdout + end.stderr);
      const left = (await backupsIn(system)).filter(name => name.endsWith('.dump'));
      assert.equal(left.length, restores ? 0 : 1);
      for (const name of left) {
        const told = `kept: ${join(system.state, 'writers/control/backups', name)}, the backup`;
        assert.ok(end.stdout.includes(`# ${told}`), end.stdout);
        assert.ok(end.stderr.includes(told), end.stderr);
      }
      assert.ok(!(await readdir(system.state)).includes('backups'));
    }
  });

  it('readers of stdout and stderr that hang up early cost the report, not the recovery', async t => {
    const talking: Play = async (verb, _args, { journal }) => {
      // a second entry, so that there is something to be said at every step
      if (verb === 'inject') await journal.add('control', 'process-killed');
      return undefined;
    };
    const system = await openFakeSystem(t, { play: talking });
    const drill = start(program, ['db-down'], system.env);
    drill.child.stdout?.once('data', () => {
      drill.child.stdout?.destroy();
      drill.child.stderr?.destroy();
    });
    const end = await drill.ended;
    assert.equal(end.code, 0, end.stderr);
    assert.deepEqual(system.acts, ['inject db-down', 'inject db-down done', 'recover db-down', 'recover db-down done']);
    await assertUndone(system);
  });

  it('a drill interrupted while it has the stack halted starts it again', async t => {
    const system = await openFakeSystem(t, { play: (verb, _args, { honest }) => {
      if (verb === 'halt') honest.database = false;
      return undefined;
    } });
    const drill = start(program, ['restart-keeps-orders'], system.env);
    await until(async () => system.acts.includes('halt done'), Boolean, 20_000, 10);
    drill.child.kill('SIGINT');
    const end = await drill.ended;
    assert.equal(end.code, 130);
    assert.match(end.stderr, /control was halted and is up again/);
    assert.equal(system.up, true);
  });

  it('a drill whose child is killed while it halts the stack starts it again', async t => {
    let drill: Started | undefined;
    const system = await openFakeSystem(t, { play: async (verb, _args, fake) => {
      if (verb !== 'halt' || drill === undefined) return undefined;
      for (const pid of await childrenOf(drill)) process.kill(pid, 'SIGKILL');
      fake.up = false;
      return done;
    } });
    drill = start(program, ['restart-keeps-orders'], system.env);
    assert.equal((await drill.ended).code, 1);
    assert.deepEqual(system.acts, ['halt', 'halt done', 'up', 'up done']);
  });

  it('a stack that somebody else has halted, or that cannot be seen, is not started', async t => {
    const gone: Play = (verb, _args, fake) => {
      if (verb === 'inject') fake.up = false;
      return undefined;
    };
    const unseen: Play = (verb, _args, { acts }) => {
      if (verb === 'targets' && acts.length > 0) throw new Error('the targets cannot be read');
      return undefined;
    };
    for (const play of [gone, unseen]) {
      const system = await openFakeSystem(t, { play });
      await start(program, ['db-down'], system.env).ended;
      assert.ok(!system.acts.includes('up'), system.acts.join(', '));
    }
  });

  it('a recovery that fails is said loudly, with what to do, and the exit is 1', async t => {
    const { drill } = await inTheMiddle(t, () => verb => {
      return verb === 'recover' ? { failed: 'the database does not start' } : undefined;
    });
    drill.child.kill('SIGINT');
    const end = await drill.ended;
    assert.equal(end.code, 1);
    assert.match(end.stderr, /NOT undone on control: db-down: the database does not start; make recover NODE=control/);
  });

  it('an undo journal that cannot be read is said loudly, and is not taken for an empty one', async t => {
    const system = await openFakeSystem(t, { play: async (verb, _args, { state }) => {
      if (verb === 'inject') await writeFile(join(state, 'journal/control.nonsense'), '');
      return undefined;
    } });
    const end = await start(program, ['db-down'], system.env).ended;
    assert.equal(end.code, 1);
    assert.match(end.stderr, /NOT undone on control: the undo journal .*nonsense cannot be read/);
    const again = await start(program, ['db-down'], system.env).ended;
    assert.equal(again.code, 2);
    assert.match(again.stdout, /^Bail out! the undo journal .*nonsense cannot be read/m);
    const recovering = await start(program, ['recover'], system.env).ended;
    assert.equal(recovering.code, 1);
    assert.match(recovering.stderr, /nonsense cannot be read/);
  });

  it('a drill whose parent is killed leaves at once, even while it has nothing to say', async t => {
    let release = () => {};
    const held = new Promise<void>(resolve => { release = resolve; });
    const { drill } = await inTheMiddle(t, () => async verb => {
      if (verb === 'inject') await held;
      return undefined;
    });
    t.after(() => release());
    const children = await childrenOf(drill);
    drill.child.kill('SIGKILL');
    await until(async () => children.some(alive), living => !living, 5_000);
    release();
  });

  it('an injection that waits for another verb is never done when the drill was killed meanwhile', async t => {
    const system = await openFakeSystem(t);
    await mkdir(join(system.state, 'locks'), { recursive: true });
    const verb = await tryLock(join(system.state, 'locks/verb'), 'another verb');
    assert.ok('fd' in verb);
    const drill = start(program, ['db-down'], system.env);
    await until(async () => drill.said().includes('waiting for another verb'), Boolean, 20_000, 10);
    const children = await childrenOf(drill);
    drill.child.kill('SIGKILL');
    await until(async () => children.some(alive), living => !living, 5_000);
    verb.release();
    // whoever had waited would have its turn before the next one
    const recovering = await start(program, ['recover'], system.env).ended;
    assert.equal(recovering.code, 0, recovering.stderr);
    assert.ok(!system.acts.includes('inject db-down'), system.acts.join(', '));
    await assertUndone(system);
  });

  it('kill -9 leaves the journal and no process; the next drill names the fault, drill recover undoes it', async t => {
    const { system, drill } = await inTheMiddle(t);
    await until(async () => system.acts.includes('inject db-down done'), Boolean, 10_000, 5);
    const children = await childrenOf(drill);
    assert.equal(children.length, 1);
    drill.child.kill('SIGKILL');
    await drill.ended;
    await until(async () => children.some(alive), living => !living, 5_000);
    assert.deepEqual(await system.left(), ['db-down']);
    assert.match((await start(program, ['db-hung'], system.env).ended).stderr, /still in place on control: db-down/);
    const recovered = await start(program, ['recover'], system.env).ended;
    assert.equal(recovered.code, 0);
    assert.match(recovered.stderr, undone);
    assert.equal(recovered.stdout, '');
    await assertUndone(system);
    assert.match((await start(program, ['recover'], system.env).ended).stderr, /no fault is in place on control/);
  });
});

async function assertUndone({ honest, left }: FakeSystem): Promise<void> {
  assert.deepEqual(await left(), []);
  assert.equal(honest.database, true);
}
