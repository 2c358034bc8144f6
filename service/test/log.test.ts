// The log: what one turn of the event loop logs leaves in one write, in order, bounded, and nothing is left behind.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openLog } from '../telemetry/log.ts';
import type { Sink } from '../telemetry/log.ts';

type FakeSink = Sink & { writes: string[]; writableLength: number };

function openSink(): FakeSink {
  const writes: string[] = [];
  return { writes, writableLength: 0, write: text => writes.push(text) > 0 };
}

function eventsOf(writes: string[]): unknown[] {
  return writes.join('').split('\n').slice(0, -1).map(line => JSON.parse(line).event);
}

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

test('what one turn of the loop logs leaves in one write, in order, each line with its own fields', async () => {
  const sink = openSink();
  const log = openLog(sink, 'info', 10_000);
  log.info('first', { a: 1, gone: undefined, text: '"\n' });
  log.debug('unwanted');
  log.error('second');
  log.warn('third', {});
  await turn();
  assert.equal(sink.writes.length, 1);
  const lines = (sink.writes[0] ?? '').split('\n').slice(0, -1).map(line => JSON.parse(line));
  assert.deepEqual(lines.map(({ time, ...rest }) => rest), [
    { level: 'info', event: 'first', a: 1, text: '"\n' }, { level: 'error', event: 'second' },
    { level: 'warn', event: 'third' },
  ]);
  for (const { time } of lines) assert.ok(Math.abs(Date.parse(time) - Date.now()) < 5000, time);
  log.info('fourth');
  await turn();
  assert.deepEqual(eventsOf(sink.writes), ['first', 'second', 'third', 'fourth']);
});

test('the time of a line is that of its event, to the millisecond', async () => {
  const sink = openSink();
  const log = openLog(sink, 'info', 10_000);
  const around: [number, number][] = [];
  for (let at = 0; at < 5; at += 1) {
    const before = Date.now();
    log.info('tick');
    around.push([before, Date.now()]);
    const endMs = Date.now() + 3;
    while (Date.now() < endMs);
  }
  await log.flush(100);
  const times = sink.writes.join('').split('\n').slice(0, -1).map(line => Date.parse(JSON.parse(line).time));
  assert.equal(times.length, around.length);
  for (const [at, [before, after]] of around.entries()) {
    const time = times[at] ?? 0;
    assert.ok(before <= time && time <= after, `${before} ${time} ${after}`);
  }
});

test('lines that wait for their write count against the bound, as those do that the reader has not taken', async () => {
  const sink = openSink();
  const log = openLog(sink, 'info', 1000);
  for (let at = 0; at < 100; at += 1) log.info('line', { text: 'x'.repeat(50) });
  await turn();
  const kept = eventsOf(sink.writes).length;
  assert.ok(sink.writes.join('').length < 1200 && kept > 5, `${kept} lines`);
  assert.equal(log.dropped(), 100 - kept);
  sink.writableLength = 1001;
  log.info('lost too');
  sink.writableLength = 0;
  log.info('next');
  await turn();
  assert.deepEqual(eventsOf(sink.writes).slice(kept), ['log_lines_dropped', 'next']);
  assert.match(sink.writes.join(''), new RegExp(`"count":${101 - kept}}`));
});

test('flush hands out what waits before it returns, and then waits for the reader', async () => {
  const sink = openSink();
  const log = openLog(sink, 'info', 10_000);
  log.error('crashed');
  sink.writableLength = 1;
  const flushed = log.flush(5000);
  assert.deepEqual(eventsOf(sink.writes), ['crashed']);
  setTimeout(() => { sink.writableLength = 0; }, 10);
  await flushed;
  await turn();
  assert.equal(sink.writes.length, 1);
});

test('when the reader is gone, every line of the failed write is counted', async () => {
  const sink = openSink();
  const log = openLog(sink, 'info', 10_000);
  log.info('a');
  log.info('b');
  await turn();
  log.lost();
  assert.equal(log.dropped(), 2);
});
