// Throw-away second services with one setting spoilt each, beside the running one, which notices nothing.
import { spoilEach } from '../../../platform.ts';
import type { Ended, Spoilt } from '../../../platform.ts';
import { Trouble, present } from '../../engine.ts';
import type { Engine, Sight } from '../../engine.ts';
import { ownerLabel, quote } from '../../inspect.ts';

/**
 * How each ended; Trouble when one took what is wrong. All are started in one container of the service's own image,
 * one after the other: to make a container takes many times as long as to refuse a setting.
 */
export async function refuseConfig(engine: Engine, spoilt: readonly Spoilt[] = []): Promise<Ended[]> {
  const { host, node, owner, project, settings } = engine.options;
  const sight = await engine.look();
  const { env, id, imageId, user } = present(engine, sight, 'api');
  // a name alone is a setting that was not given
  const known = env.filter(setting => setting.includes('=')).map(setting => setting.split(/=(.*)/s).slice(0, 2));
  const cases = spoilEach(Object.fromEntries(known) as Record<string, string>, spoilt);
  await removeRefused(engine, sight);
  const labels = [`com.docker.compose.project=${project}`, 'com.docker.compose.oneoff=True', `${ownerLabel}=${owner}`];
  const limitMs = settings.scaled(10_000);
  const wholeMs = limitMs * cases.length + settings.scaled(60_000);
  const run = await host.run(['sh', '-c', watching, 'sh', `${project}-refused`, String(wholeMs / 1000),
    '--rm', '--interactive',
    ...labels.flatMap(text => ['--label', text]), '--network', 'none', '--read-only', '--cap-drop', 'ALL',
    '--security-opt', 'no-new-privileges', '--user', user, '--volumes-from', `${id}:ro`, '--no-healthcheck',
    '--entrypoint', '/nodejs/bin/node', imageId, '-e', starting,
  ], { input: JSON.stringify({ cases, limitMs }), deadlineMs: wholeMs + settings.scaled(60_000) });
  const failed = (why: string) => new Trouble(`${node.name}: ${why}`);
  if (run.code !== 0) throw failed(`no second service could be made: ${run.stderr.trim() || `exit ${run.code}`}`);
  const ended = parseEnded(run.stdout);
  if (ended.length !== cases.length) throw failed(`how the services ended cannot be read: ${quote(run.stdout)}`);
  const taken = spoilt.filter((_, i) => ended[i]?.exit === null).map(({ variable, how }) => `${variable} ${how}`);
  if (taken.length > 0) throw failed(`the service accepted ${taken.join(', ')} and ran for ${limitMs / 1000} s`);
  return ended;
}

// The settings of each are all of its environment, as they are of the service's own container.
const starting = `
const { spawnSync } = require('node:child_process');
const { cases, limitMs } = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));
for (const env of cases) {
  const began = performance.now();
  const { status, stderr } = spawnSync(process.execPath, ['/app/service/main.js'], {
    env, timeout: limitMs, killSignal: 'SIGKILL', stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8',
  });
  console.log(JSON.stringify({ exit: status, ms: Math.round(performance.now() - began), stderr }));
}
`;

/** A line each; what is none is left out, and then they are too few. */
function parseEnded(text: string): Ended[] {
  return text.split('\n').flatMap(line => {
    try {
      const { exit, ms, stderr } = JSON.parse(line) as Partial<Ended>;
      const isEnded = (exit === null || Number.isInteger(exit)) && typeof ms === 'number' && typeof stderr === 'string';
      return isEnded ? [{ exit: exit ?? null, ms, stderr }] : [];
    } catch {
      return [];
    }
  });
}

// The watchdog is there, not here: who is killed here leaves no service behind that took what is wrong.
const watching = `
name=$1 limit=$2
shift 2
(trap 'kill $!; exit' TERM; sleep "$limit" & wait $!; docker rm -f "$name") </dev/null >/dev/null 2>&1 &
watchdog=$!
code=0
docker run --name "$name" "$@" || code=$?
kill $watchdog 2>/dev/null || true
exit $code
`;

/** Removes one that was left behind. */
export async function removeRefused({ docker, options }: Engine, { refused }: Sight): Promise<void> {
  if (refused !== undefined) await docker('rm', '-f', `${options.project}-refused`);
}
