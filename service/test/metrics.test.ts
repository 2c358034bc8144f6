// The metrics of a running service: the format, the families, and labels that no caller can multiply.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { get } from './http-cases.ts';
import { talk } from './raw.ts';
import { startService } from './running.ts';

type Sample = { name: string; labels: string; value: number };

// Text format 0.0.4: HELP and TYPE ahead of each family, samples only of the family that was announced last, no sample twice.
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
    assert.equal(sample[1]?.replace(/_(bucket|sum|count)$/, match => (families.get(family) === 'histogram' ? '' : match)), family);
    samples.push({ name: sample[1] ?? '', labels: sample[2] ?? '', value: Number(sample[3]) });
  }
  assert.equal(new Set(samples.map(({ name, labels }) => `${name}{${labels}}`)).size, samples.length);
  return { families, samples };
}

test('they parse, hold every promised family, and a thousand odd requests add no label', async t => {
  const { port } = await startService(t);
  const scrape = async (): Promise<ReturnType<typeof parse>> => parse((await talk({ port, bytes: get('/metrics', 'Connection: close') })).answers[0]?.body ?? '');
  const odd = (round: number): string => Array.from({ length: 40 }, (_, at) =>
    get(`/${round}-${at}?${at}`, `X-Request-Id: ${round}-${at}`).replace('GET', ['GET', 'PUT', 'DELETE', 'PATCH', 'PROPFIND'][at % 5] ?? 'GET')).join('');
  const flood = async (from: number, to: number): Promise<void> => {
    for (let round = from; round < to; round += 1) assert.equal((await talk({ port, bytes: odd(round), until: 40 })).answers.length, 40);
    await talk({ port, bytes: 'RUBBISH\r\n\r\n' });
  };
  await flood(0, 2);
  await scrape();
  const before = await scrape();
  await flood(2, 27);
  const after = await scrape();
  assert.deepEqual(after.samples.map(({ name, labels }) => `${name} ${labels}`), before.samples.map(({ name, labels }) => `${name} ${labels}`));
  const methods = new Set(after.samples.map(({ labels }) => /method="(\w+)"/.exec(labels)?.[1] ?? 'none'));
  assert.deepEqual([...methods].sort(), ['GET', 'none', 'other']);
  for (const name of [
    'http_requests_total', 'http_request_duration_seconds', 'http_requests_in_flight', 'http_connections', 'http_connections_dropped_total',
    'service_ready', 'service_draining',
    'service_transitions_total', 'dependency_up', 'database_probe_seconds', 'database_connections', 'database_connections_busy', 'database_waiting',
    'database_wait_seconds_total', 'database_connections_opened_total', 'database_connections_discarded_total', 'database_statements_total',
    'database_statement_rows_total', 'database_retries_total', 'requests_shed_total', 'event_loop_lag_seconds',
    'log_lines_dropped_total', 'process_resident_memory_bytes', 'process_heap_used_bytes', 'process_cpu_seconds_total',
    'process_start_time_seconds', 'process_open_fds', 'build_info',
  ]) assert.ok(after.families.has(name), name);
});

test('counts are exact, buckets rise to the count, and the database is told to be down', async t => {
  const { port } = await startService(t);
  for (let at = 0; at < 10; at += 1) await talk({ port, bytes: get('/version', 'Connection: close') });
  const { samples } = parse((await talk({ port, bytes: get('/metrics', 'Connection: close') })).answers[0]?.body ?? '');
  const value = (name: string, labels: string): number | undefined => samples.find(sample => sample.name === name && sample.labels === labels)?.value;
  const labels = 'method="GET",route="/version",status="200"';
  assert.equal(value('http_requests_total', labels), 10);
  assert.equal(value('http_request_duration_seconds_count', labels), 10);
  assert.equal(value('http_request_duration_seconds_bucket', `${labels},le="+Inf"`), 10);
  const buckets = samples.filter(sample => sample.name.endsWith('_bucket') && sample.labels.startsWith(labels)).map(sample => sample.value);
  assert.deepEqual(buckets, [...buckets].sort((a, b) => a - b));
  assert.deepEqual([value('dependency_up', 'dependency="database"'), value('service_ready', ''), value('service_transitions_total', 'to="unready"')], [0, 0, 1]);
});
