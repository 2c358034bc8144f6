// Honest services of eight kinds are never red, however often they are looked at: REPEAT=20 looks twenty times.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { openHonest, problem } from './honest.ts';
import type { Honest, Lie } from './honest.ts';
import { headed } from './lies.ts';
import { openWorld, runVerify } from './running.ts';

const HOUR_MS = 3_600_000;
const later = (ms: number) => new Date(Date.now() + ms);

const kinds: Record<string, () => Lie> = {
  'a plain one': () => reply => reply,
  'a slow one': () => async (reply, { count }) => {
    await pause(count % 70 === 0 ? 700 : 5);
    return reply;
  },
  'a busy one': () => (reply, { count }) => {
    const end = performance.now() + (count % 20 === 0 ? 200 : 0);
    while (performance.now() < end) { /* nothing else is answered */ }
    return reply;
  },
  'one that was started just now': () => {
    const readyAt = Date.now() + 1_500;
    return (reply, { path }, honest) => {
      honest.database = Date.now() > readyAt;
      if (path !== '/ready' || honest.database) return reply;
      const database = { status: 'down', reason: 'starting_up', latency_ms: 0, since: later(0).toISOString() };
      const body = JSON.stringify({ status: 'unready', checks: { database } });
      return headed({ ...reply, status: 503, body }, { 'retry-after': '1' });
    };
  },
  'one with 100,000 old orders': () => reply => reply,
  'one that closes every connection': () => reply => headed(reply, { connection: 'close' }),
  'one that sends chunks, of a type with a charset': () => reply => {
    const type = `${reply.headers['content-type'] ?? ''}; charset=utf-8`.replace(/(; charset=utf-8)+$/, '$1');
    return headed(reply, { 'content-type': type, 'transfer-encoding': 'chunked' });
  },
  'one whose clock is three hours fast': () => (reply, { path }) => {
    const moved = reply.body.replace(/("created_at":")([^"]+)/, (_, name: string, at: string) =>
      `${name}${new Date(Date.parse(at) + 3 * HOUR_MS).toISOString()}`);
    const body = path === '/version' ? reply.body : moved;
    return headed({ ...reply, body }, { date: later(3 * HOUR_MS).toUTCString() });
  },
  'one that takes a key at a time': () => {
    const working = new Set<string>();
    return async (reply, { key, path }) => {
      if (path !== '/order' || key === undefined || reply.status !== 201) return reply;
      if (working.has(key)) {
        const id = reply.headers['x-request-id'] ?? '';
        const refused = problem(409, 'idempotency_key_in_use', { headers: { 'retry-after': '1', 'x-request-id': id } });
        return { ...refused, body: refused.body.replace('REQUEST-ID', id) };
      }
      working.add(key);
      await pause(20);
      working.delete(key);
      return reply;
    };
  },
};

test('honest services of every kind are green', async t => {
  const many = Number(process.env['REPEAT'] ?? 1);
  for (let i = 1; i <= many; i += 1) {
    await t.test(`look ${i}`, async look => {
      const { env, folder } = await openWorld(look, []);
      const services: { kind: string; service: Honest; node: string }[] = [];
      for (const [kind, open] of Object.entries(kinds)) {
        const service = await openHonest(open());
        look.after(() => service.close());
        services.push({ kind, service, node: `127.0.0.1:${service.target.port}` });
        if (kind.includes('old orders')) await fillWithOrders(service, join(folder, 'state/ledger'));
      }
      // on a machine that is shared by many nothing is asked of how quick they are
      const how = { SCALE: '3', TEST_PACE: many > 1 ? '0.5' : '0.03' };
      const runs = await Promise.all([0, 1, 2].map(part => {
        const TARGETS = services.filter((_, at) => at % 3 === part).map(({ node }) => node).join(',');
        return runVerify({ ...env, ...how, TARGETS });
      }));
      for (const { kind, node } of services) {
        const points = runs.flatMap(run => run.points).filter(({ id }) => id.node === node);
        const broken = points.filter(({ held, skip }) => !held && skip === undefined);
        assert.ok(points.length > 0, kind);
        assert.deepEqual(broken.map(({ claim, error }) => `${claim}: ${error}`), [], kind);
      }
      const others = runs.map(({ code, stderr }) => ({ code, stderr })).filter(({ code }) => code !== 0);
      assert.deepEqual(others, []);
    });
  }
});

async function fillWithOrders({ orders, target: { host, port } }: Honest, folder: string): Promise<void> {
  const lines: string[] = [];
  for (let i = 0; i < 100_000; i += 1) {
    const order = { order_id: randomUUID(), symbol: 'ZZVOLD', side: 'buy', created_at: '2026-01-02T03:04:05.000Z' };
    orders.set(order.order_id, { ...order, status: 'accepted', qty: i + 1 });
    lines.push(`${JSON.stringify({ ...order, qty: String(i + 1) })}\n`);
  }
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, `${host}_${port}.jsonl`), lines.join(''));
}
