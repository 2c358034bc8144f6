// What a machine says of itself, and what the services answer from in there: one command of what every Debian has.
import type { Host } from '../host.ts';
import type { MachineFacts, Node, Outcome, Reached, Target } from '../platform.ts';

/** For one service, within the machine. */
const ANSWER_MS = 5_000;
const REPORT_MS = 10_000;

export type Asking = { node: Node; host: Host; services: readonly Target[]; scaled: (ms: number) => number };

export async function factsInside({ node, host, services, scaled }: Asking): Promise<Outcome<MachineFacts>> {
  const seconds = String(scaled(ANSWER_MS) / 1000);
  const where = services.flatMap(service => [service.host, String(service.port)]);
  const deadlineMs = scaled(ANSWER_MS + REPORT_MS);
  const { code, stdout, stderr } = await host.run(['bash', '-c', script, 'bash', seconds, ...where], { deadlineMs });
  if (code === 0) return parseFacts(stdout, node, services);
  return { failed: `${node.name}: its machine tells nothing of itself: ${stderr.trim() || `exit ${code}`}` };
}

// Every answer is a line, and short enough to be written at once: all of them come at the same time.
const script = `
ask() {
  said=$(timeout "$limit" bash -c 'exec 3<>"/dev/tcp/$1/$2" || exit 1
    printf "GET /version HTTP/1.1\\r\\nHost: %s:%s\\r\\nConnection: close\\r\\n\\r\\n" "$1" "$2" >&3
    head -c 2000 <&3' bash "$2" "$3" 2>&1 | base64 -w 0; exit "\${PIPESTATUS[0]}") && code=0 || code=$?
  echo "answer $1 $code $said"
}
set -eu
limit=$1
shift
echo "hostname $(hostname)"
echo "addresses $(hostname -I)"
echo "boot_id $(cat /proc/sys/kernel/random/boot_id)"
number=0
while [ $# -gt 0 ]; do
  ask "$number" "$1" "$2" &
  number=$((number + 1))
  shift 2
done
wait
echo end
`;

/** Each line once, and an answer for every service that was asked; what cannot be read is a failure that quotes it. */
export function parseFacts(text: string, node: Node, services: readonly Target[]): Outcome<MachineFacts> {
  const only = (pattern: RegExp) => {
    const [match, ...more] = [...text.matchAll(pattern)];
    return more.length === 0 ? match?.slice(1) : undefined;
  };
  const [hostname] = only(/^hostname (\S+)$/gm) ?? [];
  const [addresses] = only(/^addresses((?: [0-9a-f.:]+)*) ?$/gm) ?? [];
  const [boot] = only(/^boot_id ([0-9a-f-]{36})$/gm) ?? [];
  const answers = services.map((_, i) => only(new RegExp(`^answer ${i} (\\d+) ([A-Za-z0-9+/=]*)$`, 'gm')));
  const isWhole = text.endsWith('end\n') && answers.every(answer => answer !== undefined);
  if (hostname === undefined || addresses === undefined || boot === undefined || !isWhole) {
    return { failed: `${node.name}: what its machine tells of itself cannot be read: ${JSON.stringify(text)}` };
  }
  const reached = services.map((service, i) => parseAnswer(service, answers[i] ?? []));
  const { name, address } = node;
  const own = addresses.split(' ').filter(one => one !== '');
  return { done: { node: name, address, hostname, addresses: own, boot_id: boot, reached } };
}

function parseAnswer({ node }: Target, [code = '', said = '']: readonly string[]): Reached {
  const text = Buffer.from(said, 'base64').toString('utf8');
  const [, status, body] = /^HTTP\/1\.1 (\d{3}) [^]*?\r\n\r\n([^]*)$/.exec(text) ?? [];
  const [, instance] = /"instance_id":"([^"]+)"/.exec(body ?? '') ?? [];
  if (code === '0' && status !== undefined) {
    if (instance === undefined) return { node, trouble: `${status} without an instance_id` };
    return { node, status: Number(status), instance_id: instance };
  }
  const words = text.trim().split('\n')[0]?.replace(/^bash: (line \d+: )?/, '') ?? '';
  return { node, trouble: code === '124' ? 'no answer in time' : words || `exit ${code}` };
}
