// The acceptance program against a fake system: it takes nothing of an operator's with it, and leaves nothing of its own.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { until } from '../until.ts';
import { openFakeSystem } from './fake-system.ts';
import type { FakeSystem, Play } from './fake-system.ts';
import { start } from './program.ts';

const program = fileURLToPath(new URL('../acceptance.js', import.meta.url));

/** Nothing was started yet, and destroy forgets the platform. */
async function openCleanSystem(t: TestContext, more: Play = () => undefined): Promise<FakeSystem> {
  let known = false;
  const system = await openFakeSystem(t, { play: (verb, args, fake) => {
    if (verb === 'up') known = true;
    if (verb === 'destroy') { known = false; fake.up = false; fake.acts.push('destroy'); return {}; }
    return verb === 'platform' && !known ? { exit: 1 } : more(verb, args, fake);
  } });
  system.up = false;
  return system;
}

test('a system in use is refused untouched, and so are settings it cannot take', async t => {
  const { env, acts } = await openFakeSystem(t);
  const used = await start(program, [], env).ended;
  assert.equal(used.code, 2);
  assert.match(used.stderr, /platform process is in use.*make destroy first/);
  for (const more of [{ NODE: 'worker1' }, { TARGETS: '127.0.0.1:1' }, { STRICT: 'yes' }]) {
    assert.equal((await start(program, [], { ...env, ...more }).ended).code, 2, JSON.stringify(more));
  }
  assert.equal((await start(program, ['now'], env).ended).code, 2);
  assert.deepEqual(acts, []);
});

test('a start that fails is red, proves nothing else, and what it made is destroyed', async t => {
  const system = await openCleanSystem(t, verb => verb === 'up' ? { exit: 1, stderr: 'no engine\n' } : undefined);
  const end = await start(program, [], system.env).ended;
  assert.equal(end.code, 1);
  assert.match(end.stdout, /^not ok 1 - start: The system starts from a clean state via the golden path$/m);
  assert.ok(end.points.slice(1).every(point => point.skip === 'blocked by start'), end.stdout);
  assert.match(end.stdout, /# verdict: acceptance not met\n$/);
  assert.equal(system.acts.at(-1), 'destroy');
});

test('interrupted, it destroys what it made and says so', async t => {
  const system = await openCleanSystem(t);
  const running = start(program, [], system.env);
  await until(async () => system.acts.includes('up done'), Boolean, 20_000, 10);
  running.child.kill('SIGINT');
  const end = await running.ended;
  assert.equal(end.code, 130);
  assert.match(end.stderr, /what was made is destroyed/);
  assert.equal(system.acts.at(-1), 'destroy');
});
