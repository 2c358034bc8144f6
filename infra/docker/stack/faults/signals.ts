// Signals to the first process of a container: it ends, or freezes, and the engine takes that for no stop by hand.
import { setTimeout as pause } from 'node:timers/promises';
import type { Ended } from '../../../platform.ts';
import { Trouble, exitCodes, present } from '../../engine.ts';
import type { Engine, Service } from '../../engine.ts';
import { Unreadable, quote } from '../../inspect.ts';
import type { Container } from '../../inspect.ts';

// `docker kill` counts as a stop by hand, after which no restart policy applies. So the process is signalled as the
// kernel sees it: by its pid there when that pid is provably the container's (as root where the machine is ours), else
// from a container that shares the engine's process table.
/** Gives the container as it was, and the host's clock in s before it. */
export async function signal(
  engine: Engine, service: Service, name: 'KILL' | 'TERM' | 'STOP' | 'CONT',
): Promise<Container & { since: string }> {
  const { docker, look, options: { firewall, host, node } } = engine;
  const sight = await look();
  const container = present(engine, sight, service);
  const { id, pid, user } = container;
  if (pid === 0) throw new Trouble(`${node.name}: ${service} does not run`);
  const here = await host.run(['sh', '-c', signalling, 'sh', id, String(pid), name, firewall ? 'root' : '']);
  if (here.code !== 0) {
    const { imageId } = present(engine, sight, 'api');
    const box = ['--rm', '--pid', 'host', '--network', 'none', '--read-only', '--cap-drop', 'ALL', '--user', user];
    const script = 'process.kill(Number(process.argv[1]), process.argv[2])';
    await docker('run', ...box, imageId, '-e', script, String(pid), `SIG${name}`);
  }
  return { ...container, since: here.stdout.trim() };
}

const signalling = `
date +%s
grep -q "$1" "/proc/$2/cgroup" 2>/dev/null || exit
kill "-$3" "$2" 2>/dev/null || { [ -n "$4" ] && sudo -n kill "-$3" "$2"; }
`;

/** Returns when the process is gone. */
export async function end(engine: Engine, service: Service, name: 'KILL' | 'TERM') {
  const { look, options: { node, settings } } = engine;
  const before = await signal(engine, service, name);
  const end = performance.now() + settings.scaled(30_000);
  while (present(engine, await look(), service).pid === before.pid) {
    if (performance.now() > end) throw new Trouble(`${node.name}: ${service} still runs after SIG${name}`);
    await pause(settings.scaled(100));
  }
  return before;
}

export async function drain(engine: Engine): Promise<Ended[]> {
  const began = performance.now();
  const { id, since } = await end(engine, 'api', 'TERM');
  const ms = Math.round(performance.now() - began);
  const code = (await exitCodes(engine, id, since, 1)).at(-1);
  if (code === undefined) throw new Trouble(`${engine.options.node.name}: the engine reported no end of api`);
  return [{ exit: Number(code), ms, stderr: '' }];
}

/** Stopped as with SIGSTOP, of which the engine knows nothing. */
export async function isFrozen({ sh }: Engine, { id, pid }: Container): Promise<boolean> {
  if (pid === 0) return false;
  const status = await sh(lookingInside, [id, String(pid)]);
  const [, state] = /^State:\s+(\S)/m.exec(status) ?? [];
  if (state === undefined) throw new Unreadable(`/proc: no State in ${quote(status)}`);
  return /[Tt]/.test(state);
}

// a process that is begun in there is not frozen
const lookingInside = `
if grep -q "$1" "/proc/$2/cgroup" 2>/dev/null; then exec cat "/proc/$2/status"; fi
exec docker exec "$1" /nodejs/bin/node -e 'process.stdout.write(require("fs").readFileSync("/proc/1/status", "utf8"))'
`;

/** Lets a service run on that was frozen; to any other it means nothing. */
export async function thaw(engine: Engine): Promise<void> {
  const runs = async () => (await engine.look()).api?.status === 'running';
  if (!await runs()) return;
  try {
    await signal(engine, 'api', 'CONT');
  } catch (error) {
    // it may have ended between the two looks
    if (await runs()) throw error;
  }
}
