// The members of the replicated database, as Patroni in any one of them tells: who leads, who confirms, who follows.

export type Role = 'leader' | 'confirms' | 'follows';
/** `streams`: a standby that gets what the leader writes; a leader that takes writes. */
export type Member = { name: string; role: Role; streams: boolean };

/** In the container of a member: what parseMembers reads. It fails while etcd is out of reach. */
export const askingMembers: readonly string[] = ['patronictl', '-c', '/tmp/patroni', 'list', '-f', 'json'];
/** To hand over in order, without a moment in which two lead. */
export const switchover = (leader: string, candidate: string): string[] => [
  'patronictl', '-c', '/tmp/patroni', 'switchover', 'orders', '--leader', leader, '--candidate', candidate, '--force',
];

const roles = new Map<unknown, Role>([['Leader', 'leader'], ['Sync Standby', 'confirms'], ['Replica', 'follows']]);

/** Throws with the text when it is not such a list. */
export function parseMembers(text: string): Member[] {
  try {
    const list = JSON.parse(text) as unknown;
    if (!Array.isArray(list)) throw new Error('no list');
    return list.map(parseMember);
  } catch {
    throw new Error(`these are no members of a database: ${text.trim().slice(0, 300) || '(nothing)'}`);
  }
}

/** Undefined while nobody leads. */
export function leaderOf(members: readonly Member[]): Member | undefined {
  return members.find(({ role }) => role === 'leader');
}

/** Everybody is there and follows the leader, and one of them confirms what it writes. */
export function isWhole(members: readonly Member[]): boolean {
  const is = (role: Role) => members.filter(member => member.role === role && member.streams).length;
  return members.length === 3 && is('leader') === 1 && is('confirms') === 1 && is('follows') === 1;
}

function parseMember(row: unknown): Member {
  const { Member: name, Role: said, State: state } = row as Record<string, unknown>;
  const role = roles.get(said);
  if (typeof name !== 'string' || typeof state !== 'string' || role === undefined) throw new Error('no member');
  return { name, role, streams: state === (role === 'leader' ? 'running' : 'streaming') };
}
