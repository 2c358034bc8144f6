// Every way in which the database can fail the service: how it is brought about, what must be seen, and how it ends.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from './database.ts';
import type { Database } from './database.ts';
import type { FaultyProxy } from './faulty-proxy.ts';

/** ready, post, get: the answers allowed, as status and reason or code. */
export type Fault = {
  name: string; inject(): Promise<unknown>; recover(): Promise<unknown>; ready: string; post: string[]; get: string[]
};

const nothing = ['503 database_unavailable'];
// The first order goes to a connection that seemed well, those after it may find the queue full.
const maybe = ['503 outcome_unknown', '503 database_unavailable', '503 overloaded'];
const late = ['503 database_unavailable', '503 overloaded'];

/** The database is stopped when the first begins. */
export function listFaults(database: Database): Fault[] {
  return [...serverFaults(database), ...loginFaults(database), ...dataFaults(database)];
}

export function listNetworkFaults(proxy: FaultyProxy): Fault[] {
  const become = (mode: 'fin' | 'garbage') => async () => {
    await proxy.mode(mode);
    proxy.cut('rst');
  };
  const recover = () => proxy.mode('pass');
  return [
    {
      name: 'accepts and closes', inject: become('fin'), recover, ready: '503 connection_lost', post: nothing,
      get: nothing,
    },
    {
      name: 'accepts and is silent', inject: () => proxy.mode('silent'), recover, ready: '503 timeout', post: maybe,
      get: late,
    },
    {
      name: 'answers garbage', inject: become('garbage'), recover, ready: '503 protocol_error', post: nothing,
      get: nothing,
    },
  ];
}

function serverFaults({ cluster, psql }: Database): Fault[] {
  const start = () => cluster('start');
  return [
    {
      name: 'absent when the service starts', inject: async () => {}, recover: start, ready: '503 connection_refused',
      post: nothing, get: nothing,
    },
    {
      name: 'stopped', inject: () => cluster('stop'), recover: start, ready: '503 connection_refused', post: nothing,
      get: nothing,
    },
    {
      name: 'killed', inject: () => cluster('kill'), recover: start, ready: '503 connection_refused', post: nothing,
      get: nothing,
    },
    {
      name: 'frozen', inject: () => cluster('freeze'), recover: () => cluster('thaw'), ready: '503 timeout',
      post: maybe, get: late,
    },
    { name: 'starting up', ...startingUp({ cluster, psql }), ready: '503 starting_up', post: nothing, get: nothing },
    {
      name: 'sessions ended by an administrator', inject: () => endSessions(psql), recover: async () => {},
      ready: '200', post: ['201'], get: ['200'],
    },
  ];
}

// A standby without a primary, and without permission to be read, says what a server says that has not yet recovered.
function startingUp({ cluster, psql }: Pick<Database, 'cluster' | 'psql'>): Pick<Fault, 'inject' | 'recover'> {
  let signal = '';
  return {
    async inject() {
      signal = join(await psql('show data_directory'), 'standby.signal');
      await psql('alter system set hot_standby = off');
      await psql(`copy (select) to '${signal.replaceAll("'", "''")}'`);
      await cluster('stop');
      await cluster('start');
    },
    async recover() {
      await cluster('stop');
      await rm(signal);
      await cluster('start');
    },
  };
}

// Returns when their processes are gone, and their sockets with them: an order sent to one may have been stored.
async function endSessions(psql: Database['psql']): Promise<void> {
  const own = `select pid from pg_stat_activity where usename = 'orders' offset 0`;
  const ended = await psql(`select pid from (${own}) as own where pg_terminate_backend(pid)`, 'postgres');
  const pids = ended.split('\n').filter(Boolean).map(Number);
  await until(() => pids.filter(isThere), left => left.length === 0, 5000);
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

const fullDisk = `create function full_disk() returns trigger language plpgsql as
    $$ begin raise exception using errcode = '53100'; end $$;
  create trigger full_disk before insert on orders for each row execute function full_disk()`;

function loginFaults({ psql, password }: Database): Fault[] {
  const byRole = (change: string) => async () => {
    await psql(`alter role orders ${change}`, 'postgres');
    await endSessions(psql);
  };
  const rename = (from: string, to: string) => async () => {
    await psql(`alter database ${from} allow_connections false`, 'postgres');
    await psql(`select pg_terminate_backend(pid) from pg_stat_activity where datname = '${from}'`, 'postgres');
    const sessions = `select count(*) from pg_stat_activity where datname = '${from}'`;
    await until(() => psql(sessions, 'postgres'), count => count === '0', 5000);
    await psql(`alter database ${from} rename to ${to}`, 'postgres');
    await psql(`alter database ${to} allow_connections true`, 'postgres');
  };
  return [
    {
      name: 'wrong password', inject: byRole("password 'another'"), recover: byRole(`password '${password}'`),
      ready: '503 credentials_rejected', post: nothing, get: nothing,
    },
    {
      name: 'role may not log in', inject: byRole('nologin'), recover: byRole('login'),
      ready: '503 credentials_rejected', post: nothing, get: nothing,
    },
    {
      name: 'unknown database', inject: rename('orders', 'gone'), recover: rename('gone', 'orders'),
      ready: '503 database_missing', post: nothing, get: nothing,
    },
    {
      name: 'too many connections', inject: byRole('connection limit 0'), recover: byRole('connection limit -1'),
      ready: '503 too_many_connections', post: nothing, get: nothing,
    },
  ];
}

function dataFaults({ psql }: Database): Fault[] {
  const readOnly = (value: string) => async () => {
    await psql(`alter database orders set default_transaction_read_only = ${value}`, 'postgres');
    await endSessions(psql);
  };
  let locked: Promise<unknown> = Promise.resolve();
  return [
    {
      name: 'read-only', inject: readOnly('on'), recover: readOnly('off'), ready: '503 read_only', post: nothing,
      get: ['200'],
    },
    {
      name: 'table locked', ready: '200', post: nothing, get: nothing,
      async inject() {
        locked = psql('begin; lock table orders in access exclusive mode; select pg_sleep(5)').then(() => {}, () => {});
        const locks = `select count(*) from pg_locks
          where mode = 'AccessExclusiveLock' and relation = 'orders'::regclass`;
        await until(() => psql(locks), count => count === '1', 5000);
      },
      async recover() {
        await psql("select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'PgSleep'", 'postgres');
        await locked;
      },
    },
    {
      // No real disk is filled: the server gives the answer it would give.
      name: 'disk full', ready: '200', post: nothing, get: ['200'],
      inject: () => psql(fullDisk),
      recover: () => psql('drop function full_disk cascade'),
    },
    {
      name: 'table missing', inject: () => psql('drop table orders'), recover: async () => {}, ready: '200',
      post: ['201'], get: ['404 order_not_found'],
    },
    {
      name: 'table missing, and no right to make it', ready: '503 schema_failed', post: nothing, get: nothing,
      inject: () => psql('revoke create on schema public from orders; drop table orders'),
      recover: () => psql('grant create on schema public to orders'),
    },
  ];
}
