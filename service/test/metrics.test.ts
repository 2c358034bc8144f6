// The metrics of a running service: the format, the families, and labels that no caller can multiply.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openMetrics } from '../telemetry/metrics.ts';
import type { Scene } from '../telemetry/metrics.ts';
import { until } from './database.ts';
import { get } from './http-cases.ts';
import { talk } from './raw.ts';
import { startService } from './running.ts';

type Sample = { name: string; labels: string; value: number };

// Text format 0.0.4: HELP and TYPE ahead of each family, samples only of the family announced last, no sample twice.
function parse(text: string): { families: Map<string, string>; samples: Sample[] } {
  assert.ok(text.endsWith('\n'));
  const families = new Map<string, string>();
  const samples: Sample[] = [];
  let family = '';
  for (const line of text.trimEnd().split('\n')) {
    const [, kind, name = '', type = ''] = /^# (HELP|TYPE) ([a-z_]+) (.+)$/.exec(line) ?? [];
    if (kind === 'HELP') assert.ok(!families.has(family = name), `${name} twice`);
    if (kind === 'TYPE') families.set(name, type);
    if (kind !== undefined) continue;
    const sample = /^([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)+)\})? (-?[0-9.e+-]+)$/.exec(line);
    assert.ok(sample, line);
    const part = families.get(family) === 'histogram' ? /_(bucket|sum|count)$/ : /$/;
    assert.equal(sample[1]?.replace(part, ''), family);
    samples.push({ name: sample[1] ?? '', labels: sample[2] ?? '', value: Number(sample[3]) });
  }
  assert.equal(new Set(samples.map(({ name, labels }) => `${name}{${labels}}`)).size, samples.length);
  return { families, samples };
}

const scene: Scene = {
  layer: { inFlight: 0, connections: 0, dropped: 0 }, probe: null, draining: false, logDropped: 0, store: {
    connections: { writes: 0, reads: 0, readiness: 0 }, busy: 0, waiting: 0, waitMsTotal: 0, shed: 0, opened: 0,
    discarded: 0, batches: 0, batched: 0, retries: 0,
  },
};

async function scrape(port: number): Promise<ReturnType<typeof parse>> {
  return parse((await talk({ port, bytes: get('/metrics', 'Connection: close') })).answers[0]?.body ?? '');
}

function find(samples: Sample[], name: string, labels: string): number | undefined {
  return samples.find(sample => sample.name === name && sample.labels === labels)?.value;
}

test('they parse, hold every promised family, and a thousand odd requests add no label', async t => {
  const { port } = await startService(t);
  const methods = ['GET', 'PUT', 'DELETE', 'PATCH', 'PROPFIND'];
  const odd = (round: number): string => Array.from({ length: 40 }, (_, at) =>
    get(`/${round}-${at}?${at}`, `X-Request-Id: ${round}-${at}`).replace('GET', methods[at % 5] ?? 'GET')).join('');
  const flood = async (from: number, to: number): Promise<void> => {
    for (let round = from; round < to; round += 1) {
      assert.equal((await talk({ port, bytes: odd(round), until: 40 })).answers.length, 40);
    }
    await talk({ port, bytes: 'RUBBISH\r\n\r\n' });
  };
  await flood(0, 2);
  await scrape(port);
  const before = await scrape(port);
  await flood(2, 27);
  const after = await scrape(port);
  const names = ({ samples }: typeof after): string[] => samples.map(({ name, labels }) => `${name} ${labels}`);
  assert.deepEqual(names(after), names(before));
  const told = new Set(after.samples.map(({ labels }) => /method="(\w+)"/.exec(labels)?.[1] ?? 'none'));
  assert.deepEqual([...told].sort(), ['GET', 'none', 'other']);
  for (const name of [
    'http_requests_total', 'http_request_duration_seconds', 'http_requests_in_flight', 'http_connections',
    'http_connections_dropped_total', 'service_ready', 'service_draining', 'service_transitions_total', 'dependency_up',
    'database_probe_seconds', 'database_connections', 'database_connections_busy', 'database_waiting',
    'database_wait_seconds_total', 'database_connections_opened_total', 'database_connections_discarded_total',
    'database_statements_total', 'database_statement_rows_total', 'database_retries_total', 'requests_shed_total',
    'event_loop_lag_seconds', 'log_lines_dropped_total', 'process_resident_memory_bytes', 'process_heap_used_bytes',
    'process_cpu_seconds_total', 'process_start_time_seconds', 'process_open_fds', 'build_info',
  ]) assert.ok(after.families.has(name), name);
});

