// The drill program against a fake system: what it finds, what it refuses to do, and what it says.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { drills } from '../drills/catalogue.ts';
import { done, drillProgram, openFakeSystem } from './fake-system.ts';
import type { Play } from './fake-system.ts';
import { withFields } from './honest.ts';
import { start } from './program.ts';
import type { Ended } from './program.ts';

const runbook = fileURLToPath(new URL('../../../RUNBOOK.md', import.meta.url));
const drill = (env: Record<string, string>, ...args: string[]) => start(drillProgram, args, env).ended;
/** The rungs that broke, by id. */
const broken = ({ points }: Ended) => points.flatMap(({ held, skip, id }) =>
  held || skip !== undefined || id.check === undefined ? [] : [id.rung]);

describe('drill', { concurrency: 4 }, () => {
  it('lists every drill, and describes each in the sentences of the runbook', async t => {
    const { env } = await openFakeSystem(t);
    const list = await drill(env, '--list');
    assert.equal(list.code, 0);
    for (const { name } of drills) assert.match(list.stdout, new RegExp(`^${name} `, 'm'));
    const described = await drill(env, '--describe', 'db-down', 'drain');
    const words = ['db-down:', 'drain:', 'Looks like:', 'Means:', 'Run:', 'By hand:', 'Back to normal:', 'Budgets,'];
    for (const word of words) {
      assert.ok(described.stdout.includes(word), word);
    }
    assert.match(described.stdout, /^ {2}process +detected 1000 ms, ready again 2000 ms/m);
    assert.equal((await drill(env, '--describe')).code, 0);
  });

  it('says of every drill in the runbook what the drill says of itself', async () => {
    const sections = (await readFile(runbook, 'utf8')).split(/^#{2,3} /m);
    for (const { name, runbook: { looksLike, means, takes, byHand, backToNormal } } of drills) {
      const section = sections.find(text => text.startsWith(`${name}\n`)) ?? '';
      const lines = [
        `- **Looks like:** ${looksLike}`, `- **Means:** ${means}`, `- **Run:** \`make drill DRILL=${name}\`, ${takes}`,
        `- **By hand:** ${byHand}`, `- **Back to normal:** ${backToNormal}`,
      ];
      for (const line of lines) assert.ok(section.split('\n').includes(line), `${name}: ${line}`);
    }
  });

  it('exits 2 without a name, with an unknown one (and names the known), and with settings it cannot take', async t => {
    const { env, acts } = await openFakeSystem(t);
    const cases: [string[], Record<string, string>, RegExp][] = [
      [[], {}, /usage/],
      [['no-such-drill'], {}, /no drill no-such-drill\nknown drills:\n(.|\n)*mid-flight/],
      [['db-down', 'all'], {}, /no drill all/],
      [['recover', 'db-down'], {}, /no drill recover/],
      [['db-down'], { NODE: 'all' }, /NODE must be one node/],
      [['db-down'], { NODE: 'nowhere' }, /no node "nowhere"/],
      [['db-down'], { TARGETS: '127.0.0.1:1' }, /TARGETS is for verify/],
      [['db-down'], { KILLS: 'many' }, /KILLS must be/],
      [['db-down'], { SCALE: 'slow' }, /SCALE must be/],
    ];
    for (const [args, more, complaint] of cases) {
      const { code, stdout, stderr } = await drill({ ...env, ...more }, ...args);
      assert.equal(code, 2, `${args.join(' ')}: ${stderr}`);
      assert.match(stderr, complaint);
      assert.match(stdout, /^TAP version 13\nBail out! .+\n$/);
    }
    const { code, stdout } = await drill(env, '--describe', 'nothing');
    assert.deepEqual([code, stdout], [2, '']);
    assert.deepEqual(acts, []);
  });

  it('refuses to start where nothing is up, and where a fault is still in place, which it names', async t => {
    const system = await openFakeSystem(t);
    await system.journal.add('control', 'db-hung');
    system.honest.database = false;
    const faulty = await drill(system.env, 'db-down');
    assert.equal(faulty.code, 2);
    assert.match(faulty.stderr, /db-hung since .*recover/);
    assert.match(faulty.stdout, /^Bail out! still in place on control: db-hung/m);
    await system.journal.forget('control');
    system.up = false;
    const down = await drill(system.env, 'db-down');
    assert.equal(down.code, 2);
    assert.match(down.stderr, /control is not up/);
    assert.deepEqual(system.acts, []);
  });

  it('starts where a fault of the journal has healed by itself', async t => {
    const system = await openFakeSystem(t);
    await system.journal.add('control', 'process-killed');
    const end = await drill(system.env, 'db-down');
    assert.equal(end.code, 0, end.stdout + end.stderr);
    assert.deepEqual(await system.left(), []);
  });

  it('holds on an honest system, in TAP, with the times of detection and recovery and a strip chart', async t => {
    const system = await openFakeSystem(t);
    const end = await drill(system.env, 'db-down');
    assert.equal(end.code, 0, end.stdout + end.stderr);
    assert.deepEqual(system.acts, ['inject db-down', 'inject db-down done', 'recover db-down', 'recover db-down done']);
    assert.match(end.stdout, /^TAP version 13\n/);
    assert.match(end.stdout, /# detected_ms \d+/);
    assert.match(end.stdout, /# recovered_ms tcp \d+ · health \d+ · ready \d+ · read \d+ · write \d+/);
    // the fault may come within the first sign of the chart, so that the times tell what was good before it
    const edges = /^# ready: \d+ ms 200 -> 503 connection_refused, .*\d+ ms 503 connection_refused -> 200$/m;
    assert.match(end.stdout, edges);
    assert.match(end.stdout, /^# ready {2}\|[= ]*o[ox ]+[= ]+\|$/m);
    assert.match(end.stdout, /# verdict: db-down held\n$/);
  });

  it('tells each point with the ids of its drill, rung and check', async t => {
    const { env } = await openFakeSystem(t);
    const { points } = await drill(env, 'db-down');
    const of = (wanted: string) => points.flatMap(({ id: { rung, check = '' } }) => rung === wanted ? [check] : []);
    assert.deepEqual(of('meanwhile'), ['ready-503', 'orders-refused', 'tcp-held', 'health-200', 'verify-unready']);
    assert.deepEqual(of('real'), ['in-place']);
    assert.ok(points.every(({ id: { node, drill: name } }) => node === 'control' && name === 'db-down'));
  });

  it('is red at sound, and breaks nothing, when the system is not sound', async t => {
    const system = await openFakeSystem(t, {
      lie: (reply, { path }) => path === '/version' ? withFields(reply, { instance_id: 7 }) : reply,
    });
    const end = await drill(system.env, 'db-down');
    assert.equal(end.code, 1);
    assert.deepEqual(broken(end), ['sound']);
    assert.deepEqual(system.acts, []);
  });

  it('is red when the fault is not real', async t => {
    const system = await openFakeSystem(t, { play: verb => verb === 'inject' ? done : undefined });
    const end = await drill(system.env, 'db-down');
    assert.equal(end.code, 1);
    assert.deepEqual(broken(end), ['real']);
    assert.deepEqual(await system.left(), []);
  });

  it('is red when an injection fails half way, and undoes what it may have done', async t => {
    const system = await openFakeSystem(t, { play: (verb, _args, { honest }) => {
      if (verb !== 'inject') return undefined;
      honest.database = false;
      return { failed: 'the connection was lost' };
    } });
    const end = await drill(system.env, 'db-down');
    assert.equal(end.code, 1);
    assert.deepEqual(broken(end), ['fault']);
    assert.match(end.stdout, /# verdict: db-down broken\n$/);
    assert.deepEqual(system.acts.slice(-2), ['recover', 'recover done']);
    assert.equal(system.honest.database, true);
    assert.deepEqual(await system.left(), []);
  });

  it('is red when it leaves a fault in the undo journal, although all else held', async t => {
    let closed = false;
    const system = await openFakeSystem(t, { play: async (verb, [fault], { journal }) => {
      if (verb === 'inject') closed = await journal.add('control', 'port-closed');
      if (verb === 'recover' && fault === undefined) closed = false;
      return verb === 'inPlace' && fault === 'port-closed' ? closed : undefined;
    } });
    const end = await drill(system.env, 'db-down');
    assert.equal(end.code, 1);
    assert.deepEqual(end.points.filter(({ held }) => !held).map(({ id }) => id.check), ['journal-empty', undefined]);
    assert.deepEqual(await system.left(), []);
  });

  it('is red when health depends on the database, and recovers all the same', async t => {
    const system = await openFakeSystem(t, {
      lie: (reply, { path }, { database }) => path === '/health' && !database ? { ...reply, status: 503 } : reply,
    });
    const end = await drill(system.env, 'db-down');
    assert.equal(end.code, 1);
    assert.deepEqual(broken(end), ['meanwhile']);
    assert.equal(system.honest.database, true);
  });

  it('is red when an order is refused without Retry-After, or taken, while the database is down', async t => {
    const hidden = await openFakeSystem(t, { lie: (reply, { path }) => {
      const { 'retry-after': _dropped, ...headers } = reply.headers;
      return path === '/order' && reply.status === 503 ? { ...reply, headers } : reply;
    } });
    const taken = await openFakeSystem(t, { lie: (reply, { path }) => {
      return path === '/order' && reply.status === 503 ? { ...reply, status: 201, body: '{}' } : reply;
    } });
    for (const { env } of [hidden, taken]) assert.deepEqual(broken(await drill(env, 'db-down')), ['meanwhile']);
  });

  it('is red when recovery does not come', async t => {
    const system = await openFakeSystem(t, { play: verb => verb === 'recover' ? done : undefined });
    const end = await drill({ ...system.env, SCALE: '0.3' }, 'db-down');
    assert.equal(end.code, 1);
    assert.deepEqual(broken(end), ['recovery']);
  });

  it('is red when another process answers afterwards', async t => {
    let restarted = false;
    const another = randomUUID();
    const system = await openFakeSystem(t, {
      play: verb => {
        restarted ||= verb === 'recover';
        return undefined;
      },
      lie: (reply, { path }) => {
        return path === '/version' && restarted ? withFields(reply, { instance_id: another }) : reply;
      },
    });
    const end = await drill(system.env, 'db-down');
    assert.equal(end.code, 1);
    assert.deepEqual(broken(end), ['after']);
  });

  it('is red when an order that was promised during the drill is gone', async t => {
    const system = await openFakeSystem(t, { play: (verb, _args, { honest }) => {
      const promised = [...honest.orders.values()].filter(order => order.symbol.startsWith('ZZD'));
      if (verb === 'recover') promised.forEach(order => honest.orders.delete(order.order_id));
      return undefined;
    } });
    const end = await drill(system.env, 'db-down');
    assert.equal(end.code, 1);
    assert.deepEqual(broken(end), ['after']);
  });

  it('process-killed is red when nothing died', async t => {
    const { env } = await openFakeSystem(t);
    assert.deepEqual(broken(await drill(env, 'process-killed')), ['fault']);
  });

  it('mid-flight has the database recovered as soon as a writer has noticed each kill', async t => {
    const kill: Play = (verb, [fault], { honest }) => {
      if (verb === 'inject' && fault === 'db-killed') honest.database = false;
      return undefined;
    };
    const system = await openFakeSystem(t, { play: kill });
    const end = await drill({ ...system.env, KILLS: '2' }, 'mid-flight');
    assert.equal(end.code, 0, end.stdout + end.stderr);
    const once = ['inject db-killed', 'inject db-killed done', 'recover db-killed', 'recover db-killed done'];
    assert.deepEqual(system.acts, [...once, ...once]);
  });

  it('tells a drill that is not possible here as not run, never as held', async t => {
    const system = await openFakeSystem(t, {
      play: verb => verb === 'inject' ? { impossible: 'no firewall here' } : undefined,
    });
    const end = await drill(system.env, 'port-dropped');
    assert.equal(end.code, 2);
    assert.match(end.stdout, /^ok 1 - port-dropped # SKIP not run: no firewall here$/m);
    assert.match(end.stdout, /# verdict: port-dropped not run\n$/);
    assert.equal((await drill({ ...system.env, STRICT: '1' }, 'port-dropped')).code, 1);
    assert.deepEqual(await system.left(), []);
  });

  it('runs several drills one after the other, and a broken one does not stop the next', async t => {
    const system = await openFakeSystem(t, { play: verb => verb === 'inject' ? done : undefined });
    const end = await drill(system.env, 'db-down', 'port-closed');
    assert.equal(end.code, 1);
    assert.match(end.stdout, /# verdict: db-down broken · port-closed broken\n$/);
  });
});
