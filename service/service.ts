// The service put together: store, readiness, routes, layer, metrics and log. Opened by main.ts, and by tests with another store.
import { randomUUID } from 'node:crypto';
import type { Config } from './config.ts';
import { drain } from './drain.ts';
import type { Fields, Log } from './telemetry/log.ts';
import type { Answered } from './http/reply.ts';
import { openMetrics } from './telemetry/metrics.ts';
import type { Metrics, StoreStats } from './telemetry/metrics.ts';
import { watchReadiness } from './database/readiness.ts';
import { createRouter } from './http/router.ts';
import { openRoutes } from './orders/endpoints.ts';
import { createHttpLayer } from './http/server.ts';
import type { Limits } from './http/server.ts';
import type { Probe, Store } from './database/store.ts';
import { version } from './telemetry/openapi.ts';

export type Service = { port: number; drain(): Promise<number>; close(): Promise<void> };
type Parts = { config: Config; store: Store; log: Log };

const lookEveryMs = 2000;

/** Listens before it has ever spoken to the database, and stays whatever the database does. */
export async function openService({ config, store, log }: Parts): Promise<Service> {
  const build = describeBuild(config);
  const metrics = openMetrics(pick(build, ['version', 'git_sha', 'node']));
  const readiness = watchReadiness(store, config.ready);
  const state = { draining: false };
  const look = watchTransitions(metrics);
  const checked = { last: readiness.last, check: async () => look(await readiness.check()) };
  const routes = openRoutes({
    store, readiness: checked, version: build, draining: () => state.draining,
    deadlineMs: config.database.waitTimeoutMs + config.database.queryTimeoutMs + 1000,
    metrics: async () => metrics.render({
      layer: layer.stats(), store: statsOf(store), probe: await checked.check(), draining: state.draining, logDropped: log.dropped(),
    }),
  });
  const layer = createHttpLayer(createRouter(routes), limitsOf(config), answered => {
    metrics.observe(answered);
    tell(log, answered);
  });
  const port = await layer.listen(config.server.port, config.server.host);
  // Nobody may be asking, and still the log and the counters should know when the database went.
  const looker = setInterval(() => void checked.check(), lookEveryMs).unref();
  log.info('listening', { host: config.server.host, port, ...build });
  const announce = (): void => {
    state.draining = true;
    metrics.transition('draining');
    clearInterval(looker);
  };
  const stop = (): void => {
    clearInterval(looker);
    metrics.close();
    layer.closeAll();
  };
  return {
    port,
    drain: () => drain({ layer, store, log, announce }, config.drain).finally(stop),
    close: () => store.close(0).finally(stop),
  };
}

function describeBuild({ service }: Config): Record<string, string> {
  return {
    service: service.name, env: service.env, version, log_level: service.logLevel, git_sha: service.gitSha, build_time: service.buildTime,
    instance_id: randomUUID(), started_at: new Date().toISOString(), node: process.version,
  };
}

function pick(values: Record<string, string>, names: string[]): Record<string, string> {
  return Object.fromEntries(names.map(name => [name, values[name] ?? '']));
}

function limitsOf({ server }: Config): Limits {
  const { headersTimeoutMs, requestTimeoutMs, maxConnections, maxBodyBytes } = server;
  return { headersTimeoutMs, requestTimeoutMs, maxConnections, maxBodyBytes, keepAliveTimeoutMs: 5000, maxPipelined: 64, lingerMs: 1000 };
}

// Every look passes here, so that a change is counted once, whoever saw it first; the store has it logged.
function watchTransitions(metrics: Pick<Metrics, 'transition'>): (probe: Probe) => Probe {
  let before: boolean | null = null;
  return probe => {
    if (probe.up !== before) metrics.transition(probe.up ? 'ready' : 'unready');
    before = probe.up;
    return probe;
  };
}

// Until the store tells these itself.
function statsOf(store: Store): StoreStats {
  const { open, busy, waiting, waitMsTotal, shed, opened, discarded } = store.stats();
  const connections = { writes: open, reads: 0, readiness: 0 };
  return { connections, busy, waiting, waitMsTotal, shed, opened, discarded, batches: 0, batched: 0, retries: 0 };
}

const quiet = new Set(['/health', '/ready', '/metrics']);

function tell(log: Log, { requestId, method, route, status, ms, note }: Answered): void {
  const { code, reason, orderId } = note;
  const roundedMs = Math.round(ms * 10) / 10;
  const fields: Fields = { request_id: requestId, method, route, status, ms: roundedMs, order_id: orderId, code, reason };
  if (note.error !== undefined) log.error('request_failed', { ...fields, error: stackOf(note.error) });
  else if (quiet.has(route)) log.debug('request', fields);
  else if (status >= 500) log.warn('request', fields);
  else log.info('request', fields);
}

export function stackOf(error: unknown): string {
  return error instanceof Error ? error.stack ?? error.message : String(error);
}
