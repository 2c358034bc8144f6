// The bridge that joins the machines of a swarm: it is on this machine only, and leads nowhere.
import { Trouble, lastWords } from '../docker/engine.ts';
import type { Host } from '../host.ts';
import type { Places } from './places.ts';

/** Makes it unless it is there; throws Trouble when somebody else has its addresses. */
export async function raiseBridge(local: Host, { bridge, gateway, subnet }: Places, deadlineMs: number): Promise<void> {
  await act(local, raising, [bridge, `${gateway}/24`, subnet], deadlineMs);
}

export async function lowerBridge(local: Host, { bridge }: Places, deadlineMs: number): Promise<void> {
  await act(local, lowering, [bridge], deadlineMs);
}

/** Without it a packet to the swarm would leave this machine: nothing is sent then. */
export async function isRaised(local: Host, { bridge }: Places): Promise<boolean> {
  return await local.read(`/sys/class/net/${bridge}/ifindex`) !== undefined;
}

async function act(local: Host, script: string, args: string[], deadlineMs: number): Promise<void> {
  const run = await local.run(['sh', '-c', script, 'sh', ...args], { deadlineMs });
  if (run.code !== 0) throw new Trouble(lastWords(run.stderr) || `a command ended with ${run.code}`);
}

// Where Docker has the kernel filter what goes over bridges, its own rules would drop what the machines say to each
// other.
const raising = `
set -e
if ! ip link show dev "$1" >/dev/null 2>&1; then
  other=$(ip -o -4 addr show to "$3")
  [ -z "$other" ] || { echo "$3 is in use here: $other; another ORDERS_STATE= has another network" >&2; exit 1; }
  ip link add "$1" type bridge
fi
ip addr replace "$2" dev "$1"
ip link set "$1" up
command -v iptables >/dev/null || exit 0
iptables -w -C FORWARD -i "$1" -o "$1" -j ACCEPT 2>/dev/null || iptables -w -I FORWARD -i "$1" -o "$1" -j ACCEPT
`;
const lowering = `
while command -v iptables >/dev/null && iptables -w -D FORWARD -i "$1" -o "$1" -j ACCEPT 2>/dev/null; do :; done
ip link del "$1" 2>/dev/null
if ip link show dev "$1" >/dev/null 2>&1; then echo "the bridge $1 cannot be removed" >&2; exit 1; fi
`;
