// PostgreSQL's programs on this machine: the newest, or those of the major version that made a cluster.
import { accessSync, constants, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Host } from '../../host.ts';

export type Postgres = { initdb: string; postgres: string; psql: string; major: number };
export type Search = {
  /** The folder of a cluster that is there already, perhaps. */
  data: string | undefined;
  /** The only folder to be looked at, when given. */
  pgBin: string | undefined;
  local: Host;
  scaled: (ms: number) => number;
  say: (line: string) => void;
};

const ASK_MS = 10_000;
const install = 'Debian, Ubuntu: apt-get install postgresql    Fedora: dnf install postgresql-server';

/** Throws with where it looked and what to install; says when the first that it finds is not the one to be used. */
export async function findPrograms({ data, pgBin, local, scaled, say }: Search): Promise<Postgres> {
  const wanted = data === undefined ? undefined : versionOf(data);
  const deadlineMs = scaled(ASK_MS);
  const looked = pgBin === undefined ? await places(local, deadlineMs) : [pgBin];
  const others: string[] = [];
  for (const folder of looked) {
    const [initdb, postgres, psql] = [join(folder, 'initdb'), join(folder, 'postgres'), join(folder, 'psql')];
    if (![initdb, postgres, psql].every(isProgram)) continue;
    const { stdout, stderr } = await local.run([postgres, '--version'], { deadlineMs });
    const major = /\(PostgreSQL\) (\d+)/.exec(stdout)?.[1];
    if (major !== undefined && (wanted === undefined || major === wanted)) {
      if (wanted !== undefined && others.length > 0) {
        say(`PostgreSQL ${major} in ${folder} is used, not ${others.join(' or ')}: ${data} was made by ${wanted}`);
      }
      return { initdb, postgres, psql, major: Number(major) };
    }
    const said = (stdout || stderr).trim();
    others.push(major === undefined ? `${folder} (it says "${said}")` : `PostgreSQL ${major} in ${folder}`);
  }
  const where = `looked in ${looked.join(' ')}`;
  throw new Error(wanted === undefined
    ? `no PostgreSQL server programs (initdb, postgres, psql): ${[...others, where].join('; ')}. `
      + `Install them, or name their folder in PG_BIN:\n  ${install}`
    : `${data} was made by PostgreSQL ${wanted}; found: ${others.join(', ') || 'none'} (${where}). Install PostgreSQL `
      + `${wanted}, name the folder of its programs in PG_BIN, or make destroy, which removes the data:\n  ${install}`);
}

function versionOf(data: string): string | undefined {
  try {
    return readFileSync(join(data, 'PG_VERSION'), 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function places(local: Host, deadlineMs: number): Promise<string[]> {
  const configured = await local.run(['pg_config', '--bindir'], { deadlineMs });
  const versioned = ['/usr/lib/postgresql', '/usr'].flatMap(folder => namesIn(folder)
    .filter(name => folder === '/usr' ? name.startsWith('pgsql-') : /^\d+$/.test(name))
    .sort((one, other) => Number(other.replace(/\D/g, '')) - Number(one.replace(/\D/g, '')))
    .map(name => join(folder, name, 'bin')));
  const all = [...configured.code === 0 ? [configured.stdout.trim()] : [], ...versioned, '/usr/bin', '/usr/local/bin'];
  return [...new Set(all)];
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
