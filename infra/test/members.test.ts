// What Patroni tells of its members becomes values; what is no such list is refused.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWhole, leaderOf, parseMembers } from '../swarm/members.ts';

// patronictl 4.0.7 list -f json, three members
const sample = '[{"Cluster": "orders", "Member": "db-control", "Host": "db-control", "Role": "Replica", '
  + '"State": "streaming", "TL": 1, "Lag in MB": 0}, {"Cluster": "orders", "Member": "db-worker1", '
  + '"Host": "db-worker1", "Role": "Leader", "State": "running", "TL": 1}, {"Cluster": "orders", '
  + '"Member": "db-worker2", "Host": "db-worker2", "Role": "Sync Standby", "State": "streaming", "TL": 1, '
  + '"Lag in MB": 0}]';

test('who leads, who confirms and who follows is read from the list of patronictl', () => {
  const members = parseMembers(sample);
  assert.equal(leaderOf(members)?.name, 'db-worker1');
  assert.deepEqual(members.map(({ role }) => role), ['follows', 'leader', 'confirms']);
  assert.ok(isWhole(members));
});

test('without a leader, with a member that is still copied, or with nobody who confirms, it is not whole', () => {
  const but = (from: string, to: string) => parseMembers(sample.replace(from, to));
  assert.equal(leaderOf(but('"Leader"', '"Replica"')), undefined);
  assert.ok(!isWhole(but('"Leader"', '"Replica"')));
  assert.ok(!isWhole(but('"State": "streaming"', '"State": "creating replica"')));
  assert.ok(!isWhole(but('"Sync Standby"', '"Replica"')));
});

test('what is no list of members, or has a role that is not known, is refused with its text', () => {
  for (const text of ['', 'null', '{}', '[1]', '[{"Member": "db-control"}]', sample.replace('Sync Standby', 'King')]) {
    assert.throws(() => parseMembers(text), /no members of a database/, text);
  }
});
