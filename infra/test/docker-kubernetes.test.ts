// The image as the Kubernetes pods would run it, on this machine's engine: it starts, answers its probes, and drains.
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { missing, openContainers, soon } from './docker-stack.ts';
import { built, environmentOf, podOf, skip } from './manifests.ts';

const whole = 'under the rights and limits of a pod the image starts, says why it is unready, and drains in time';
test(whole, { skip: missing || skip }, async t => {
  const { state, project: name, port, docker, env, ask, status } = await openContainers(t);
  const all = await built('production');
  const { containers: [api], securityContext: user, terminationGracePeriodSeconds: grace, volumes } = podOf(all);
  const secrets = join(state, 'mounted');
  await mkdir(secrets);
  await writeFile(join(secrets, volumes[0].secret.items[0].path), 'a secret\n', { mode: 0o444 });
  const memory = api.resources.limits.memory.replace('Mi', 'm');
  // nobody listens there: what the service says of its database is known, and no name is asked for
  const settings = Object.entries({ ...environmentOf(all), DATABASE_HOST: '127.0.0.1' });
  await docker(
    'run', '--detach', '--name', name, '--read-only', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges:true',
    '--user', `${user['runAsUser']}:${user['runAsGroup']}`, '--cpus', api.resources.limits.cpu,
    '--memory', memory, '--memory-swap', memory, '--volume', `${secrets}:${api.volumeMounts[0]?.mountPath}:ro`,
    '--publish', `127.0.0.1:${port}:${api.ports[0]?.containerPort}`, '--stop-timeout', String(grace),
    ...settings.flatMap(([key, value]) => ['--env', `${key}=${value}`]), env['ORDERS_IMAGE'] ?? '',
  );
  t.after(() => docker('rm', '--force', name));

  const { startupProbe, livenessProbe, readinessProbe } = api;
  await soon(() => status(startupProbe.httpGet.path), 200, startupProbe.failureThreshold * 1000);
  assert.match(JSON.stringify(await ask(readinessProbe.httpGet.path)), /"reason":"connection_refused"/);

  const stopped = docker('stop', name);
  const probes = async () => [await status(livenessProbe.httpGet.path), await status(readinessProbe.httpGet.path)];
  const lines = async () => (await docker('logs', name)).split('\n');
  await soon(async () => (await lines()).some(line => line.includes('"event":"draining"')), true);
  assert.deepEqual(await probes(), [200, 503]);
  await stopped;
  assert.equal(await docker('inspect', '--format', '{{.State.ExitCode}}', name), '0\n');
  assert.match((await lines()).at(-2) ?? '', /"event":"exit","signal":"SIGTERM","code":0/);
});
