// One drill at a time on a node, and everybody else waits for it or is refused.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { holderOf } from '#infra/lock';
import { until } from '../client/until.ts';
import { root } from '../programs/program.ts';
import { openFakeControl } from './fake-drill.ts';
import { drillProgram as program, openFakeSystem, startInTheMiddle as inTheMiddle } from './fake-system.ts';
import type { Play } from './fake-system.ts';
import { alive, childrenOf, start } from './program.ts';

describe('one drill at a time', { concurrency: 2 }, () => {
  it('of two that start within 10 ms one runs, and one is refused with exit 2 and the name of the other', async t => {
    for (let round = 1; round <= 10; round += 1) {
      const play: Play = verb => verb === 'inject' ? { failed: 'enough seen' } : undefined;
      const system = await openFakeSystem(t, { play });
      const both = [start(program, ['db-down'], system.env), start(program, ['db-hung'], system.env)] as const;
      const ends = await Promise.all(both.map(({ ended }) => ended));
      assert.deepEqual(ends.map(({ code }) => code).toSorted(), [1, 2], ends.map(({ stderr }) => stderr).join('\n'));
      const refused = ends.findIndex(({ code }) => code === 2);
      const [name, pid] = refused === 0 ? ['db-hung', both[1].child.pid] : ['db-down', both[0].child.pid];
      const holder = new RegExp(`^Bail out! drill ${name} \\(pid ${pid}\\) is running on control`, 'm');
      assert.match(ends[refused]?.stdout ?? '', holder);
      assert.equal(system.acts.filter(act => act.startsWith('inject') && !act.endsWith('done')).length, 1);
    }
  });

  it('halt waits until the recovery of a drill is finished, and nothing starts anything after it', async t => {
    const { system, drill } = await inTheMiddle(t, () => async verb => {
      if (verb === 'recover') await new Promise(resolve => { setTimeout(resolve, 700); });
      return undefined;
    });
    const said: string[] = [];
    const control = openFakeControl({ env: system.env, root, say: line => said.push(line) });
    const halt = control.halt(['control']);
    await until(async () => said.length, count => count > 0, 5_000, 10);
    assert.match(said[0] ?? '', /waiting for drill db-down to finish \(pid \d+\)/);
    drill.child.kill('SIGINT');
    assert.equal((await drill.ended).code, 130);
    assert.ok('done' in await halt);
    const order = ['inject db-down', 'inject db-down done', 'recover', 'recover done', 'halt', 'halt done'];
    assert.deepEqual(system.acts, order);
    assert.equal(system.up, false);
  });

  it('drill recover is refused while a drill runs, which undoes what it breaks itself', async t => {
    const { system, drill } = await inTheMiddle(t);
    const refused = await start(program, ['recover'], system.env).ended;
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /drill db-down \(pid \d+\) is running on control/);
    drill.child.kill('SIGINT');
    await drill.ended;
    assert.equal(await holderOf(join(system.state, 'locks/drill-control')), undefined);
  });

  it('a node whose drill was killed is free as soon as all of it is gone, and not before', async t => {
    const { system, drill } = await inTheMiddle(t);
    const [child = 0] = await childrenOf(drill);
    process.kill(child, 'SIGSTOP');
    t.after(() => void (alive(child) && process.kill(child, 'SIGKILL')));
    drill.child.kill('SIGKILL');
    // not until it is closed: its stderr is the child's as well
    await once(drill.child, 'exit');
    const refused = await start(program, ['recover'], system.env).ended;
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /drill db-down \(pid \d+\) is running on control/);
    process.kill(child, 'SIGCONT');
    const free = async () => holderOf(join(system.state, 'locks/drill-control'));
    await until(free, holder => holder === undefined, 5_000, 20);
  });
});
