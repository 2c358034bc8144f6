// The faults of a node and their recoveries. A fault is born with its recovery, and both may run twice.
import { setTimeout as pause } from 'node:timers/promises';
import { Misunderstood, faultNames } from '../../platform.ts';
import type { Ended, FaultName, Outcome, Spoilt } from '../../platform.ts';
import { awaken, isPasswordSpoilt, spoilPassword, wakeDatabase } from './database.ts';
import { Trouble, attempt, exitCodes, present } from '../engine.ts';
import type { Engine, Service, Sight } from '../engine.ts';
import { ownerLabel } from '../inspect.ts';
import type { Container } from '../inspect.ts';
import type { StackFaults } from '../options.ts';
import {
  askReady, clearFirewall, closePort, dropPort, isPortClosed, isPortDropped, reconnect, republish,
} from './network.ts';

type StackFault = StackFaults[FaultName];
/** As in StackFault, but failing by throwing; `inPlace` is asked of a node that is up only. */
type Row = {
  inject: (engine: Engine, spoilt?: Spoilt) => Promise<Ended | void>;
  recover: (engine: Engine, isUp: boolean) => Promise<void>;
  inPlace: (engine: Engine) => Promise<boolean>;
};

const faults: Record<FaultName, Row> = {
  'db-down': { inject: stops('db'), recover: mendDatabase, inPlace: isDown('db') },
  'db-killed': { inject: kills('db'), recover: mendDatabase, inPlace: isDown('db') },
  'db-hung': {
    inject: async engine => {
      const db = await see(engine, 'db');
      if (db.status !== 'paused') await engine.docker('pause', db.id);
    },
    recover: mendDatabase,
    inPlace: async engine => (await see(engine, 'db')).status === 'paused',
  },
  'bad-credentials': {
    inject: async engine => spoilPassword(engine, await see(engine, 'db')),
    recover: mendRole,
    inPlace: async engine => isPasswordSpoilt(engine, await see(engine, 'db')),
  },
  'port-closed': {
    inject: async engine => {
      await see(engine, 'api');
      await closePort(engine);
    },
    recover: mendPort,
    inPlace: async engine => isPortClosed(engine, await see(engine, 'api')),
  },
  'port-dropped': { inject: dropPort, recover: clearFirewall, inPlace: isPortDropped },
  'process-killed': { inject: kills('api'), recover: mendService, inPlace: isDown('api') },
  'service-down': { inject: stops('api'), recover: mendService, inPlace: isDown('api') },
  drain: { inject: drain, recover: mendService, inPlace: isDown('api') },
  'config-refused': {
    inject: refuseConfig,
    recover: async engine => removeRefused(engine, await engine.look()),
    inPlace: async engine => (await engine.look()).refused !== undefined,
  },
};

export function faultsOf(engine: Engine): StackFaults {
  const { firewall } = engine.options;
  const impossible = { impossible: 'port-dropped needs a packet filter of our own, as in the VMs' };
  const rows = faultNames.map(name => {
    const row = faults[name];
    const fault: StackFault = {
      inject: async spoilt => {
        if (name === 'port-dropped' && !firewall) return impossible;
        return endedBy(() => row.inject(engine, spoilt));
      },
      recover: isUp => attempt(() => row.recover(engine, isUp)),
      inPlace: async isUp => isUp && await row.inPlace(engine),
    };
    return [name, fault] as const;
  });
  return Object.fromEntries(rows) as StackFaults;
}

/** Undoes whatever was broken, known or not. */
export async function mendAll(engine: Engine, isUp: boolean): Promise<void> {
  await clearFirewall(engine);
  const sight = await engine.look();
  await removeRefused(engine, sight);
  await reconnect(engine, sight);
  await mendRole(engine, isUp);
  await mendService(engine, isUp);
  if (isUp) await mendForwarder(engine);
}

async function endedBy(act: () => Promise<Ended | void>): Promise<Outcome<Ended | undefined>> {
  const outcome = await attempt(act);
  return 'done' in outcome ? { done: outcome.done ?? undefined } : outcome;
}

async function see(engine: Engine, service: Service): Promise<Container> {
  return present(engine, await engine.look(), service);
}

function stops(service: Service): Row['inject'] {
  return async engine => {
    await engine.docker('stop', (await see(engine, service)).id);
  };
}

function kills(service: Service): Row['inject'] {
  return async engine => {
    await signal(engine, service, 'KILL');
  };
}

function isDown(service: Service): Row['inPlace'] {
  return async engine => !['running', 'paused'].includes((await engine.look())[service]?.status ?? 'absent');
}

/** Nothing is started on a node that was halted. */
async function mendDatabase(engine: Engine, isUp: boolean, role = false): Promise<void> {
  const sight = await engine.look();
  if (isUp) return wakeDatabase(engine, present(engine, sight, 'db'), role);
  if (sight.db?.status === 'paused') await engine.docker('unpause', sight.db.id);
}

function mendRole(engine: Engine, isUp: boolean): Promise<void> {
  return mendDatabase(engine, isUp, true);
}

async function mendService(engine: Engine, isUp: boolean): Promise<void> {
  if (!isUp) return;
  const { settings } = engine.options;
  const end = performance.now() + settings.scaled(2_000);
  let api = await see(engine, 'api');
  // The engine is about to start it: left to that, the restart is counted as one.
  while (api.status === 'restarting' && performance.now() < end) {
    await pause(settings.scaled(100));
    api = await see(engine, 'api');
  }
  if (awaken(api) !== 'none') await engine.docker(awaken(api), api.id);
}

