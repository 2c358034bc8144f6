// The file of a node's settings, which Compose reads: typed by hand it needs nothing else.
import { resolve } from 'node:path';
import { serviceSettings } from '../../settings.ts';
import type { Container } from '../inspect.ts';
import type { Images, StackOptions } from '../options.ts';

/** Everything that the Compose file asks for. */
export function writeEnv(options: StackOptions, images: Images): string {
  const { node, project, owner, address, port, folder, settings } = options;
  const { ENV = 'production', LOG_LEVEL = 'info', ...service } = settings.service;
  const override = options.platform === 'docker' ? settings.given.ORDERS_OVERRIDE : undefined;
  const values: Record<string, string> = {
    ORDERS_PROJECT: prefixOf(project, node.name), ORDERS_NODE: node.name, ORDERS_OWNER: owner,
    ORDERS_ADDRESS: address, ORDERS_PORT: String(port), ORDERS_IMAGE: images.service, ORDERS_DB_IMAGE: images.database,
    ORDERS_SECRETS: secretsOf(folder), ORDERS_ENV: ENV, LOG_LEVEL,
    ...override === undefined ? {} : { ORDERS_OVERRIDE: resolve(override) },
    ...settings.scale === 1 ? {} : {
      ORDERS_HEALTH_INTERVAL: `${settings.scaled(10_000)}ms`, ORDERS_HEALTH_TIMEOUT: `${settings.scaled(4_000)}ms`,
    },
    ...service,
  };
  return `# Written by make up.\n${Object.entries(values).map(lineOf).join('')}`;
}

/** The same settings with another image of the service. */
export function withImage(text: string, image: string): string {
  return text.replace(/^ORDERS_IMAGE=.*\n/m, () => lineOf(['ORDERS_IMAGE', image]));
}

/** With a state folder that was copied from elsewhere comes a file that tells of the original's stack. */
export function isOwn(folder: string, text: string): boolean {
  return readEnv(text)['ORDERS_SECRETS'] === secretsOf(folder);
}

type Made = { api: Pick<Container, 'image' | 'env' | 'published'>; db: Pick<Container, 'image'> | undefined };

/** Whether the containers were made with these settings; those of an `up` that was killed at once made none. */
export function isMadeWith({ api: { image, env, published }, db }: Made, text: string): boolean {
  const { ORDERS_IMAGE, ORDERS_DB_IMAGE, ORDERS_ENV, ORDERS_ADDRESS, ORDERS_PORT, ...settings } = readEnv(text);
  const given = Object.entries({ ENV: ORDERS_ENV, ...settings }).filter(([name]) => !name.startsWith('ORDERS_'));
  const taken = env.map(setting => setting.split('=')).flatMap(([name = '', value]) => value === undefined ? [] : name);
  return image === ORDERS_IMAGE && db?.image === ORDERS_DB_IMAGE
    && published.includes(`${ORDERS_ADDRESS}:${ORDERS_PORT}`)
    && given.every(([name, value]) => env.includes(`${name}=${value}`))
    && !serviceSettings.some(name => taken.includes(name) && settings[name] === undefined);
}

/** The values of such a file. */
export function readEnv(text: string): Record<string, string> {
  const pairs = text.split('\n').flatMap(line => {
    const [, name = '', value = ''] = /^([A-Z_]+)=(.*)$/.exec(line) ?? [];
    return name === '' ? [] : [[name, unquoted(value)]];
  });
  return Object.fromEntries(pairs) as Record<string, string>;
}

function secretsOf(folder: string): string {
  return `${folder}/secrets`;
}

function lineOf([name, value]: [string, string]): string {
  return `${name}=${quoted(value)}\n`;
}

/** Compose puts the node's name behind it again. */
function prefixOf(project: string, node: string): string {
  if (!project.endsWith(`-${node}`)) throw new Error(`the project ${project} does not end in -${node}`);
  return project.slice(0, -node.length - 1);
}

// Compose reads '…' as it is and cannot have a ' in it; in "…" it knows \ and variables.
function quoted(value: string): string {
  if (/^[\w./:@,+-]*$/.test(value)) return value;
  return value.includes("'") ? `"${value.replace(/[\\"$]/g, '\\$&')}"` : `'${value}'`;
}

function unquoted(value: string): string {
  const [, single, double] = /^(?:'(.*)'|"(.*)")$/.exec(value) ?? [];
  return single ?? double?.replace(/\\(.)/g, '$1') ?? value;
}
