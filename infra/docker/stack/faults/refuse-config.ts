// A throw-away second service with one setting spoilt, beside the running one, which notices nothing.
import { spoil } from '../../../platform.ts';
import type { Ended, Spoilt } from '../../../platform.ts';
import { Trouble, present } from '../../engine.ts';
import type { Engine, Sight } from '../../engine.ts';
import { ownerLabel } from '../../inspect.ts';

/** How it ended; Trouble when it took what is wrong, and runs. */
export async function refuseConfig(engine: Engine, spoilt?: Spoilt): Promise<Ended> {
  const { host, node, owner, project, settings } = engine.options;
  const sight = await engine.look();
  const { env, id, imageId, user } = present(engine, sight, 'api');
  // a name alone is a setting that was not given
  const known = env.filter(setting => setting.includes('=')).map(setting => setting.split(/=(.*)/s).slice(0, 2));
  const spoiled = spoil(Object.fromEntries(known) as Record<string, string>, spoilt);
  await removeRefused(engine, sight);
  const given = Object.entries(spoiled).flatMap(([name, value]) => ['--env', `${name}=${value}`]);
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
  const what = `${spoilt?.variable} ${spoilt?.how}`;
  if (ms >= limitMs) throw failed(`the service accepted ${what} and ran for ${limitMs / 1000} s`);
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

/** Removes one that was left behind. */
export async function removeRefused({ docker, options }: Engine, { refused }: Sight): Promise<void> {
  if (refused !== undefined) await docker('rm', '-f', `${options.project}-refused`);
}
