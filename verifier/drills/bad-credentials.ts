// bad-credentials: the role's password changes under the service, which is then started again with the wrong one.
import { Broken } from '../checks/climb.ts';
import type { Rung } from '../checks/climb.ts';
import { describe } from '../client/api.ts';
import type { Answer, Readiness } from '../client/api.ts';
import type { Drill } from '../experiment/drill.ts';
import type { Experiment } from '../experiment/experiment.ts';
import { injectFault, recoverFault, refusesMeanwhile } from '../experiment/fault.ts';
import { logsKeepSecret } from '../experiment/secret.ts';
import { countRestarts } from '../experiment/steady-state.ts';

const budgets = { rejectedMs: 5_000, startedMs: 20_000 };

export const badCredentials: Drill = {
  name: 'bad-credentials',
  title: 'the database refuses the password of the service',
  runbook: {
    looksLike: '`/health` 200, `/ready` 503 with the reason `credentials_rejected`, orders 503; '
      + 'the service is not restarted again and again.',
    means: 'the role\'s password in the database and the one in the service\'s secret file differ.',
    takes: 'about 10 s',
    byHand: '`infra/control inject bad-credentials`',
    backToNormal: '`infra/control recover bad-credentials` sets the role\'s password to the one in the secret file. '
      + 'Ready again within 2 s, no restart needed.',
  },
  faults: ['bad-credentials', 'process-killed'],
  budgets,
  successor: 'restarted',
  plan: experiment => ({
    fault: [
      ...injectFault(experiment, 'bad-credentials'),
      refusesMeanwhile(experiment, ['credentials_rejected']),
      startedWithIt(experiment),
    ],
    recovery: recoverFault(experiment, 'bad-credentials'),
    afterwards: [{ name: 'secret', checks: [logsKeepSecret(experiment)] }],
  }),
};

async function isRejected({ api, wait }: Experiment): Promise<void> {
  const good = (answer: Answer<Readiness>) => answer.value?.reason === 'credentials_rejected';
  await wait({
    what: 'ready', wanted: '503 credentials_rejected', withinMs: budgets.rejectedMs,
    look: api.ready, good, tell: tellReady,
  });
}

/** A service that ended over a wrong password would be started again and again; this one has to stay. */
function startedWithIt(experiment: Experiment): Rung {
  const { api, wait } = experiment;
  const claim = 'started with the wrong password it stays up, alive and not ready';
  return { name: 'started', checks: [{ id: 'stays-up', claim, run: async say => {
    const { instance_id: old } = experiment.before.version;
    await experiment.inject('process-killed');
    const answer = await wait({
      what: 'version', wanted: `an instance that is not ${old}`, withinMs: budgets.startedMs,
      look: api.version, tell: seen => seen.value?.instance_id ?? describe(seen),
      good: seen => seen.value !== undefined && seen.value.instance_id !== old,
    });
    await isRejected(experiment);
    await staysUp(experiment, answer.value?.instance_id);
    await countRestarts(experiment, 1, say);
    await experiment.recover('process-killed');
  } }] };
}

/** Looked at thirty times in three seconds: a crash loop would show another instance or no answer. */
async function staysUp({ api, wait }: Experiment, instance: string | undefined): Promise<void> {
  let looks = 0;
  const look = async () => {
    const [health, version] = await Promise.all([api.health(), api.version()]);
    looks += 1;
    return { health: health.status, now: version.value?.instance_id };
  };
  const good = ({ health, now }: Awaited<ReturnType<typeof look>>) => looks >= 30 || health !== 200 || now !== instance;
  const { health, now } = await wait({
    what: 'looks', wanted: 'thirty', withinMs: 10_000, look, good, tell: () => `${looks}`,
  });
  if (looks >= 30 && health === 200 && now === instance) return;
  throw new Broken(`wanted instance ${instance} alive, saw health ${health} of ${now} at look ${looks}`);
}

function tellReady(answer: Answer<Readiness>): string {
  return [describe(answer), answer.value?.reason].filter(word => word !== undefined).join(' ');
}