test('counts are exact, buckets rise to the count, and the database is shown to be down', async t => {
  const { port } = await startService(t);
  for (let at = 0; at < 10; at += 1) await talk({ port, bytes: get('/version', 'Connection: close') });
  const { samples } = await scrape(port);
  const value = (name: string, labels: string): number | undefined => find(samples, name, labels);
  const labels = 'method="GET",route="/version",status="200"';
  assert.equal(value('http_requests_total', labels), 10);
  assert.equal(value('http_request_duration_seconds_count', labels), 10);
  assert.equal(value('http_request_duration_seconds_bucket', `${labels},le="+Inf"`), 10);
  const ours = samples.filter(sample => sample.name.endsWith('_bucket') && sample.labels.startsWith(labels));
  const buckets = ours.map(sample => sample.value);
  assert.deepEqual(buckets, [...buckets].sort((a, b) => a - b));
  assert.deepEqual([value('dependency_up', 'dependency="database"'), value('service_ready', '')], [0, 0]);
  assert.equal(value('service_transitions_total', 'to="unready"'), 1);
});

test('what the store counts is shown in its own words', t => {
  const metrics = openMetrics({ version: '1' });
  t.after(() => metrics.close());
  const { samples } = parse(metrics.render({ ...scene, store: {
    connections: { writes: 2, reads: 1, readiness: 1 }, busy: 3, waiting: 40, waitMsTotal: 1500, shed: 5, opened: 6,
    discarded: 7, batches: 8, batched: 900, retries: 10,
  } }));
  const of = (name: string): number[] => samples.filter(sample => sample.name === name).map(sample => sample.value);
  assert.deepEqual(of('database_connections'), [2, 1, 1]);
  assert.equal(find(samples, 'database_connections', 'use="reads"'), 1);
  for (const [name, value] of [
    ['database_connections_busy', 3], ['database_waiting', 40], ['database_wait_seconds_total', 1.5],
    ['database_connections_opened_total', 6], ['database_connections_discarded_total', 7],
    ['database_statements_total', 8], ['database_statement_rows_total', 900],
    ['database_retries_total', 10], ['requests_shed_total', 5],
  ] as const) assert.deepEqual(of(name), [value], name);
});

test('the start of the process is the same at every scrape, and an idle event loop has next to no lag', async t => {
  const metrics = openMetrics({ version: '1' });
  t.after(() => metrics.close());
  const look = (): Sample[] => parse(metrics.render(scene)).samples;
  const lag = (): number => find(look(), 'event_loop_lag_seconds', 'quantile="0.5"') ?? NaN;
  const start = find(look(), 'process_start_time_seconds', '');
  assert.ok(Math.abs(Date.now() / 1000 - process.uptime() - (start ?? 0)) < 1, `${start}`);
  const starts = new Set<number | undefined>();
  // Busy until there has been a lag to tell of, and idle then.
  await until(() => {
    const endMs = performance.now() + 50;
    while (performance.now() < endMs) starts.add(find(look(), 'process_start_time_seconds', ''));
    return find(look(), 'event_loop_lag_seconds', 'quantile="1"') ?? 0;
  }, max => max > 0.02, 5000);
  assert.deepEqual([...starts], [start]);
  await until(lag, seconds => seconds < 0.005, 9000);
});
