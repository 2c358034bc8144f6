// What liars are made of, and how verify is held to seeing them: at the right rung, for the right reason.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { checks, rungs } from '../checks/rungs.ts';
import type { RungName } from '../checks/rungs.ts';
import { bytesOf, openHonest } from './honest.ts';
import type { Lie, Reply, Request } from './honest.ts';
import { assertTap, openWorld, runVerify } from './running.ts';

/** `slow`: it takes the whole of a span to see it. */
export type Liar = { lie: Lie; rung: RungName; sight: RegExp; unready?: boolean; slow?: boolean };
type Change = (reply: Reply, request: Request) => ReturnType<Lie>;

export const at = (path: string, change: Change): Lie =>
  (reply, request) => request.path === path ? change(reply, request) : reply;
export const placing = (change: (reply: Reply, request: Request) => Reply): Lie => (reply, request) =>
  request.path === '/order' && reply.status === 201 ? change(reply, request) : reply;
export const finding = (change: (reply: Reply) => Reply): Lie => (reply, { method, path }) =>
  method === 'GET' && path.startsWith('/orders/') && reply.status === 200 ? change(reply) : reply;
export const headed = (reply: Reply, headers: Record<string, string>): Reply =>
  ({ ...reply, headers: { ...reply.headers, ...headers } });
export const without = ({ headers, ...reply }: Reply, name: string): Reply =>
  ({ ...reply, headers: Object.fromEntries(Object.entries(headers).filter(([one]) => one !== name)) });
export const worded = (from: string | RegExp, to: string) => (reply: Reply): Reply =>
  ({ ...reply, body: reply.body.replace(from, to) });
/** Other bytes at one path, to whoever does not ask for the head alone. */
export const sent = (path: string, change: (bytes: string, request: Request) => string | Buffer): Lie =>
  at(path, (reply, request) => request.method === 'HEAD' ? reply : { bytes: change(bytesOf(reply), request) });

/** Liars who break the same rung are looked at in one run, each with a ladder of its own. */
export function judgeLiars(liars: Record<string, Liar>): void {
  const titleOf = ({ rung, unready, slow }: Liar) =>
    `${rung}${unready ? ' under EXPECT=unready' : ''}${slow ? ' after a while' : ''}`;
  const titles = [...new Set(Object.values(liars).map(titleOf))];
  const seen = new Set<string>();
  describe('verify is red', { concurrency: 2 }, () => {
    for (const title of titles) {
      const group = Object.entries(liars).filter(([, liar]) => titleOf(liar) === title);
      test(`at ${title}, with nothing above it looked at,`, t => judge(t, group, seen));
    }
  });
  test('every check of these rungs was seen red', () => {
    const planned = [...new Set(Object.values(liars).map(({ rung }) => rung))].flatMap(rung => checks[rung]);
    assert.deepEqual(planned.filter(check => !seen.has(check) && !elsewhere.includes(check)), []);
  });
}

/** Seen red by a test of their own. */
const elsewhere: string[] = ['same-instance', 'promises-kept'];

async function judge(t: TestContext, group: [string, Liar][], seen: Set<string>): Promise<void> {
  const { rung, unready = false, slow = false } = group[0]?.[1] ?? { rung: 'reachable' };
  const services = await Promise.all(group.map(async ([name, { lie, sight }]) => {
    const service = await openHonest(lie);
    return { name, sight, service, node: `127.0.0.1:${service.target.port}` };
  }));
  t.after(() => Promise.all(services.map(({ service }) => service.close())));
  for (const { service } of services) service.database = !unready;
  const { env } = await openWorld(t, []);
  const TARGETS = services.map(({ node }) => node).join(',');
  // Where a liar lets us wait for the deadline, the deadline is short.
  const SCALE = /alive|ready/.test(rung) && !slow ? '0.2' : '1';
  const how = { SCALE, TEST_PACE: slow ? '1' : '0.1', ...unready ? { EXPECT: 'unready' } : {} };
  const run = await runVerify({ ...env, ...how, TARGETS });
  assert.equal(run.code, 1, run.stdout + run.stderr);
  assertTap(run);
  const below = (one: RungName) => ['listening', 'published'].includes(one) ? 'skipped' : 'yes';
  const states = rungs.map((one, i) => `${one} ${i < rungs.indexOf(rung) ? below(one) : one === rung ? 'no' : '–'}`);
  assert.equal(run.verdict, `# verdict: ${states.join(' · ')}${unready ? ' · EXPECT=unready' : ''}`);
  for (const { name, sight, node } of services) {
    await t.test(`when the service ${name}`, () => {
      const broken = run.points.filter(({ id, held }) => id.node === node && !held);
      const errors = broken.map(({ error = '' }) => error);
      broken.forEach(({ id }) => seen.add(id.check ?? ''));
      assert.ok(errors.some(error => sight.test(error)), `wanted ${sight}, saw ${errors.join('\n')}`);
      assert.ok(errors.every(error => error.startsWith(`${node} ${rung}: wanted `)), errors.join('\n'));
      assert.ok(broken.every(({ id }) => id.rung === rung));
    });
  }
}
