// What is true of a node's two containers: what the engine was given, what their images say, and what the kernel says.
import type { Base, Box, ContainerFacts, InspectedContainer, StackFacts } from '../platform.ts';
import { Unreadable, quote } from './inspect.ts';
import type { Container, Image } from './inspect.ts';
import { settingsOfContainer, settingsOfImage } from './inspected.ts';

/** Raw text of /proc/PID/status, net/tcp and net/tcp6 (with IPv6 only) of a container's first process. */
export type ProcText = { status: string; tcp: string; tcp6?: string };
export type Where = Omit<ContainerFacts, 'containers' | 'api' | 'db' | 'stack'>;
/** What is known of the stack beside its containers. */
export type Around = Omit<StackFacts, 'containers'>;
export type Kernel = Pick<Box, 'uid' | 'cap_eff' | 'cap_bnd' | 'no_new_privileges' | 'seccomp' | 'listening'>;
/** All that was seen: `all` are the containers of the project, those two among them. */
export type Seen = { images: Image[]; api: Found; db: Found; all: Container[]; around: Around };
/** A program as it was found; `proc` is undefined where no process is to be seen. */
export type Found = { container: Container; proc: ProcText | undefined };

const unseen: Kernel = {
  uid: null, cap_eff: null, cap_bnd: null, no_new_privileges: null, seccomp: null, listening: null,
};

/** Puts together what was seen; throws Unreadable where something is missing or not as expected. */
export function judgeFacts(where: Where, seen: Seen): ContainerFacts {
  const { images, api, db, all, around } = seen;
  const [apiImage, dbImage] = [imageOf(api.container, images), imageOf(db.container, images)];
  return {
    ...where, containers: true,
    // the image of the service names its base in a label, from the same build argument as its FROM line
    api: boxOf(api, apiImage, baseOf(apiImage.baseName ?? '', apiImage)),
    db: boxOf(db, dbImage, baseOf(db.container.image, dbImage)),
    stack: { ...around, containers: all.map(container => inspectedOf(container, images)) },
  };
}

/** The digest in a name: name@sha256:…, or the content tag name:sha256-… of stand-ins and our own image; else empty. */
export function digestOf(name: string): string {
  const [, algorithm = '', digest = ''] = /[@:](sha256)[:-]([0-9a-f]{64})$/.exec(name) ?? [];
  return digest === '' ? '' : `${algorithm}:${digest}`;
}

/** What the kernel says of a process. */
export function parseProc({ status, tcp, tcp6 }: ProcText): Kernel {
  const field = (name: string, pattern: string) => {
    const [, value] = new RegExp(`^${name}:\\s+${pattern}\\s*$`, 'm').exec(status) ?? [];
    if (value === undefined) throw new Unreadable(`/proc: no ${name} in ${quote(status)}`);
    return value;
  };
  return {
    // real, effective, saved, of the file system: the second counts
    uid: Number(field('Uid', '\\d+\\s+(\\d+)\\s+\\d+\\s+\\d+')),
    cap_eff: field('CapEff', '([0-9a-f]{16})'),
    cap_bnd: field('CapBnd', '([0-9a-f]{16})'),
    no_new_privileges: field('NoNewPrivs', '([01])') === '1',
    seccomp: Number(field('Seccomp', '([0-9])')),
    listening: [...parseListening(tcp), ...tcp6 === undefined ? [] : parseListening(tcp6)],
  };
}

/** The addresses that something listens on, from /proc/net/tcp or tcp6; 127.0.0.11 is the engine's own name server. */
export function parseListening(text: string): string[] {
  const [head = '', ...rows] = text.split('\n');
  if (!/^\s*sl\s+local_address\s/.test(head)) throw new Unreadable(`/proc/net/tcp: no heading in ${quote(text)}`);
  return rows.filter(row => row.trim() !== '').flatMap(row => {
    const [, address = '', port = '', state] = socket.exec(row) ?? [];
    if (state === undefined) throw new Unreadable(`/proc/net/tcp: no socket in ${quote(row)}`);
    // 0A is LISTEN
    const where = parseAddress(address);
    return state === '0A' && where !== '127.0.0.11' ? [`${where}:${parseInt(port, 16)}`] : [];
  });
}

const socket = /^\s*\d+:\s+([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4})\s+\S+\s+([0-9A-F]{2})\s/;

/** Hexadecimal, four bytes each in the order of the machine. */
function parseAddress(hex: string): string {
  if (hex.length === 8) return [6, 4, 2, 0].map(i => parseInt(hex.slice(i, i + 2), 16)).join('.');
  if (/^0+$/.test(hex)) return '[::]';
  return /^0{16}FFFF0000/.test(hex) ? parseAddress(hex.slice(24)) : `[${hex}]`;
}

/** One container by itself; throws Unreadable without its image. */
export function boxIn(found: Found, images: Image[]): Box {
  const image = imageOf(found.container, images);
  return boxOf(found, image, baseOf(image.baseName ?? found.container.image, image));
}

function imageOf({ name, imageId }: Container, images: Image[]): Image {
  const image = images.find(({ id }) => id === imageId);
  if (image === undefined) throw new Unreadable(`${name}: its image ${imageId} is not among ${quote(images)}`);
  return image;
}

function baseOf(name: string, { standIn }: Image): Base {
  return { name, digest: digestOf(name), stand_in: standIn !== undefined, made_of: standIn ?? '' };
}

function inspectedOf({ id, name, service, status, imageId, whole }: Container, images: Image[]): InspectedContainer {
  const image = images.find(one => one.id === imageId);
  const inherited = image === undefined ? undefined : settingsOfImage(image.whole);
  return { id, name, service, state: status, values: settingsOfContainer(whole), image: inherited };
}

function boxOf({ container, proc }: Found, { repoDigests }: Image, base: Base): Box {
  return {
    image_id: container.imageId, image: container.image, repo_digests: repoDigests, base, user: container.user,
    published: container.published, networks: container.networks,
    read_only: container.readOnly, privileged: container.privileged,
    cap_add: container.capAdd, cap_drop: container.capDrop, pids_limit: container.pidsLimit, memory: container.memory,
    restart_policy: container.restartPolicy, restart_count: container.restartCount, started_at: container.startedAt,
    state: container.status, health: container.health,
    ...proc === undefined ? unseen : parseProc(proc),
  };
}
