// The file of a node's settings, which Compose reads: typed by hand it needs nothing else.
import type { Images, StackOptions } from '../options.ts';

/** Everything that the Compose file asks for. */
export function writeEnv(options: StackOptions, images: Images): string {
  const { node, project, owner, address, port, folder, settings } = options;
  const { ENV = 'production', LOG_LEVEL = 'info', ...service } = settings.service;
  const values: Record<string, string> = {
    ORDERS_PROJECT: prefixOf(project, node.name), ORDERS_NODE: node.name, ORDERS_OWNER: owner,
    ORDERS_ADDRESS: address, ORDERS_PORT: String(port), ORDERS_IMAGE: images.service, ORDERS_DB_IMAGE: images.database,
    ORDERS_SECRETS: `${folder}/secrets`, ORDERS_ENV: ENV, LOG_LEVEL,
    ...settings.scale === 1 ? {} : {
      ORDERS_HEALTH_INTERVAL: `${settings.scaled(10_000)}ms`, ORDERS_HEALTH_TIMEOUT: `${settings.scaled(4_000)}ms`,
    },
    ...service,
  };
  const lines = Object.entries(values).map(([name, value]) => `${name}=${quoted(value)}\n`);
  return `# Written by make up.\n${lines.join('')}`;
}

/** The values of such a file. */
export function readEnv(text: string): Record<string, string> {
  const pairs = text.split('\n').flatMap(line => {
    const [, name = '', value = ''] = /^([A-Z_]+)=(.*)$/.exec(line) ?? [];
    return name === '' ? [] : [[name, unquoted(value)]];
  });
  return Object.fromEntries(pairs) as Record<string, string>;
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
