// How a target is written: host:port, an IPv6 host in brackets.
import type { Target } from '#infra/platform';

/** `host:port,host:port` to targets whose node is the address itself; a text says what would have been right. */
export function parseTargets(text: string): { is: Target[] } | string {
  const targets: Target[] = [];
  for (const part of text.split(/[\s,]+/)) {
    const [, host, digits] = /^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})$/.exec(part) ?? [];
    const port = Number(digits);
    if (!host || !(port >= 1 && port <= 65535)) {
      return 'host:port, several separated by commas, ports from 1 to 65535';
    }
    if (targets.some(known => known.node === part)) continue;
    targets.push({ node: part, host: host.replace(/^\[|\]$/g, ''), port });
  }
  return { is: targets };
}

/** `127.0.0.1:8000`, `[::1]:8000`. */
export function addressOf({ host, port }: Pick<Target, 'host' | 'port'>): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}
