// The addresses of the nodes on this host: allowed, free of others, and the ports on which a node would listen.
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import type { Context } from '../context.ts';
import { pickNodes, readNodes } from '../nodes.ts';
import type { Node, Target } from '../platform.ts';
import { holderOf, workingFolderOf } from '../process/proc.ts';
import { ok, unknown, warn } from './finding.ts';
import type { Check, Finding } from './finding.ts';

/** An address as a number, and how many of its leading bits are the network's. */
export type Range = { base: number; bits: number };
export type Taken = { device: string; range: Range };

// what VirtualBox allows by itself; of three parts, since addresses of machines are defined in nodes.txt
const byDefault = '192.168.56/21';
const rules = '/etc/vbox/networks.conf';
const MACHINES_BITS = 24;

/** `targets`: where nodes of ours are up, as remembered. */
export function networkChecks(targets: () => Promise<Target[]>): Check[] {
  return [
    { of: 'vagrant', name: 'addresses', look: isAllowed }, { of: 'vagrant', name: 'network', look: isFree },
    { of: 'docker', name: 'port', look: context => ports(context, targets, 'ORDERS_PORT') },
    { of: 'process', name: 'port', look: context => ports(context, targets, 'ORDERS_PORT') },
    { of: 'process', name: 'database port', look: context => ports(context, targets, 'ORDERS_DB_PORT') },
  ];
}

const isAllowed: Check['look'] = async ({ local, settings }) => {
  const text = await local.read(rules);
  const ranges = text === undefined ? [parseRange(byDefault)].flatMap(range => range ?? []) : parseRules(text);
  const isIn = (address: string) => ranges.some(range => contains(range, numberOf(address)));
  const outside = readNodes(settings.root).filter(({ address }) => !isIn(address));
  const by = text === undefined ? `VirtualBox by itself (there is no ${rules})` : rules;
  if (outside.length === 0) return ok(`those of vagrant/nodes.txt are allowed by ${by}`);
  const named = outside.map(({ name, address }) => `${name} ${address}`).join(', ');
  return warn(`${named} is not allowed by ${by}`, `for VirtualBox only: add "* ${outside[0]?.address}/24" to ${rules}`);
};

const isFree: Check['look'] = async ({ local, settings }) => {
  const own = Object.entries(networkInterfaces()).flatMap(([device, some = []]) =>
    some.filter(({ family }) => family === 'IPv4').map(({ address }) => ({ device, range: rangeOf(address, 32) })));
  const routes = parseRoutes(await local.read('/proc/net/route') ?? '');
  const other = inTheWay(readNodes(settings.root), [...own, ...routes]);
  if (other === undefined) return ok('no other interface has an address or a route in it');
  return warn(`${other} has an address or a route in the network of vagrant/nodes.txt`,
    'put another network into vagrant/nodes.txt');
};

/** The interface that has it already and belongs to no hypervisor; a network as wide as a VPN's whole is none. */
export function inTheWay(nodes: readonly Pick<Node, 'address'>[], taken: readonly Taken[]): string | undefined {
  const networks = nodes.map(({ address }) => rangeOf(address, MACHINES_BITS));
  return taken.find(({ device, range }) => !/^(vboxnet|virbr)\d+$/.test(device) && range.bits >= MACHINES_BITS
    && networks.some(network => contains(network, range.base)))?.device;
}

/** /etc/vbox/networks.conf: a star and ranges on a line. Throws for what VirtualBox would not understand either. */
export function parseRules(text: string): Range[] {
  const lines = text.split('\n').map(line => line.replace(/#.*/, '').trim()).filter(line => line !== '');
  return lines.flatMap(line => {
    const [star, ...words] = line.split(/\s+/);
    if (star !== '*' || words.length === 0) throw new Error(`${rules}: "${line}" is no line of ranges`);
    return words.filter(word => !word.includes(':')).map(word => {
      const range = parseRange(word);
      if (range === undefined) throw new Error(`${rules}: "${word}" is no range of addresses`);
      return range;
    });
  });
}

/** The rows of /proc/net/route but for the one to everywhere; the kernel writes addresses from the right. */
export function parseRoutes(text: string): Taken[] {
  return text.trimEnd().split('\n').slice(1).flatMap(line => {
    const [device = '', to = '', , , , , , mask = ''] = line.trim().split(/\s+/);
    if (!/^[0-9A-F]{8}$/.test(to) || !/^[0-9A-F]{8}$/.test(mask)) throw new Error(`/proc/net/route: "${line}"`);
    const bits = read(mask).toString(2).replaceAll('0', '').length;
    return bits === 0 ? [] : [{ device, range: { base: read(to), bits } }];
  });
}

function read(hex: string): number {
  return Buffer.from(hex, 'hex').readUInt32LE();
}

function parseRange(text: string): Range | undefined {
  const [, address = '', bits = ''] = /^(\d+(?:\.\d+){0,3})\/(\d+)$/.exec(text) ?? [];
  const parts = address.split('.').map(Number);
  const four = [...parts, 0, 0, 0].slice(0, 4);
  if (address === '' || Number(bits) > 32 || parts.some(part => part > 255)) return undefined;
  return rangeOf(four.join('.'), Number(bits));
}

function rangeOf(address: string, bits: number): Range {
  return { base: head(numberOf(address), bits), bits };
}

function numberOf(address: string): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

function contains({ base, bits }: Range, address: number): boolean {
  return head(address, bits) === base;
}

function head(address: number, bits: number): number {
  const size = 2 ** (32 - bits);
  return Math.floor(address / size) * size;
}

type Variable = 'ORDERS_PORT' | 'ORDERS_DB_PORT';

/** Of the nodes that were chosen, else of the first; looked up, not tried. */
async function ports(
  { settings, local: here }: Context, targets: () => Promise<Target[]>, variable: Variable,
): Promise<Finding> {
  if (process.platform !== 'linux') return unknown('not looked at on this system');
  const port = variable === 'ORDERS_PORT' ? settings.port ?? 8_000 : settings.dbPort ?? 15_432;
  const all = readNodes(settings.root);
  const nodes = settings.nodes === undefined ? all.slice(0, 1) : pickNodes(all, settings.nodes);
  const up = await targets();
  const taken = (await Promise.all(nodes.map(async ({ local }) => {
    const host = settings.address ?? local;
    const holder = holderOf(host, port);
    if (holder === undefined) return [];
    const isUp = up.some(target => target.host === host && target.port === port);
    const folder = workingFolderOf(holder.pid) ?? '/';
    // data that is elsewhere names the folder that it belongs to
    const owner = await here.read(join(folder, '../owner')).catch(() => undefined) ?? '';
    const isOurs = isUp || [folder, owner].some(one => one.startsWith(join(settings.state, '/')));
    const who = holder.pid === undefined ? 'a program of another user' : `${holder.name}, pid ${holder.pid}`;
    return [{ isOurs, says: `${host}:${port} is held by ${isOurs ? 'what is up here: ' : ''}${who}` }];
  }))).flat();
  const strange = taken.find(({ isOurs }) => !isOurs);
  if (strange !== undefined) return warn(strange.says, `end that, or ${variable}= takes another`);
  const free = nodes.map(({ local }) => `${settings.address ?? local}:${port}`).join(', ');
  return ok(taken.map(({ says }) => says).join(', ') || `${free} free`);
}
