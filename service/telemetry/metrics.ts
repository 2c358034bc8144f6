// What the service counts, in Prometheus text format 0.0.4. Every label has a fixed, small set of values.
import { readdirSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Answered } from '../http/reply.ts';
import type { Probe, StoreStats } from '../database/store.ts';

/** What is read at the moment of the scrape. */
export type Scene = {
  layer: { inFlight: number; connections: number; dropped: number }; store: StoreStats;
  probe: Probe | null; draining: boolean; logDropped: number;
};
export type Metrics = {
  observe(answered: Answered): void;
  transition(to: 'ready' | 'unready' | 'draining'): void;
  render(scene: Scene): string;
  close(): void;
};

// What the histogram measures is the time between two of its own ticks, which is this much when nothing is late.
const tickMs = 10;
const buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const methods = new Set(['GET', 'HEAD', 'POST', 'OPTIONS', 'none']);
type Series = { method: string; status: number; labels: string; count: number; sum: number; counts: number[] };

export function openMetrics(build: Record<string, string>): Metrics {
  const requests = new Map<string, Series[]>();
  const transitions = { ready: 0, unready: 0, draining: 0 };
  const lag = monitorEventLoopDelay({ resolution: tickMs });
  lag.enable();
  // A window of ten seconds: since the start of the process would hide what happens now.
  const turn = setInterval(() => lag.reset(), 10_000).unref();
  return {
    observe: answered => observe(requests, answered),
    transition: to => { transitions[to] += 1; },
    render: scene => [
      ...renderRequests([...requests.values()].flat()),
      ...renderScene(scene),
      ...family('service_transitions_total', 'counter', 'Changes of readiness, by the state entered',
        Object.entries(transitions).map(([to, count]) => [`{to="${to}"}`, count])),
      ...family('event_loop_lag_seconds', 'gauge', 'Event loop delay in the last ten seconds', [
        ['{quantile="0.5"}', lateness(lag.percentile(50))], ['{quantile="0.99"}', lateness(lag.percentile(99))],
        ['{quantile="1"}', lateness(lag.max)]]),
      ...renderProcess(),
      ...family('build_info', 'gauge', 'What is running', [[labelsOf(build), 1]]),
    ].join('\n') + '\n',
    close: () => {
      clearInterval(turn);
      lag.disable();
    },
  };
}

function lateness(ns: number): number {
  return Math.max(0, ns - tickMs * 1e6) / 1e9;
}

function observe(requests: Map<string, Series[]>, { method, route, status, ms }: Answered): void {
  const name = methods.has(method) ? method : 'other';
  const ofRoute = requests.get(route) ?? [];
  let series = ofRoute.find(one => one.status === status && one.method === name);
  if (!series) {
    const labels = `method="${name}",route="${route}",status="${status}"`;
    series = { method: name, status, labels, count: 0, sum: 0, counts: buckets.map(() => 0) };
    requests.set(route, [...ofRoute, series]);
  }
  series.count += 1;
  series.sum += ms / 1000;
  const at = buckets.findIndex(bucket => ms / 1000 <= bucket);
  if (at >= 0) series.counts[at] = (series.counts[at] ?? 0) + 1;
}

function renderRequests(all: Series[]): string[] {
  const name = 'http_request_duration_seconds';
  const lines = all.flatMap(({ labels, count, sum, counts }) => {
    let below = 0;
    return [
      ...buckets.map((bucket, at) => `${name}_bucket{${labels},le="${bucket}"} ${below += counts[at] ?? 0}`),
      `${name}_bucket{${labels},le="+Inf"} ${count}`,
      `${name}_sum{${labels}} ${sum}`, `${name}_count{${labels}} ${count}`,
    ];
  });
  return [
    ...family('http_requests_total', 'counter', 'Answers given',
      all.map(({ labels, count }) => [`{${labels}}`, count])),
    `# HELP ${name} Time from head to answer`, `# TYPE ${name} histogram`, ...lines,
  ];
}

function renderScene({ layer, store, probe, draining, logDropped }: Scene): string[] {
  const gauge = (name: string, help: string, value: number): string[] => family(name, 'gauge', help, [['', value]]);
  const counter = (name: string, help: string, value: number): string[] => family(name, 'counter', help, [['', value]]);
  return [
    ...gauge('http_requests_in_flight', 'Requests taken and not yet answered', layer.inFlight),
    ...gauge('http_connections', 'Open connections of callers', layer.connections),
    ...counter('http_connections_dropped_total', 'Connections closed at once, being too many', layer.dropped),
    ...gauge('service_ready', 'Whether /ready says 200', probe?.up && !draining ? 1 : 0),
    ...gauge('service_draining', 'Whether the service is on its way out', draining ? 1 : 0),
    ...family('dependency_up', 'gauge', 'Whether a dependency answers', [
      ['{dependency="database"}', probe?.up ? 1 : 0]]),
    ...gauge('database_probe_seconds', 'What the last probe of the database took', (probe?.latencyMs ?? 0) / 1000),
    ...family('database_connections', 'gauge', 'Open connections to the database, by use',
      Object.entries(store.connections).map(([use, count]) => [`{use="${use}"}`, count])),
    ...gauge('database_connections_busy', 'Connections with a statement in flight', store.busy),
    ...gauge('database_waiting', 'Orders and look-ups that wait for a connection', store.waiting),
    ...counter('database_wait_seconds_total', 'Time they spent waiting', store.waitMsTotal / 1000),
    ...counter('database_connections_opened_total', 'Connections opened', store.opened),
    ...counter('database_connections_discarded_total', 'Connections thrown away in trouble', store.discarded),
    ...counter('database_statements_total', 'Statements that carried orders or look-ups', store.batches),
    ...counter('database_statement_rows_total', 'Orders and look-ups that they carried', store.batched),
    ...counter('database_retries_total', 'Orders and look-ups sent again after a failure', store.retries),
    ...counter('requests_shed_total', 'Requests refused because of overload', store.shed),
    ...counter('log_lines_dropped_total', 'Log lines lost to a stalled reader', logDropped),
  ];
}

function renderProcess(): string[] {
  const { rss, heapUsed } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  return [
    ...family('process_resident_memory_bytes', 'gauge', 'Resident memory', [['', rss]]),
    ...family('process_heap_used_bytes', 'gauge', 'JavaScript heap in use', [['', heapUsed]]),
    ...family('process_cpu_seconds_total', 'counter', 'CPU time', [['', (user + system) / 1e6]]),
    ...family('process_start_time_seconds', 'gauge', 'Start of the process', [['', performance.timeOrigin / 1000]]),
    ...family('process_open_fds', 'gauge', 'Open files', openFiles().map(count => ['', count])),
  ];
}

// Only Linux can tell.
function openFiles(): number[] {
  try {
    return [readdirSync('/proc/self/fd').length];
  } catch {
    return [];
  }
}

function family(name: string, type: 'counter' | 'gauge', help: string, samples: [string, number][]): string[] {
  const lines = samples.map(([labels, value]) => `${name}${labels} ${value}`);
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines];
}

function labelsOf(values: Record<string, string>): string {
  return `{${Object.entries(values).map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(',')}}`;
}
