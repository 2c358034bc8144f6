// What the engine tells of a container, network or volume, as values by their path, so that all of it can be compared.
import type { Inspected, Json } from '../platform.ts';
import { Unreadable, parseList, quote } from './inspect.ts';

/** What a container was given. Its state, its layers and the engine's own numbers are no settings. */
const sections = ['HostConfig', 'Config', 'Mounts', 'NetworkSettings'];

export function settingsOfContainer(box: unknown): Record<string, Json> {
  return valuesOf(pick(box, sections));
}

/** What a container inherits from its image. */
export function settingsOfImage(image: unknown): Record<string, Json> {
  return valuesOf(pick(image, ['Config']));
}

/** Networks, with the names of the containers in them, or volumes; throws Unreadable. */
export function parseInspected(text: string, what: string): Inspected[] {
  return parseList(text, what).map(one => {
    const { Name: name, Containers: inside, ...settings } = record(one);
    if (typeof name !== 'string') throw new Unreadable(`${what}: no Name in ${quote(one)}`);
    const members = Object.values(record(inside ?? {})).map(member => String(record(member)['Name'])).sort();
    return { name, values: valuesOf({ ...settings, Members: members }) };
  });
}

/** Objects are walked; what is empty, zero or false is the same as not there. */
export function valuesOf(thing: unknown, path = ''): Record<string, Json> {
  if (Array.isArray(thing)) return list(thing, path);
  if (typeof thing !== 'object' || thing === null) return isEmpty(thing) ? {} : { [path]: thing as Json };
  const parts = Object.entries(thing).map(([key, value]) => valuesOf(value, path === '' ? key : `${path}.${key}`));
  return Object.assign({}, ...parts) as Record<string, Json>;
}

// Two kinds of list have names in them: variables, of which one without a value is not there, and mounts.
function list(items: unknown[], path: string): Record<string, Json> {
  const all = (parts: Record<string, Json>[]) => Object.assign({}, ...parts) as Record<string, Json>;
  if (path === 'Config.Env') return all(items.map(item => variable(String(item))));
  if (path === 'Mounts') {
    return all(items.map(item => {
      const { Destination: to, ...settings } = record(item);
      return valuesOf(settings, `${path}.${String(to)}`);
    }));
  }
  return items.every(isEmpty) ? {} : { [path]: items as Json };
}

// What may be a secret goes no further than this, whoever has put it there.
function variable(text: string): Record<string, Json> {
  const [, name = '', value = ''] = /^([^=]+)=([^]*)$/.exec(text) ?? [];
  if (name === '' || value === '') return {};
  const isSecret = /PASS|SECRET|TOKEN|KEY|CREDENTIAL/i.test(name) && !name.endsWith('_FILE');
  return { [`Config.Env.${name}`]: isSecret ? '(not shown)' : value };
}

function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined || value === '' || value === 0 || value === false) return true;
  return typeof value === 'object' && Object.values(value).every(isEmpty);
}

function pick(thing: unknown, names: string[]): Record<string, unknown> {
  const all = record(thing);
  return Object.fromEntries(names.map(name => [name, all[name]]));
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}
