// drain: the service is asked to end under load; readiness goes first, no request in flight is lost, and it exits 0.
import { setTimeout as pause } from 'node:timers/promises';
import { Broken } from '../checks/climb.ts';
import type { Rung } from '../checks/climb.ts';
import { askInTurn } from '../client/http.ts';
import type { Drill } from '../experiment/drill.ts';
import type { Experiment } from '../experiment/experiment.ts';
import { promised, recoverFault } from '../experiment/fault.ts';
import { reckon } from '../experiment/reckoning.ts';
import { countWords, markOf } from '../experiment/timeline.ts';
import type { Sample } from '../experiment/timeline.ts';
import { counted } from '../results/point.ts';

export const drain: Drill = {
  name: 'drain',
  title: 'the service is asked to end (SIGTERM) while sixteen writers post orders',
  runbook: {
    looksLike: '`/ready` 503 with the status `draining`, `/health` 200, answers carry `Connection: close`, '
      + 'then the process ends with 0 and is started again.',
    means: 'the service was asked to stop (SIGTERM) while clients were writing.',
    takes: 'about 8 s',
    byHand: '`infra/control inject drain`',
    backToNormal: 'by itself; `infra/control recover drain` makes sure.',
  },
  faults: ['drain'],
  successor: 'restarted',
  plan: experiment => {
    const heard: Heard[] = [];
    return {
      fault: [drained(experiment, heard), meanwhile(experiment, heard)],
      recovery: recoverFault(experiment, 'drain'),
      afterwards: [reckon(experiment)],
    };
  },
};

/** The Connection header of an answer that said `draining`, asked for on a connection that might have been kept. */
type Heard = string | null;

function drained(experiment: Experiment, heard: Heard[]): Rung {
  const { load } = experiment;
  const lastReady = () => experiment.timeline.samples.findLast(({ probe }) => probe === 'ready');
  return { name: 'fault', checks: [{ id: 'exit-0', claim: 'asked to end under load it exits 0', run: async say => {
    await load.start({ mayWrite: () => lastReady()?.grade === 'good' });
    try {
      await promised(experiment, 200);
      experiment.timeline.mark('inject');
      const injected = experiment.inject('drain');
      const [{ told }] = await Promise.all([injected, listen(experiment, { heard, until: injected })]);
      experiment.timeline.mark('injected');
      const [ended] = told ?? [];
      say(`ended with exit ${ended?.exit} ${ended?.ms} ms after SIGTERM`);
      if (ended?.exit !== 0) throw new Broken(`drain: wanted exit 0, saw exit ${ended?.exit}`);
    } finally {
      await load.stop();
    }
  } }] };
}

/** A client that keeps its connection must be asked to leave it, or its next request is lost. */
async function listen(
  { target, scaled }: Experiment, { heard, until }: { heard: Heard[]; until: Promise<unknown> },
): Promise<void> {
  let over = false;
  void until.finally(() => { over = true; }).catch(() => undefined);
  const one = { path: '/ready', deadlineMs: scaled(1_000) };
  while (!over) {
    const [sight] = await askInTurn(target, [one, one], one.deadlineMs);
    const { status } = sight?.state === 'answered' && sight.json instanceof Object ? { status: '', ...sight.json } : {};
    if (sight?.state === 'answered' && status === 'draining') heard.push(sight.headers.get('connection'));
    await pause(20);
  }
}

function meanwhile(experiment: Experiment, heard: readonly Heard[]): Rung {
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
    { id: 'says-close', claim: 'its answers say Connection: close', run: async say => {
      const kept = heard.filter(connection => connection?.toLowerCase() !== 'close');
      say(`${counted(heard.length, 'answer')} said draining`);
      if (heard.length === 0) throw new Broken('wanted an answer that says draining, saw none');
      if (kept.length > 0) throw new Broken(`Connection: wanted close while it drains, saw ${kept[0] ?? 'none'}`);
    } },
    { id: 'writers-served', claim: 'a writer that follows readiness sees no failure', run: async say => {
      const failed = load.attempts.filter(({ fate }) => fate !== 'acked');
      say(`${load.count('acked')} orders accepted, ${failed.length} failed`);
      if (failed.length === 0) return;
      throw new Broken(`wanted no failed order, saw ${failed.length}: ${countWords(failed.map(({ said }) => said))}`);
    } },
  ] };
}
