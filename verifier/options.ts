// What the operator asks for, read once from the environment, strictly: every complaint at once, no value guessed.
export type Target = { node: string; host: string; port: number };
export type Expect = 'ready' | 'unready';
export type Options = {
  /** Given by TARGETS and taken at their word; empty when control is to be asked. */
  targets: Target[];
  expect: Expect;
  strict: boolean;
  scale: number;
  /** The only place where SCALE is applied: every deadline goes through it. */
  scaled: (ms: number) => number;
  /** As given by NODE: names, `all`, or undefined for control's own default. */
  nodes: string | undefined;
  platform: string | undefined;
  stateFolder: string;
  control: string;
};
// A value, or what would have been right.
type Parse<T> = (text: string) => { is: T } | string;
export type Env = Record<string, string | undefined>;

/** Reads TARGETS EXPECT STRICT NODE PLATFORM ORDERS_STATE SCALE CONTROL. An empty variable counts as not given. */
export function readOptions(env: Env, root: string): { options: Options } | { complaints: string[] } {
  const complaints: string[] = [];
  const read = <T, F>(name: string, parse: Parse<T>, fallback: F): T | F => {
    const text = env[name]?.trim();
    if (!text) return fallback;
    const parsed = parse(text);
    if (typeof parsed !== 'string') return parsed.is;
    complaints.push(`${name} must be ${parsed}, not "${text}"`);
    return fallback;
  };
  const targets = read('TARGETS', parseTargets, []);
  const expect = read('EXPECT', oneOf<Expect>('ready', 'unready'), 'ready');
  const strict = read('STRICT', oneOf('0', '1'), '0') === '1';
  const scale = read('SCALE', parseScale, 1);
  const nodes = read('NODE', parseNodes, undefined);
  const platform = read('PLATFORM', oneOf('vagrant', 'docker', 'process'), undefined);
  if (complaints.length > 0) return { complaints };
  const stateFolder = env['ORDERS_STATE'] || `${root}/.state`;
  const control = env['CONTROL'] || `${root}/infra/control`;
  return { options: { targets, expect, strict, scale, scaled: ms => Math.round(ms * scale), nodes, platform, stateFolder, control } };
}

/** `host:port,host:port` to targets whose node is the address itself; a text says what would have been right. */
export function parseTargets(text: string): { is: Target[] } | string {
  const targets: Target[] = [];
  for (const part of text.split(/[\s,]+/)) {
    const [, host, digits] = /^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})$/.exec(part) ?? [];
    const port = Number(digits);
    if (!host || !(port >= 1 && port <= 65535)) return 'host:port, several separated by commas, ports from 1 to 65535';
    if (!targets.some(known => known.node === part)) targets.push({ node: part, host: host.replace(/^\[|\]$/g, ''), port });
  }
  return { is: targets };
}

/** `127.0.0.1:8000`, `[::1]:8000`. */
export function addressOf(target: Pick<Target, 'host' | 'port'>): string {
  return `${target.host.includes(':') ? `[${target.host}]` : target.host}:${target.port}`;
}

function oneOf<T extends string>(...words: T[]): Parse<T> {
  return text => {
    const is = words.find(word => word === text);
    return is === undefined ? words.join(' or ') : { is };
  };
}

function parseScale(text: string): { is: number } | string {
  const is = Number(text);
  return /^[0-9]+(\.[0-9]+)?$/.test(text) && is >= 0.1 && is <= 100 ? { is } : 'a number from 0.1 to 100';
}

function parseNodes(text: string): { is: string } | string {
  const names = text.split(/\s+/);
  return names.every(name => /^[a-z][a-z0-9-]*$/.test(name)) ? { is: names.join(' ') } : 'node names separated by spaces, or all';
}
