// What is asked of the programs inside their containers and of the engine's machine; answers are read strictly.
import { durabilityInSql, parseDurability } from '../durability.ts';
import type { Access, Durability, StackFacts } from '../platform.ts';
import { Unreadable, quote } from './inspect.ts';

/** SQL for the superuser: one line of JSON. */
export const databaseQuestion = `
  select json_build_object('durability', ${durabilityInSql}, 'access', json_build_object(
    'superusers', (select coalesce(json_agg(rolname order by rolname), '[]') from pg_authid where rolsuper),
    'with_password', (select coalesce(json_agg(rolname order by rolname), '[]') from pg_authid
      where rolsuper and rolpassword is not null),
    'network_rules', (select coalesce(json_agg(concat_ws(' ', type, array_to_string(database, ','),
      array_to_string(user_name, ','), address, netmask, auth_method, error) order by line_number), '[]')
      from pg_hba_file_rules where type is distinct from 'local')))`;

/** A program for the service's own Node, given a deadline in ms: one line. */
export const wayQuestion = `
  const end = text => { console.log(text); process.exit(); };
  const ms = Number(process.argv[1]);
  setTimeout(() => end('nothing in ' + ms + ' ms'), ms);
  require('net').connect(5432, 'db', () => end('connected')).on('error', error => end(error.message));`;

/** It says nothing while it does not run, starts, or cannot take a session. */
export function durabilityIn(text = ''): Durability | null {
  return text.trim() === '' ? null : parseDurability(answerIn(text)['durability']);
}

export function accessIn(text = ''): Access | null {
  if (text.trim() === '') return null;
  const access = answerIn(text)['access'];
  const listOf = (name: keyof Access): string[] => {
    const { [name]: found } = (access ?? {}) as Record<string, unknown>;
    if (Array.isArray(found) && found.every(item => typeof item === 'string')) return found;
    throw new Unreadable(`the database says no ${name}: ${quote(text)}`);
  };
  return {
    superusers: listOf('superusers'), with_password: listOf('with_password'), network_rules: listOf('network_rules'),
  };
}

/** null: nothing could be run in there. */
export function wayIn(text = ''): string | null {
  return text.trim() === '' ? null : text.trim();
}

export function bootIdIn(text = ''): string {
  const [id] = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/m.exec(text) ?? [];
  if (id === undefined) throw new Unreadable(`the engine's machine has no boot id: ${quote(text)}`);
  return id;
}

export function engineIn(text = ''): StackFacts['engine'] {
  const [, cgroup, runtime] = /^([12]) (\S+)$/.exec(text.trim()) ?? [];
  if (cgroup === undefined || runtime === undefined) throw new Unreadable(`docker info: ${quote(text)}`);
  return { cgroup, runtime };
}

function answerIn(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    throw new Unreadable(`the database says no JSON: ${quote(text)}`);
  }
}
