// What a cluster's data folder is made of: initdb, what the service may do in it, and the settings.
import { randomBytes } from 'node:crypto';
import { appendFileSync, chownSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Run, RunOptions } from '../../host.ts';
import type { Owner } from './owner.ts';
import type { Postgres } from './programs.ts';

/** Runs a command as the server's user; throws with its last words. */
export type Must = (argv: string[], options?: RunOptions) => Promise<Run>;

/** Made beside its place and renamed, so that a half-made one is never taken for a cluster. */
export async function makeData(home: string, passwordFile: string, programs: Postgres, must: Must): Promise<void> {
  const { initdb, postgres } = programs;
  const fresh = join(home, 'data.new');
  rmSync(fresh, { recursive: true, force: true });
  const kind = ['-A', 'reject', '--data-checksums', '-E', 'UTF8', '--no-locale'];
  await must([initdb, '-D', fresh, '-U', 'postgres', ...kind, '--no-instructions']);
  for (const [database, statements] of Object.entries(grants(makePassword(passwordFile)))) {
    // single-user mode needs no running server; it goes on after an error, and says so
    const input = statements.map(statement => `${statement};\n\n`).join('');
    const { stdout, stderr } = await must([postgres, '--single', '-j', '-D', fresh, database], { input });
    const wrong = `${stdout}\n${stderr}`.split('\n').filter(line => /\b(ERROR|FATAL|PANIC):/.test(line));
    if (wrong.length > 0) throw new Error(`the role orders could not be made: ${wrong.join('\n')}`);
  }
  renameSync(fresh, join(home, 'data'));
}

/** Gives the role orders a password of 256 bits, which only we can read. */
export function makePassword(file: string): string {
  const password = randomBytes(32).toString('base64url');
  writeFileSync(file, password, { mode: 0o600 });
  return password;
}

export type Address = { port: number; address: string };

/** Writes where the server listens and who may log in; gives the files, which may not be on disk yet. */
export function writeSettings(home: string, { name, uid, root }: Owner, { port, address }: Address): string[] {
  const data = join(home, 'data');
  const write = (file: string, lines: string[]): void => {
    writeFileSync(join(data, file), `${lines.join('\n')}\n`, { mode: 0o600 });
    if (root) chownSync(join(data, file), uid, -1);
  };
  write('orders.conf', [
    `listen_addresses = '${address}'`, `port = ${port}`,
    // from the data folder, where the server runs: the path of a socket may have 107 bytes, and the folder any name
    "unix_socket_directories = '../run'", 'unix_socket_permissions = 0700', 'password_encryption = scram-sha-256',
    'fsync = on', 'synchronous_commit = on', 'full_page_writes = on',
    'shared_buffers = 32MB', 'max_connections = 60', "log_line_prefix = '%m [%p] %q%u@%d '",
  ]);
  const main = join(data, 'postgresql.conf');
  if (!/^include_if_exists/m.test(readFileSync(main, 'utf8'))) {
    appendFileSync(main, "include_if_exists = 'orders.conf'\n");
  }
  write('pg_hba.conf', ['local all postgres peer map=operator', 'host all orders 127.0.0.0/8 scram-sha-256']);
  write('pg_ident.conf', [`operator ${name} postgres`]);
  return ['orders.conf', 'postgresql.conf', 'pg_hba.conf', 'pg_ident.conf'].map(file => join(data, file));
}

/** Where the server of a data folder listens. */
export function readSettings(data: string): Address {
  const text = readFileSync(join(data, 'orders.conf'), 'utf8');
  const [port, address] = [/^port = (\d+)$/m.exec(text)?.[1], /^listen_addresses = '([^']+)'$/m.exec(text)?.[1]];
  if (port === undefined || address === undefined) {
    throw new Error(`${join(data, 'orders.conf')} has no port or address:\n${text}`);
  }
  return { port: Number(port), address };
}

/** The folder of the socket, empty. */
export function makeSocketFolder(home: string, { uid, root }: Owner): void {
  const folder = join(home, 'run');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { mode: 0o700 });
  if (root) chownSync(folder, uid, -1);
}

// What the service may do: log in, and make and use its own tables.
function grants(password: string): Record<string, string[]> {
  return {
    postgres: [
      `create role orders login nosuperuser nocreatedb nocreaterole password '${password}'`,
      'create database orders',
    ],
    orders: [
      'revoke all on database orders from public', 'grant connect on database orders to orders',
      'revoke all on schema public from public', 'grant usage, create on schema public to orders',
    ],
  };
}
