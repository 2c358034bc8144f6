// process-killed: the service is killed; its supervisor starts it again, and no order is lost.
import type { Rung } from '../checks/climb.ts';
import { describe } from '../client/api.ts';
import type { Drill } from '../experiment/drill.ts';
import type { Experiment } from '../experiment/experiment.ts';
import { recoverFault } from '../experiment/fault.ts';
import { markOf } from '../experiment/timeline.ts';

const budgets = { noticedMs: 10_000, startedMs: 10_000 };

export const processKilled: Drill = {
  name: 'process-killed',
  title: 'the service is killed',
  runbook: {
    looksLike: '`/health` fails for a moment, then answers with a new `instance_id`.',
    means: 'the service was killed (out of memory, by hand, by a crash: see its log).',
    takes: 'about 7 s',
    byHand: '`infra/control inject process-killed`',
    backToNormal: 'by itself; `infra/control recover process-killed` makes sure.',
  },
  faults: ['process-killed'],
  budgets,
  successor: 'restarted',
  plan: experiment => ({
    fault: [killed(experiment), startedAgain(experiment)],
    recovery: recoverFault(experiment, 'process-killed'),
  }),
};

function killed(experiment: Experiment): Rung {
  const { api, wait } = experiment;
  const claim = 'health fails once the process is killed';
  return { name: 'fault', checks: [{ id: 'health-fails', claim, run: async say => {
    experiment.timeline.mark('inject');
    // looked at closely and from before the kill: a supervisor may need less than one interval of the timeline
    const failing = wait({
      what: 'health', wanted: 'no answer', withinMs: budgets.noticedMs, everyMs: 10,
      look: api.health, good: answer => answer.status !== 200, tell: describe,
    });
    const [{ ms }, health] = await Promise.all([experiment.inject('process-killed'), failing]);
    experiment.timeline.mark('injected');
    say(`inject process-killed took ${ms} ms; health ${health.sight.state}`);
  } }] };
}

function startedAgain(experiment: Experiment): Rung {
  const { api, wait } = experiment;
  const claim = 'the supervisor starts it again by itself';
  return { name: 'meanwhile', checks: [{ id: 'started-again', claim, run: async say => {
    const { timeline, before } = experiment;
    const { instance_id: old } = before.version;
    const another = await wait({
      what: 'version', wanted: `an instance that is not ${old}`, withinMs: budgets.startedMs, everyMs: 20,
      look: api.version, tell: answer => answer.value?.instance_id ?? describe(answer),
      good: answer => answer.value !== undefined && answer.value.instance_id !== old,
    });
    const ms = timeline.mark('another') - markOf(timeline, 'inject');
    say(`another instance answers ${ms} ms after the kill: ${another.value?.instance_id}`);
  } }] };
}
