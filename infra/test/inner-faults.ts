// Faults inside a running system, on whatever platform: each is what it is called, and leaves no trace.
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { openControl } from '../control.ts';
import type { FaultName } from '../platform.ts';
import { root } from './stack.ts';
import { until } from './until.ts';

/** What a caller hears of /ready, of an order that he places, and of one that is stored. */
export type Heard = { ready: string; write: string; read: string };
export type Sign = readonly [FaultName, Heard];
export const sound: Heard = { ready: '200', write: '201', read: '200' };
const every = (word: string): Heard => ({ ready: word, write: word, read: word });
const signs: Sign[] = [
  ['service-frozen', every('silent')],
  ['old-build', sound],
  ['table-locked', { ready: '200', write: '503 lock_timeout', read: '503 lock_timeout' }],
  ['disk-full', { ...sound, write: '503 disk_full' }],
  ['read-only', { ready: '503 read_only', write: '503 read_only', read: '200' }],
  ['connections-exhausted', every('503 too_many_connections')],
  ['right-revoked', { ready: '503 schema_failed', write: '503 schema_failed', read: '200' }],
  ['db-slow', sound],
  ['orders-lost', { ...sound, read: '404' }],
];


/** `more`: what only this platform can do. `made`: how the programs were made, which no recovery may change. */
type System = { env: NodeJS.ProcessEnv; port: number; more: Sign[]; made: () => Promise<unknown> };

/** Without a program of its own for each verb. It ends with destroy. */
export async function breakInside(t: TestContext, { env: outer, port, more, made }: System): Promise<void> {
  const env = { ...outer, DATABASE_LOCK_TIMEOUT_MS: '100' };
  const control = openControl({ env, root: root.replace(/\/$/, ''), say: () => undefined });
  const done = async (act: Promise<object>) => assert.deepEqual(await act, { done: undefined });
  const base = `http://127.0.0.1:${port}`;
  const place = (symbol: string) => ask(`${base}/order?symbol=${symbol}&side=buy&qty=1`, 'POST');
  const version = async () => (await ask(`${base}/version`)).body;

  await done(control.up());
  const lost = await control.inject('control', 'orders-lost');
  assert.ok('failed' in lost && lost.failed.includes('no order of verify is stored'), JSON.stringify(lost));
  await place('AAPL');
  const order = `${base}/orders/${String((await place('ZZVA')).body['order_id'])}`;
  const hear = async (): Promise<Heard> => {
    // an order of verify's would be newer than the one that is to be lost
    const heard = await Promise.all([ask(`${base}/ready`), place('ZZDA'), ask(order)]);
    const [ready = '', write = '', read = ''] = heard.map(({ word }) => word);
    return { ready, write, read };
  };
  const hears = (wanted: Heard) => until(hear, seen => isDeepStrictEqual(seen, wanted), 30_000);
  await hears(sound);
  const before = (await ask(order)).body;
  const first = [await made(), (await version())['git_sha']];
  const isWhole = async () => {
    assert.deepEqual(await control.journal(), []);
    await hears(sound);
    assert.deepEqual((await ask(order)).body, before);
    assert.deepEqual([await made(), (await version())['git_sha']], first);
  };

  const all = [...signs, ...more];
  for (const [fault, wanted] of all) {
    await t.test(`${fault} is what it is called; injected and recovered twice it leaves no trace`, async () => {
      for (const _ of ['once', 'twice']) await done(control.inject('control', fault));
      assert.deepEqual((await control.faultsInPlace()).map(entry => entry.fault), [fault]);
      await hears(wanted);
      if (fault === 'old-build') assert.match(String((await version())['git_sha']), /^0ddba110+$/);
      if (fault === 'db-slow') assert.ok((await place('ZZDA')).ms >= 100, 'a commit takes a tenth of a second');
      for (const _ of ['once', 'twice']) await done(control.recover('control', fault));
      await isWhole();
    });
  }
  await t.test('db-restarted gives another server to the same service', async () => {
    const instance = await version();
    for (const _ of ['once', 'twice']) await done(control.inject('control', 'db-restarted'));
    await done(control.recover('control', 'db-restarted'));
    await isWhole();
    assert.deepEqual(await version(), instance);
  });
  await t.test('all of them together: recover without a name, and up after halt, leave a whole system', async () => {
    // from behind, so that none keeps the next from being injected
    const injectAll = async () => {
      for (const [fault] of all.toReversed()) await done(control.inject('control', fault));
    };
    await injectAll();
    await done(control.recover('control'));
    await isWhole();
    await injectAll();
    await done(control.halt());
    await done(control.up());
    await isWhole();
  });
  await t.test('an order whose key was given to another meanwhile cannot come back, and that is said', async () => {
    const again = () => ask(`${base}/order?symbol=ZZVB&side=buy&qty=1`, 'POST', { 'idempotency-key': 'one' });
    await again();
    await done(control.inject('control', 'orders-lost'));
    await again();
    for (const fault of ['orders-lost', undefined] as const) {
      const outcome = await control.recover('control', fault);
      const failed = 'failed' in outcome ? outcome.failed : JSON.stringify(outcome);
      assert.match(failed, /orders-lost (is )?still in place/);
    }
    await done(control.up());
  });
  await t.test('up heals a frozen service, and destroy copes with a session of ours', async () => {
    await done(control.inject('control', 'service-frozen'));
    await done(control.up());
    await hears(sound);
    for (const fault of ['table-locked', 'service-frozen'] as const) await done(control.inject('control', fault));
    await done(control.destroy());
  });
}

/** `word`: the status, with the reason when it is refused; `silent` when nothing comes. */
type Answer = { word: string; body: Record<string, unknown>; ms: number };

async function ask(url: string, method = 'GET', headers = {}): Promise<Answer> {
  const began = performance.now();
  const gone = new AbortController();
  const late = setTimeout(() => gone.abort(), 1_000);
  try {
    const answer = await fetch(url, { method, signal: gone.signal, headers: { ...headers, connection: 'close' } });
    const body = await answer.json() as Record<string, unknown>;
    const reason = answer.status === 503 ? /"reason":"(\w+)"|unavailable: (\w+)/.exec(JSON.stringify(body)) : null;
    const word = [answer.status, ...reason?.slice(1).filter(Boolean) ?? []].join(' ');
    return { word, body, ms: performance.now() - began };
  } catch {
    return { word: 'silent', body: {}, ms: performance.now() - began };
  } finally {
    clearTimeout(late);
  }
}