async function mendPort(engine: Engine, isUp: boolean): Promise<void> {
  await reconnect(engine, await engine.look());
  if (isUp) await mendForwarder(engine);
}

/** The service runs and is not to be found where it is published. */
async function mendForwarder(engine: Engine): Promise<void> {
  const { address, port, settings } = engine.options;
  const answer = await askReady(address, port, settings.scaled(2_000));
  if ('status' in answer || !answer.refused) return;
  const api = await see(engine, 'api');
  // one that has just been started does not listen yet
  const age = Date.now() - Date.parse(api.startedAt);
  if (api.status === 'running' && age > settings.scaled(5_000)) await republish(engine, api);
}

/** `since`: the host's clock in s before it; `ms`: how long it took until the process was gone. */
type Signalled = { id: string; since: string; ms: number };

// `docker kill` counts as a stop by hand, after which no restart policy applies. So the process is signalled as the
// kernel sees it: by its pid there when that pid is provably the container's (as root where the machine is ours), else
// from a container that shares the engine's process table.
async function signal(engine: Engine, service: Service, name: 'KILL' | 'TERM'): Promise<Signalled> {
  const { docker, look, options: { firewall, host, node, settings }, sh } = engine;
  const sight = await look();
  const { id, pid, user } = present(engine, sight, service);
  if (pid === 0) throw new Trouble(`${node.name}: ${service} does not run`);
  const since = (await sh('date +%s', [])).trim();
  const began = performance.now();
  const here = await host.run(['sh', '-c', signalling, 'sh', id, String(pid), name, firewall ? 'root' : '']);
  if (here.code !== 0) {
    const { imageId } = present(engine, sight, 'api');
    const box = ['--rm', '--pid', 'host', '--network', 'none', '--read-only', '--cap-drop', 'ALL', '--user', user];
    const script = 'process.kill(Number(process.argv[1]), process.argv[2])';
    await docker('run', ...box, imageId, '-e', script, String(pid), `SIG${name}`);
  }
  const end = performance.now() + settings.scaled(30_000);
  while ((await see(engine, service)).pid === pid) {
    if (performance.now() > end) throw new Trouble(`${node.name}: ${service} still runs after SIG${name}`);
    await pause(settings.scaled(100));
  }
  return { id, since, ms: Math.round(performance.now() - began) };
}

const signalling = `
grep -q "$1" "/proc/$2/cgroup" 2>/dev/null || exit
kill "-$3" "$2" 2>/dev/null || { [ -n "$4" ] && sudo -n kill "-$3" "$2"; }
`;

async function drain(engine: Engine): Promise<Ended> {
  const { id, since, ms } = await signal(engine, 'api', 'TERM');
  const code = (await exitCodes(engine, id, since, 1)).at(-1);
  if (code === undefined) throw new Trouble(`${engine.options.node.name}: the engine told no end of api`);
  return { exit: Number(code), ms, stderr: '' };
}

// ---- a throw-away second service with one setting spoilt, beside the running one

async function refuseConfig(engine: Engine, spoilt?: Spoilt): Promise<Ended> {
  const { host, node, owner, project, settings } = engine.options;
  if (spoilt === undefined) throw new Misunderstood('inject config-refused VARIABLE missing|malformed');
  const { variable, how } = spoilt;
  const sight = await engine.look();
  const { env, id, imageId, user } = present(engine, sight, 'api');
  const names = env.map(setting => setting.split('=')[0] ?? '');
  if (!names.includes(variable)) throw new Misunderstood(`no setting ${variable}; known: ${names.join(' ')}`);
  await removeRefused(engine, sight);
  const kept = env.filter(setting => !setting.startsWith(`${variable}=`));
  const given = [...kept, ...how === 'malformed' ? [`${variable}=%bad%`] : []].flatMap(setting => ['--env', setting]);
  const labels = [`com.docker.compose.project=${project}`, 'com.docker.compose.oneoff=True', `${ownerLabel}=${owner}`];
  const limitMs = settings.scaled(10_000);
  const began = performance.now();
  const run = await host.run(['sh', '-c', watching, 'sh', `${project}-refused`, String(limitMs / 1000), '--rm',
    ...labels.flatMap(text => ['--label', text]), '--network', 'none', '--read-only', '--cap-drop', 'ALL',
    '--security-opt', 'no-new-privileges', '--user', user, '--volumes-from', `${id}:ro`, '--no-healthcheck',
    ...given, imageId,
  ], { deadlineMs: limitMs + settings.scaled(60_000) });
  // how long the service thought, and the engine to make a container for it
  const ms = Math.round(performance.now() - began);
  const failed = (why: string) => new Trouble(`${node.name}: ${why}`);
  if (ms >= limitMs) throw failed(`the service accepted ${variable} ${how} and ran for ${limitMs / 1000} s`);
  if (run.code === 125) throw failed(`no second service could be made: ${run.stderr.trim()}`);
  return { exit: run.code, ms, stderr: run.stderr };
}

// The watchdog is there, not here: who is killed here leaves no service behind that took what is wrong.
const watching = `
name=$1 limit=$2
shift 2
(trap 'kill $!; exit' TERM; sleep "$limit" & wait $!; docker rm -f "$name") </dev/null >/dev/null 2>&1 &
watchdog=$!
code=0
docker run --name "$name" "$@" </dev/null >/dev/null || code=$?
kill $watchdog 2>/dev/null || true
exit $code
`;

async function removeRefused({ docker, options }: Engine, { refused }: Sight): Promise<void> {
  if (refused !== undefined) await docker('rm', '-f', `${options.project}-refused`);
}
