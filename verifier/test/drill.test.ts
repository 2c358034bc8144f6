// The drill program against a fake system: what it finds, what it refuses to do, and what it says.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { drills } from '../drills.ts';
import { openFakeSystem } from './fake-system.ts';
import type { Play } from './fake-system.ts';
import { withFields } from './honest.ts';
import { start } from './program.ts';
import type { Ended } from './program.ts';

const program = fileURLToPath(new URL('../drill.js', import.meta.url));
const drill = (env: Record<string, string>, ...args: string[]) => start(program, args, env).ended;
const broken = ({ points }: Ended) => points.filter(point => !point.held && !point.suite).map(point => point.name.split(' ')[1]);

describe('drill', { concurrency: 4 }, () => {
  it('lists every drill, and describes how each is reproduced, what to expect and how it is undone', async t => {
    const { env } = await openFakeSystem(t);
    const list = await drill(env, '--list');
    assert.equal(list.code, 0);
    for (const { name } of drills) assert.match(list.stdout, new RegExp(`^${name} `, 'm'));
    const described = await drill(env, '--describe', 'db-down', 'drain');
    for (const word of ['db-down:', 'drain:', 'reproduce', 'expect', 'recover', 'takes']) assert.ok(described.stdout.includes(word), word);
  });

  it('exits 2 without a name, with an unknown one (and names the known), and with settings it cannot take', async t => {
    const { env, acts } = await openFakeSystem(t);
    const cases: [string[], Record<string, string>, RegExp][] = [
      [[], {}, /usage/],
      [['no-such-drill'], {}, /no drill no-such-drill; known:\n(.|\n)*mid-flight/],
      [['db-down', 'all'], {}, /no drill all/],
      [['--describe'], {}, /usage/],
      [['--describe', 'nothing'], {}, /no drill nothing/],
      [['db-down'], { NODE: 'all' }, /NODE must be one node/],
      [['db-down'], { TARGETS: '127.0.0.1:1' }, /TARGETS is for verify/],
      [['db-down'], { KILLS: 'many' }, /KILLS must be/],
      [['db-down'], { SCALE: 'slow' }, /SCALE must be/],
    ];
    for (const [args, more, complaint] of cases) {
      const { code, stdout, stderr } = await drill({ ...env, ...more }, ...args);
      assert.equal(code, 2, `${args.join(' ')}: ${stderr}`);
      assert.equal(stdout, '');
      assert.match(stderr, complaint);
    }
    assert.deepEqual(acts, []);
  });

  it('refuses to start where nothing is up, and where a fault is still in place, which it names', async t => {
    const system = await openFakeSystem(t);
    system.journal.add('db-hung');
    const faulty = await drill(system.env, 'db-down');
    assert.equal(faulty.code, 2);
    assert.match(faulty.stderr, /db-hung since .*recover/);
    system.journal.clear();
    system.up = false;
    const down = await drill(system.env, 'db-down');
    assert.equal(down.code, 2);
    assert.match(down.stderr, /control is not up/);
    assert.deepEqual(system.acts, []);
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
    assert.match(end.stdout, /^# ready: \d+ ms 200 -> 503 connection_refused, \d+ ms 503 connection_refused -> 200$/m);
    assert.match(end.stdout, /^# ready {2}\|[= ]*o[o ]+[= ]+\|$/m);
    assert.match(end.stdout, /# verdict: db-down held\n$/);
  });

  it('is red at sound, and breaks nothing, when the system is not sound', async t => {
    const system = await openFakeSystem(t, { lie: (reply, { path }) => path === '/version' ? withFields(reply, { instance_id: 7 }) : reply });
    const end = await drill(system.env, 'db-down');
    assert.equal(end.code, 1);
    assert.deepEqual(broken(end), ['sound:']);
    assert.deepEqual(system.acts, []);
  });

  it('is red when the fault is not real', async t => {
    const system = await openFakeSystem(t, { play: verb => verb === 'inject' ? {} : undefined });
    const end = await drill(system.env, 'db-down');
    assert.equal(end.code, 1);
    assert.deepEqual(broken(end), ['real:']);
    assert.deepEqual([...system.journal], []);
  });

  it('is red when health depends on the database, and recovers all the same', async t => {
    const system = await openFakeSystem(t, { lie: (reply, { path }, { database }) => path === '/health' && !database ? { ...reply, status: 503 } : reply });
    const end = await drill(system.env, 'db-down');
    assert.equal(end.code, 1);
    assert.deepEqual(broken(end), ['meanwhile:']);
    assert.equal(system.honest.database, true);
  });

  it('is red when an order is refused without Retry-After, or taken, while the database is down', async t => {
    const hidden = await openFakeSystem(t, { lie: (reply, { path }) => {
      const { 'retry-after': _dropped, ...headers } = reply.headers;
      return path === '/order' && reply.status === 503 ? { ...reply, headers } : reply;
    } });
    const taken = await openFakeSystem(t, { lie: (reply, { path }) => path === '/order' && reply.status === 503 ? { ...reply, status: 201, body: '{}' } : reply });
    for (const { env } of [hidden, taken]) assert.deepEqual(broken(await drill(env, 'db-down')), ['meanwhile:']);
  });

  it('is red when recovery does not come', async t => {
    const system = await openFakeSystem(t, { play: verb => verb === 'recover' ? {} : undefined });
    const end = await drill({ ...system.env, SCALE: '0.3' }, 'db-down');
    assert.equal(end.code, 1);
    assert.deepEqual(broken(end), ['recovery:']);
  });

  it('is red when another process answers afterwards', async t => {
    let restarted = false;
    const system = await openFakeSystem(t, {
      play: verb => { restarted ||= verb === 'recover'; return undefined; },
      lie: (reply, { path }) => path === '/version' && restarted ? withFields(reply, { instance_id: 'another' }) : reply,
    });
    const end = await drill(system.env, 'db-down');
    assert.equal(end.code, 1);
    assert.deepEqual(broken(end), ['after:']);
  });

  it('is red when an order that was promised during the drill is gone', async t => {
    const system = await openFakeSystem(t, { play: (verb, _args, { honest }) => {
      // the first is what the read lane reads; the others were promised to the write lane
      const promised = [...honest.orders.values()].filter(order => order.symbol === 'DRILL').slice(1);
      if (verb === 'recover') promised.forEach(order => honest.orders.delete(order.order_id));
      return undefined;
    } });
    const end = await drill(system.env, 'db-down');
    assert.equal(end.code, 1);
    assert.deepEqual(broken(end), ['after:']);
  });

  it('config-refused holds when every spoilt setting is refused by name, and is red for one that is not', async t => {
    const refusing = (exception: string, answer: object): Play => (verb, [fault, variable]) => {
      if (verb !== 'inject' || fault !== 'config-refused') return undefined;
      const told = { exit: 78, ms: 90, stderr: `config: ${variable} is required\n`, ...variable === exception ? answer : {} };
      return { stdout: `${JSON.stringify(told)}\n` };
    };
    const cases: [object, string[]][] = [
      [{}, []],
      [{ exit: 1 }, ['DATABASE_NAME:', 'DATABASE_NAME:']],
      [{ stderr: 'config: DATABASE_NAMES is no variable of this service\n' }, ['DATABASE_NAME:', 'DATABASE_NAME:']],
    ];
    await Promise.all(cases.map(async ([answer, wanted]) => {
      const system = await openFakeSystem(t, { play: refusing('DATABASE_NAME', answer) });
      const end = await drill(system.env, 'config-refused');
      assert.deepEqual(broken(end), wanted, end.stdout);
      assert.equal(end.code, wanted.length === 0 ? 0 : 1);
    }));
  });

  it('drain is red when readiness does not go first, and when the exit is not 0', async t => {
    for (const [exit, wanted] of [[1, ['fault:']], [0, ['meanwhile:']]] as const) {
      const system = await openFakeSystem(t, { play: (verb, [fault]) => verb === 'inject' && fault === 'drain' ? { stdout: `exit ${exit}\n` } : undefined });
      assert.deepEqual(broken(await drill(system.env, 'drain')), wanted);
    }
  });

  it('process-killed is red when nothing died', async t => {
    const { env } = await openFakeSystem(t);
    assert.deepEqual(broken(await drill(env, 'process-killed')), ['fault:']);
  });

  it('tells a drill that is not possible here as not run, never as held', async t => {
    const system = await openFakeSystem(t, { play: verb => verb === 'inject' ? { exit: 3, stderr: 'no firewall here\n' } : undefined });
    const end = await drill(system.env, 'port-dropped');
    assert.equal(end.code, 2);
    assert.match(end.stdout, /^ok 1 - port-dropped # SKIP not run: no firewall here$/m);
    assert.match(end.stdout, /# verdict: port-dropped not run\n$/);
    assert.equal((await drill({ ...system.env, STRICT: '1' }, 'port-dropped')).code, 1);
  });

  it('runs several drills one after the other, and a broken one does not stop the next', async t => {
    const system = await openFakeSystem(t, { play: verb => verb === 'inject' ? {} : undefined });
    const end = await drill(system.env, 'db-down', 'port-closed');
    assert.equal(end.code, 1);
    assert.match(end.stdout, /# verdict: db-down broken · port-closed broken\n$/);
  });
});
