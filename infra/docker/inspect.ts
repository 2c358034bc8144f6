// The JSON of `docker inspect` about containers and images, read strictly: what is not as expected is quoted.

/** One container of a project. `health` is null without a health check, `pid` 0 when nothing of it runs. */
export type Container = {
  id: string; name: string; service: string; oneOff: boolean;
  /** The state folder that its stack belongs to: its label, else (older ones) where its secrets are mounted from. */
  owner: string | undefined; secrets: string | undefined;
  status: string; exitCode: number; pid: number; startedAt: string; health: string | null; restartCount: number;
  imageId: string; image: string; user: string; env: string[]; published: string[]; networks: string[];
  readOnly: boolean; privileged: boolean; capAdd: string[]; capDrop: string[];
  pidsLimit: number | null; memory: number; restartPolicy: string;
  /** As docker printed it. */
  whole: unknown;
};
export type Image = {
  id: string; baseName: string | undefined; standIn: string | undefined; repoDigests: string[]; whole: unknown;
};

export const ownerLabel = 'orders.owner';

/** Something of the world that is not as it should be; the message quotes what was seen. */
export class Unreadable extends Error {}

/** The containers in what `docker inspect` printed; throws Unreadable. */
export function parseContainers(text: string): Container[] {
  return parseList(text, 'docker inspect').map(parseContainer);
}

/** The images in what `docker image inspect` printed; throws Unreadable. */
export function parseImages(text: string): Image[] {
  return parseList(text, 'docker image inspect').map(image => ({
    id: textAt(image, 'Id'),
    baseName: label(image, 'org.opencontainers.image.base.name'),
    standIn: label(image, 'orders.stand-in'),
    repoDigests: textsAt(image, 'RepoDigests'),
    whole: image,
  }));
}

/** A piece of what was seen, for a message. */
export function quote(seen: unknown): string {
  const text = typeof seen === 'string' ? seen : JSON.stringify(seen) ?? String(seen);
  return text.length > 200 ? `"${text.slice(0, 200)}…"` : `"${text}"`;
}

function parseContainer(box: unknown): Container {
  const mounts = listAt(box, 'Mounts').filter(mount => at(mount, 'Destination') === '/run/secrets/database_password');
  return {
    id: textAt(box, 'Id'),
    name: textAt(box, 'Name').replace(/^\//, ''),
    service: label(box, 'com.docker.compose.service') ?? '',
    oneOff: label(box, 'com.docker.compose.oneoff') === 'True',
    owner: label(box, ownerLabel),
    secrets: mounts[0] === undefined ? undefined : textAt(mounts[0], 'Source'),
    status: textAt(box, 'State', 'Status'),
    exitCode: numberAt(box, 'State', 'ExitCode'),
    pid: numberAt(box, 'State', 'Pid'),
    startedAt: textAt(box, 'State', 'StartedAt'),
    health: healthOf(box),
    restartCount: numberAt(box, 'RestartCount'),
    imageId: textAt(box, 'Image'),
    image: textAt(box, 'Config', 'Image'),
    user: textAt(box, 'Config', 'User'),
    env: textsAt(box, 'Config', 'Env'),
    published: publishedBy(box),
    networks: Object.keys(recordAt(box, 'NetworkSettings', 'Networks')).sort(),
    readOnly: flagAt(box, 'HostConfig', 'ReadonlyRootfs'),
    privileged: flagAt(box, 'HostConfig', 'Privileged'),
    capAdd: textsAt(box, 'HostConfig', 'CapAdd'),
    capDrop: textsAt(box, 'HostConfig', 'CapDrop'),
    pidsLimit: (at(box, 'HostConfig', 'PidsLimit') ?? null) === null ? null : numberAt(box, 'HostConfig', 'PidsLimit'),
    memory: numberAt(box, 'HostConfig', 'Memory'),
    restartPolicy: textAt(box, 'HostConfig', 'RestartPolicy', 'Name'),
    whole: box,
  };
}

/** A container without a health check has no such field, or a check of the kind `none`. */
function healthOf(box: unknown): string | null {
  if ((at(box, 'State', 'Health') ?? null) === null) return null;
  const health = textAt(box, 'State', 'Health', 'Status');
  return health === 'none' || health === '' ? null : health;
}

function publishedBy(box: unknown): string[] {
  const ports = recordAt(box, 'NetworkSettings', 'Ports');
  return Object.keys(ports).sort().flatMap(port => {
    const bindings = listAt(box, 'NetworkSettings', 'Ports', port);
    return bindings.map(binding => `${textAt(binding, 'HostIp')}:${textAt(binding, 'HostPort')}`);
  });
}

/** The list in the JSON that a command (`what`) printed; throws Unreadable. */
export function parseList(text: string, what: string): unknown[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Unreadable(`${what} printed no JSON: ${quote(text)}`);
  }
  if (!Array.isArray(value)) throw new Unreadable(`${what} printed no list: ${quote(text)}`);
  return value;
}

function label(thing: unknown, name: string): string | undefined {
  const labels = at(thing, 'Config', 'Labels') ?? null;
  if (labels === null) return undefined;
  const value = recordAt(thing, 'Config', 'Labels')[name];
  return value === undefined || value === '' ? undefined : textAt(labels, name);
}

function at(value: unknown, ...path: string[]): unknown {
  let here = value;
  for (const name of path) {
    if (typeof here !== 'object' || here === null) return undefined;
    here = (here as Record<string, unknown>)[name];
  }
  return here;
}

function textAt(value: unknown, ...path: string[]): string {
  const found = at(value, ...path);
  if (typeof found !== 'string') throw wrong(path, 'a text', found, value);
  return found;
}

function numberAt(value: unknown, ...path: string[]): number {
  const found = at(value, ...path);
  if (typeof found !== 'number') throw wrong(path, 'a number', found, value);
  return found;
}

function flagAt(value: unknown, ...path: string[]): boolean {
  const found = at(value, ...path);
  if (typeof found !== 'boolean') throw wrong(path, 'true or false', found, value);
  return found;
}

function recordAt(value: unknown, ...path: string[]): Record<string, unknown> {
  const found = at(value, ...path);
  if (typeof found !== 'object' || found === null || Array.isArray(found)) throw wrong(path, 'an object', found, value);
  return { ...found };
}

/** The engine says null for an empty list. */
function listAt(value: unknown, ...path: string[]): unknown[] {
  const found = at(value, ...path);
  if (found === null) return [];
  if (!Array.isArray(found)) throw wrong(path, 'a list', found, value);
  return found;
}

function textsAt(value: unknown, ...path: string[]): string[] {
  return listAt(value, ...path).map(item => {
    if (typeof item !== 'string') throw wrong(path, 'texts', item, value);
    return item;
  });
}

function wrong(path: string[], wanted: string, seen: unknown, whole: unknown): Unreadable {
  return new Unreadable(`docker inspect: ${path.join('.')} is not ${wanted} but ${quote(seen)}, in ${quote(whole)}`);
}
