// Writers of one test: each posts orders with a key, again with the same one until it is acknowledged. The reckoning.
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';

type Acked = { id: string; qty: number; at: number };
export type Writers = {
  /** Of what was acknowledged, so far. */
  acked: () => number;
  /** The longest time between two acknowledged orders, in ms, of all writers together, since a moment. */
  silence: (since: number) => number;
  /** True when an order was acknowledged that was sent after this moment. */
  ackedSince: (moment: number) => boolean;
  /** True when every writer has had an answer, or none in time, to what it sent after this moment. */
  triedSince: (moment: number) => boolean;
  /** Returns when every writer has its last answer. */
  stop: () => Promise<void>;
  /** Against all rows of the database, `id|qty` a line. */
  reckon: (rows: string) => { acked: number; missing: number; changed: number; doubled: number };
};

/** Every order has a quantity that no other one of this program has, by which a doubled one is seen. */
let next = 1;

export function startWriters(url: string, many = 4): Writers {
  const acked: Acked[] = [];
  const tried = Array.from({ length: many }, () => 0);
  let [stopping, newest] = [false, 0];
  const place = async (qty: number, key: string) => {
    const sent = performance.now();
    try {
      const answer = await fetch(`${url}/order?symbol=FAIL&side=buy&qty=${qty}`, {
        method: 'POST', headers: { 'idempotency-key': key }, signal: AbortSignal.timeout(6_000),
      });
      const { order_id: id } = await answer.json() as { order_id?: string };
      if (answer.status !== 201 || id === undefined) return false;
      newest = Math.max(newest, sent);
      return acked.push({ id, qty, at: performance.now() }) > 0;
    } catch {
      // no answer: it is asked again under its key
      return false;
    }
  };
  const write = async (writer: number) => {
    while (!stopping) {
      const [qty, key] = [next++, randomUUID()];
      for (let isPlaced = false; !isPlaced && !stopping;) {
        const sent = performance.now();
        isPlaced = await place(qty, key);
        tried[writer] = sent;
        if (!isPlaced) await pause(50);
      }
      // the machine has others to serve
      await pause(5);
    }
  };
  const all = Promise.all(tried.map((_, writer) => write(writer)));
  return {
    acked: () => acked.length,
    silence: since => {
      const times = [since, ...acked.map(({ at }) => at).filter(at => at >= since)];
      return Math.round(Math.max(...times.slice(1).map((at, i) => at - (times[i] ?? at))));
    },
    ackedSince: moment => newest >= moment,
    triedSince: moment => tried.every(sent => sent >= moment),
    stop: async () => {
      stopping = true;
      await all;
    },
    reckon: text => reckon(acked, text),
  };
}

function reckon(acked: readonly Acked[], text: string) {
  const rows = text.trim().split('\n').map(line => line.split('|'));
  const stored = new Map(rows.map(([id = '', qty]) => [id, Number(qty)]));
  const times = new Map<number, number>();
  for (const [, qty] of rows) times.set(Number(qty), (times.get(Number(qty)) ?? 0) + 1);
  return {
    acked: acked.length,
    missing: acked.filter(({ id }) => !stored.has(id)).length,
    changed: acked.filter(({ id, qty }) => (stored.get(id) ?? qty) !== qty).length,
    doubled: [...times.values()].filter(many => many > 1).length,
  };
}
