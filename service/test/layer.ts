// The HTTP layer on a port of its own, with an echo or with the real routes behind it.
import type { TestContext } from 'node:test';
import type { Answered, Handler } from '../http/reply.ts';
import { createRouter } from '../http/router.ts';
import { openRoutes } from '../orders/endpoints.ts';
import { createHttpLayer } from '../http/server.ts';
import type { Layer, Limits } from '../http/server.ts';
import type { Store } from '../database/store.ts';
import { openFakeStore } from './fake-store.ts';

export const limits: Limits = {
  headersTimeoutMs: 5000, requestTimeoutMs: 10_000, keepAliveTimeoutMs: 5000,
  maxConnections: 5000, maxBodyBytes: 16_384, lingerMs: 1000,
  maxPipelined: 64, maxUnreadBytes: 131_072, maxUnreadBytesInAll: 16_777_216,
};

export const echo: Handler = ({ method, path, query, body }) => (
  { status: 200, body: { method, path, query, bytes: body.length } }
);

type Opened = { port: number; layer: Layer; told: Answered[] };

export async function openLayer(t: TestContext, handler: Handler, given: Partial<Limits> = {}): Promise<Opened> {
  const told: Answered[] = [];
  const layer = createHttpLayer(handler, { ...limits, ...given }, answered => told.push(answered));
  t.after(() => layer.closeAll());
  return { port: await layer.listen(0, '127.0.0.1'), layer, told };
}

export function realRoutes(store: Store = openFakeStore()): Handler {
  return createRouter(openRoutes({ store, version: {}, draining: () => false, metrics: async () => '' }));
}
