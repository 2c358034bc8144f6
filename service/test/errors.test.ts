// The table of error codes: each means the same thing wherever it turns up.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isRefusal, parseCode } from '../database/errors.ts';

test('each code of network and database has its kind and reason', () => {
  const want: [string, string, string][] = [
    ['ECONNREFUSED', 'unavailable', 'connection_refused'], ['ENOTFOUND', 'unavailable', 'unreachable'],
    ['EAI_AGAIN', 'unavailable', 'unreachable'],
    ['EHOSTUNREACH', 'unavailable', 'unreachable'], ['ETIMEDOUT', 'unavailable', 'timeout'],
    ['CONNECT_TIMEOUT', 'unavailable', 'timeout'],
    ['DEADLINE', 'unavailable', 'timeout'], ['ECONNRESET', 'unavailable', 'connection_lost'],
    ['EPIPE', 'unavailable', 'connection_lost'],
    ['CONNECTION_CLOSED', 'unavailable', 'connection_lost'], ['NO_ROW', 'unavailable', 'connection_lost'],
    ['PROTOCOL_ERROR', 'unavailable', 'protocol_error'],
    ['28P01', 'unavailable', 'credentials_rejected'], ['28000', 'unavailable', 'credentials_rejected'],
    ['3D000', 'unavailable', 'database_missing'],
    ['53300', 'unavailable', 'too_many_connections'], ['53100', 'unavailable', 'disk_full'],
    ['53200', 'unavailable', 'unknown'],
    ['57P01', 'unavailable', 'shutting_down'], ['57P03', 'unavailable', 'starting_up'],
    ['57014', 'unavailable', 'statement_timeout'],
    ['55P03', 'unavailable', 'lock_timeout'], ['25006', 'unavailable', 'read_only'],
    ['42P01', 'unavailable', 'schema_failed'],
    ['42501', 'unavailable', 'schema_failed'], ['40P01', 'unavailable', 'unknown'], ['58030', 'unavailable', 'unknown'],
    ['08006', 'unavailable', 'connection_lost'], ['QUEUE_FULL', 'overloaded', 'overloaded'],
    ['QUEUE_TIMEOUT', 'overloaded', 'overloaded'],
    ['CLOSING', 'unavailable', 'closing'], ['EAI_FAIL', 'unavailable', 'unreachable'],
    ['EWHATEVER', 'unavailable', 'unreachable'],
  ];
  for (const [code, kind, reason] of want) {
    const verdict = parseCode(code);
    assert.deepEqual([verdict.kind, verdict.reason], [kind, reason], code);
  }
});

test('a code that speaks of our own mistake, or that nobody knows, is a bug', () => {
  for (const code of ['23505', '23514', '22P02', '42601', '0A000', 'XX000', 'UNDEFINED_VALUE', 'NO_CODE', '']) {
    assert.deepEqual(parseCode(code), { kind: 'bug', reason: 'unknown', ofOneRow: true }, code);
  }
});

test('only being turned away counts as a refusal, not the loss of a connection', () => {
  for (const code of ['ECONNREFUSED', '28P01', '3D000', '53300', '57P03', 'CONNECT_TIMEOUT', 'PROTOCOL_ERROR']) {
    assert.equal(isRefusal(code), true, code);
  }
  for (const code of ['ECONNRESET', 'CONNECTION_CLOSED', '57014', '53100', 'CLOSING', 'NO_CODE']) {
    assert.equal(isRefusal(code), false, code);
  }
});

test('a refusal for one row is distinguished from one that holds for all', () => {
  for (const code of ['22P02', '23505', '23514', '21000', '40P01', '40001', '55P03', 'P0001']) {
    assert.equal(parseCode(code).ofOneRow, true, code);
  }
  for (const code of ['25006', '42P01', '53100', '57014', '57P01', 'ECONNRESET']) {
    assert.equal(parseCode(code).ofOneRow, false, code);
  }
});
