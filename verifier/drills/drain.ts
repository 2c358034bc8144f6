// drain: the service is asked to end under load; readiness goes first, no request in flight is lost, and it exits 0.
import { Broken } from '../checks/climb.ts';
import type { Rung } from '../checks/climb.ts';
import type { Drill } from '../experiment/drill.ts';
import type { Experiment } from '../experiment/experiment.ts';
import { promised, reckon, recoverFault } from '../experiment/fault.ts';
import { countWords, markOf } from '../experiment/timeline.ts';
import type { Sample } from '../experiment/timeline.ts';

const budgets = { servedMs: 2_000 };

export const drain: Drill = {
  name: 'drain',
  title: 'the service is asked to end (SIGTERM) while sixteen writers post orders',
  runbook: {
    looksLike: '`/ready` 503 with the status `draining`, `/health` 200, answers carry `Connection: close`, '
      + 'then the process ends with 0 and is started again.',
    means: 'the service was told to stop (SIGTERM) while clients were writing.',
    takes: 'about 8 s',
    byHand: '`infra/control inject drain`',
    backToNormal: 'by itself; `infra/control recover drain` makes sure.',
  },
  faults: ['drain'],
  budgets,
  successor: 'restarted',
  plan: experiment => ({
    fault: [drained(experiment), meanwhile(experiment)],
    recovery: recoverFault(experiment, 'drain', budgets),
    afterwards: [reckon(experiment)],
  }),
};

function drained(experiment: Experiment): Rung {
  const { load } = experiment;
  const lastReady = () => experiment.timeline.samples.findLast(({ probe }) => probe === 'ready');
  return { name: 'fault', checks: [{ id: 'exit-0', claim: 'asked to end under load it exits 0', run: async say => {
    await load.start({ mayWrite: () => lastReady()?.grade === 'good' });
    try {
      await promised(experiment, 200);
      experiment.timeline.mark('inject');
      const { told } = await experiment.inject('drain');
      experiment.timeline.mark('injected');
      say(`ended with exit ${told?.exit} ${told?.ms} ms after SIGTERM`);
      if (told?.exit !== 0) throw new Broken(`drain: wanted exit 0, saw exit ${told?.exit}`);
    } finally {
      await load.stop();
    }
  } }] };
}

function meanwhile(experiment: Experiment): Rung {
  const { load } = experiment;
  const since = (fits: (sample: Sample) => boolean) => {
    const began = markOf(experiment.timeline, 'inject');
    return experiment.timeline.samples.find(sample => sample.toMs >= began && sample.grade !== 'good' && fits(sample));
  };
  return { name: 'meanwhile', checks: [
    { id: 'ready-first', claim: 'readiness fails first, with 503 draining', run: async say => {
      const first = since(({ probe }) => probe === 'ready');
      const gone = since(({ probe }) => probe === 'tcp' || probe === 'health');
      if (first?.word !== '503 draining') {
        throw new Broken(`ready: wanted 503 draining first, saw ${first?.word ?? 'no change'}`);
      }
      if (gone !== undefined && gone.toMs <= first.toMs) {
        throw new Broken(`${gone.probe} was ${gone.word} before readiness failed`);
      }
      const after = first.toMs - markOf(experiment.timeline, 'inject');
      const port = gone === undefined ? 'never' : `${gone.toMs - first.toMs} ms later`;
      say(`ready failed ${after} ms after SIGTERM was asked for, the port ${port}`);
    } },
    { id: 'writers-served', claim: 'a writer that follows readiness sees no failure', run: async say => {
      const failed = load.attempts.filter(({ fate }) => fate !== 'acked');
      say(`${load.count('acked')} orders accepted, ${failed.length} failed`);
      if (failed.length === 0) return;
      throw new Broken(`wanted no failed order, saw ${failed.length}: ${countWords(failed.map(({ said }) => said))}`);
    } },
  ] };
}
