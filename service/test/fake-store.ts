// A store in memory that keeps the interface of the real one, with a door through which a test decides what happens.
import type { NewOrder, Order, Placed, Store } from '../database/store.ts';

export type FakeStore = Store & { orders: Map<string, Order> };

/** before runs ahead of every access: let it wait, or throw what the real store would. */
export function openFakeStore(before: () => Promise<void> | void = () => {}): FakeStore {
  const orders = new Map<string, Order>();
  const keys = new Map<string, Order>();
  return {
    orders,
    place: async ({ orderId, symbol, side, qty, key }: NewOrder): Promise<Placed> => {
      await before();
      const stored = keys.get(key ?? orderId);
      const order = stored ?? { orderId, symbol, side, qty, createdAt: new Date().toISOString() };
      keys.set(key ?? orderId, order);
      orders.set(order.orderId, order);
      return { order, created: !stored };
    },
    find: async orderId => {
      await before();
      return orders.get(orderId) ?? null;
    },
    probe: async () => ({ up: true, latencyMs: 1, since: new Date().toISOString() }),
    onDoubt: () => {},
    stats: () => ({ open: 0, busy: 0, idle: 0, waiting: 0, opened: 0, discarded: 0, shed: 0, waitMsTotal: 0, max: 8 }),
    close: async () => {},
  };
}
