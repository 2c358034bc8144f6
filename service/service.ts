// The service put together: store, routes, HTTP server, metrics and log.
import { randomUUID } from 'node:crypto';
import type { Config } from './config.ts';
import type { Store } from './database/store.ts';
import type { Answered } from './http/reply.ts';
import { createRouter } from './http/router.ts';
import { createHttpLayer } from './http/server.ts';
import type { Layer, Limits } from './http/server.ts';
import { openRoutes } from './orders/endpoints.ts';
import type { Fields, Log } from './telemetry/log.ts';
import { openMetrics } from './telemetry/metrics.ts';
import { version } from './telemetry/openapi.ts';

/** drain resolves with the exit code: 0 when everything in flight was answered, 1 when it was cut off. */
export type Service = { port: number; drain(): Promise<number>; close(): Promise<void> };
/** openStore hands over what happens to the database: an event and its fields. */
type Parts = { config: Config; log: Log; openStore: (onEvent: (event: string, fields: Fields) => void) => Store };

const lookEveryMs = 2000;
const storeGraceMs = 2000;

/** Listens before it has ever spoken to the database, and stays whatever the database does. */
export async function openService({ config, log, openStore }: Parts): Promise<Service> {
  const build = describeBuild(config);
  const metrics = openMetrics({ version, git_sha: config.service.gitSha, node: process.version });
  let told: 'ready' | 'unready' | 'draining' | null = null;
  const become = (next: 'ready' | 'unready' | 'draining', fields: Fields): void => {
    if (next === told || told === 'draining') return;
    told = next;
    metrics.transition(next);
    log.info(next === 'ready' ? 'ready' : 'unready', fields);
  };
  const draining = (): boolean => told === 'draining';
  const store = openStore((event, fields) => {
    if (event === 'database_down') log.warn(event, fields);
    else log.info(event, fields);
    if (event === 'database_up') become('ready', fields);
    if (event === 'database_down') become('unready', fields);
  });
  const { readiness } = store;
  const routes = openRoutes({
    store, version: build, draining,
    metrics: async () => {
      const probe = await readiness.check();
      return metrics.render({
        layer: layer.stats(), store: store.stats(), probe, draining: draining(), logDropped: log.dropped(),
      });
    },
  });
  const layer = createHttpLayer(createRouter(routes), limitsOf(config), answered => {
    metrics.observe(answered);
    tell(log, answered);
  });
  const port = await layer.listen(config.server.port, config.server.host);
  // Nobody may be asking, and still the log and the counters should know when the database went.
  const looker = setInterval(() => void readiness.check(), lookEveryMs).unref();
  log.info('listening', { host: config.server.host, port, ...build });
  const stop = (): void => {
    clearInterval(looker);
    metrics.close();
    layer.closeAll();
  };
  const announce = (): void => {
    clearInterval(looker);
    become('draining', { reason: 'draining' });
  };
  return {
    port,
    drain: () => drain({ layer, store, log, announce }, config.drain).finally(stop),
    close: () => store.close(0).finally(stop),
  };
}

type Drainable = {
  layer: Pick<Layer, 'sayClose' | 'finish' | 'closeAll' | 'stats'>; store: Pick<Store, 'close'>;
  log: Log; announce: () => void;
};

// Readiness first, then the door, then what is in flight, then the database. Readers of readiness get graceMs to go
// elsewhere; everything together gets deadlineMs, then it is cut off.
async function drain(
  { layer, store, log, announce }: Drainable, { graceMs, deadlineMs }: Config['drain'],
): Promise<number> {
  const startedMs = performance.now();
  announce();
  layer.sayClose();
  log.info('draining', { grace_ms: graceMs, deadline_ms: deadlineMs, in_flight: layer.stats().inFlight });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>(resolve => {
    timer = setTimeout(() => resolve('late'), deadlineMs);
  });
  const leaving = async (): Promise<'left'> => {
    await new Promise(resolve => setTimeout(resolve, graceMs));
    await layer.finish();
    await store.close(storeGraceMs);
    return 'left';
  };
  const end = await Promise.race([leaving(), late]);
  clearTimeout(timer);
  const ms = Math.round(performance.now() - startedMs);
  if (end === 'left') log.info('drained', { ms });
  else log.error('drain_deadline', { ms, in_flight: layer.stats().inFlight });
  layer.closeAll();
  return end === 'left' ? 0 : 1;
}

function describeBuild({ service }: Config): Record<string, string> {
  return {
    service: service.name, env: service.env, version, log_level: service.logLevel, git_sha: service.gitSha,
    build_time: service.buildTime, instance_id: randomUUID(), started_at: new Date().toISOString(),
    node: process.version,
  };
}

// Answers that nobody reads stay well within a container of 256 MB.
const fixedLimits = { maxPipelined: 64, maxUnreadBytes: 131_072, maxUnreadBytesInAll: 16_777_216, lingerMs: 1000 };

function limitsOf({ server }: Config): Limits {
  const { headersTimeoutMs, requestTimeoutMs, maxConnections, maxBodyBytes } = server;
  return { headersTimeoutMs, requestTimeoutMs, maxConnections, maxBodyBytes, keepAliveTimeoutMs: 5000, ...fixedLimits };
}

const quiet = new Set(['/health', '/ready', '/metrics']);

function tell(log: Log, { requestId, method, route, status, ms, note }: Answered): void {
  const { code, reason, orderId } = note;
  const took = Math.round(ms * 10) / 10;
  const fields: Fields = { request_id: requestId, method, route, status, ms: took, code, reason, order_id: orderId };
  if (note.error !== undefined) log.error('request_failed', { ...fields, error: stackOf(note.error) });
  else if (quiet.has(route)) log.debug('request', fields);
  else if (status >= 500) log.warn('request', fields);
  else log.info('request', fields);
}

/** The stack of an error, and below it those of its causes. */
export function stackOf(error: unknown, depth = 5): string {
  if (!(error instanceof Error)) return String(error);
  const stack = error.stack ?? error.message;
  return error.cause === undefined || depth === 0 ? stack : `${stack}\ncaused by ${stackOf(error.cause, depth - 1)}`;
}
