// How a target is written: host:port, an IPv6 host in brackets.
import type { Target } from '#infra/platform';

/** `host:port,host:port` to targets whose node is the address itself; a text says what would have been right. */
export function parseTargets(text: string): { is: Target[] } | string {
  const targets: Target[] = [];
  for (const part of text.split(/[\s,]+/)) {
    const [, host, digits] = /^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})$/.exec(part) ?? [];
    const port = Number(digits);
    const name = plainHost(host ?? '');
    if (name === undefined || !(port >= 1 && port <= 65535)) {
      return 'host:port, several separated by commas, ports from 1 to 65535';
    }
    const target = { host: name, port };
    const node = addressOf(target);
    if (!targets.some(known => known.node === node)) targets.push({ node, ...target });
  }
  return { is: targets };
}

/** As the web spells it, so that one address is one target: `127.1` is 127.0.0.1, `A.example` is a.example. */
function plainHost(host: string): string | undefined {
  const url = `http://${host}/`;
  return host !== '' && URL.canParse(url) ? new URL(url).hostname.replace(/^\[|\]$/g, '') : undefined;
}

/** `127.0.0.1:8000`, `[::1]:8000`. */
export function addressOf({ host, port }: Pick<Target, 'host' | 'port'>): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}
