// The database of a stack: waiting for it, its role, its data's owner.
import { superuser, writable } from '../../database/faults.ts';
import type { Superuser } from '../../database/faults.ts';
import type { Run, RunOptions } from '../../host.ts';
import { Trouble, lastWords } from '../engine.ts';
import type { Engine } from '../engine.ts';
import type { Container } from '../inspect.ts';

// over TCP: during the first start the server answers on its Unix socket only, and is not to be used yet
const answers = 'pg_isready -q -h 127.0.0.1 -U orders -d orders';

/** In a script: $db answers. (That nothing can be run in a container is said on stdout.) */
export const databaseAnswers = `docker exec "$db" ${answers} >/dev/null 2>&1`;
/** In a script: gives the role orders the password of the secret file, and what it needs. */
export const setRole = 'docker exec "$db" /docker-entrypoint-initdb.d/role.sh';

/** In a script: runs the SQL that it reads in $db, each statement by itself, as the superuser. */
export const runSql = 'docker exec -i "$db" psql -X -q -At -v ON_ERROR_STOP=1 -U postgres -d orders';

/**
 * The engine may be starting the database this very moment, and its shell hears no signal: the wait for an end (30 s)
 * would be in vain, and would end a server that answers by then.
 */
export const DEAF_S = 2;

const LATE = 9;
const waking = `
db=$1 act=$2 role=$4
case $act in
  none) ;;
  restart) docker restart -t ${DEAF_S} "$db" >/dev/null || exit ;;
  *) docker "$act" "$db" >/dev/null || exit ;;
esac
end=$(($(date +%s) + $3))
until ${databaseAnswers}; do
  [ "$(date +%s)" -lt "$end" ] || exit ${LATE}
  sleep 0.1
done
[ "$role" = none ] || ${setRole} 1>&2
`;

/** Brings the database back at once, whatever was done to it, and waits until it answers; `role`: sets that too. */
export async function wakeDatabase({ options }: Engine, db: Container, role: boolean): Promise<void> {
  const { host, node, settings } = options;
  const args = [db.id, awaken(db), String(Math.ceil(settings.scaled(60_000) / 1000)), role ? 'role' : 'none'];
  const run = await host.run(['sh', '-c', waking, 'sh', ...args], { deadlineMs: settings.scaled(90_000) });
  if (run.code === LATE) throw new Trouble(`${node.name}: the database does not answer`);
  if (run.code === 0) return;
  throw new Trouble(`${node.name}: the database could not be brought back: ${lastWords(run.stderr)}`);
}

/**
 * The engine's word that makes a container run. While it waits to restart one, `start` does nothing, and those pauses
 * grow to a minute.
 */
export function awaken({ status }: Container): 'none' | 'start' | 'restart' | 'unpause' {
  if (status === 'running') return 'none';
  return status === 'paused' ? 'unpause' : status === 'restarting' ? 'restart' : 'start';
}

export function superuserOf({ sh }: Engine, { id }: Container): Superuser {
  return {
    sql: text => sh(`db=$1; exec ${runSql}`, [id], { input: writable + text }),
    hold: async text => { await sh('exec docker exec -d "$1" psql -X -U postgres -d orders -c "$2"', [id, text]); },
  };
}

/** Runs a shell script in its container, where PostgreSQL's programs log in as the superuser by themselves. */
export function runBeside({ options }: Engine, db: Container, script: string, more: RunOptions = {}): Promise<Run> {
  const login = Object.entries(superuser).flatMap(([name, value]) => ['-e', `${name}=${value}`]);
  return options.host.run(['docker', 'exec', '-i', ...login, db.id, 'sh', '-c', script], more);
}

/** A password that nobody knows. It reaches the server through a pipe, and nobody keeps it. */
export async function spoilPassword({ sh }: Engine, db: Container): Promise<void> {
  await sh(`
    db=$1
    { echo "set default_transaction_read_only = off;"
      echo "alter role orders password '$(head -c 24 /dev/urandom | base64 | tr -d '+/=\\n')';"
      echo "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'orders';"
    } | ${runSql} >/dev/null`, [db.id]);
}

/** The role does not have the password of the secret file. Throws when that cannot be seen. */
export async function isPasswordSpoilt({ options }: Engine, db: Container): Promise<boolean> {
  const { host, node, settings } = options;
  const login = 'PGPASSWORD=$(cat /run/secrets/database_password) '
    + 'exec psql -X -q -h 127.0.0.1 -U orders -d orders -c "select 1" >/dev/null';
  const argv = ['docker', 'exec', '-e', 'PGCONNECT_TIMEOUT=5', '-e', 'LC_ALL=C', db.id, 'sh', '-c', login];
  const run = await host.run(argv, { deadlineMs: settings.scaled(20_000) });
  if (run.code === 0) return false;
  if (run.stderr.includes('password authentication failed')) return true;
  throw new Trouble(`${node.name}: the role orders cannot be looked at: ${lastWords(run.stderr)}`);
}

/** Gives the data back to the user that the database runs as, if they are another's; says whether that was so. */
export async function ownData({ sh, options }: Engine, db: Container): Promise<boolean> {
  const repair = `
    [ -n "$(find /data ! -user 999 -o ! -group 999 | head -n 1)" ] || exit 0
    chown -R 999:999 /data && echo repaired`;
  const box = [
    '--rm', '--network', 'none', '--read-only', '--cap-drop', 'ALL', '--cap-add', 'CHOWN', '--cap-add', 'DAC_OVERRIDE',
    '--user', '0:0', '--entrypoint', 'sh', '--volume', `${options.project}_data:/data`,
  ];
  return (await sh('exec docker run "$@"', [...box, db.imageId, '-c', repair])).trim() === 'repaired';
}
