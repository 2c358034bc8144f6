// A store in memory that keeps the interface of the real one, with a door through which a test decides what happens.
import type { NewOrder, Order, Probe, Store } from '../database/store.ts';

export type FakeStore = Store & { orders: Map<string, Order> };

/** before runs ahead of every access: let it wait, or throw what the real store would. */
export function openFakeStore(before: () => Promise<void> | void = () => {}): FakeStore {
  const up: Probe = { up: true, latencyMs: 1, since: new Date().toISOString() };
  const orders = new Map<string, Order>();
  const keys = new Map<string, Order>();
  return {
    orders,
    place: async ({ orderId, symbol, side, qty, key }: NewOrder): Promise<Order> => {
      await before();
      const stored = keys.get(key ?? orderId);
      const order = stored ?? { orderId, symbol, side, qty, createdAt: new Date().toISOString() };
      keys.set(key ?? orderId, order);
      orders.set(order.orderId, order);
      return order;
    },
    find: async orderId => {
      await before();
      return orders.get(orderId) ?? null;
    },
    readiness: {
      check: async () => up, last: () => up, suspect: () => {}, stats: () => ({ open: 0, opened: 0 }), close: () => {},
    },
    stats: () => ({
      connections: { writes: 0, reads: 0, readiness: 0 }, busy: 0, waiting: 0, waitMsTotal: 0, shed: 0, opened: 0,
      discarded: 0, batches: 0, batched: 0, retries: 0,
    }),
    close: async () => {},
  };
}
