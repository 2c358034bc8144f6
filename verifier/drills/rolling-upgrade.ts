// rolling-upgrade: one replica after the other is replaced under load, and back; a bad build is taken back by Swarm.
import { setTimeout as pause } from 'node:timers/promises';
import { newBuild } from '#infra/platform';
import { Broken } from '../checks/climb.ts';
import type { Check, Rung } from '../checks/climb.ts';
import { describe } from '../client/api.ts';
import type { Drill } from '../experiment/drill.ts';
import type { Experiment } from '../experiment/experiment.ts';
import { keepsTo, promised, servedAgain } from '../experiment/fault.ts';
import { onFleet, steadily, takenSince, unnoticed } from '../experiment/fleet.ts';
import { isDurable, reckon } from '../experiment/reckoning.ts';
import { countWords, longestGapMs } from '../experiment/timeline.ts';

export const rollingUpgrade: Drill = {
  name: 'rolling-upgrade',
  title: 'under load replica after replica is replaced by a new build, and back; a bad one is rolled back by Swarm',
  runbook: {
    looksLike: 'nothing, but that `/version` names two builds in turn until the last replica is replaced.',
    means: 'somebody typed `make up` with another build or other settings on a swarm.',
    takes: 'about 3 minutes; needs `PLATFORM=swarm`, elsewhere it is reported as not run',
    byHand: '`infra/control inject upgrade`; `infra/control inject bad-upgrade` for one that is rolled back',
    backToNormal: '`infra/control recover upgrade` brings back what served before, `make up` the build of this '
      + 'checkout. A build that is never ready never serves: Swarm takes the former one back, and `make up` exits 1.',
  },
  faults: ['upgrade', 'bad-upgrade'],
  successor: 'any',
  plan: experiment => ({
    fault: [{ name: 'durable', checks: [isDurable(experiment)] }, replaced(experiment)],
    recovery: { name: 'recovery', checks: [back(experiment)] },
    afterwards: [
      { name: 'refused', checks: [rolledBack(experiment)] },
      unnoticed(experiment), reckon(experiment),
    ],
  }),
};

function replaced(experiment: Experiment): Rung {
  const { load } = experiment;
  const claim = 'every replica is replaced by one of the new build';
  return { name: 'fault', checks: [{ id: 'replaced', claim, run: async say => {
    onFleet(experiment);
    await load.start(steadily(experiment));
    await promised(experiment, 100);
    const began = experiment.timeline.mark('inject');
    const { ms } = await experiment.inject('upgrade');
    await takenSince(experiment, experiment.timeline.mark('injected'), 20_000);
    const gapMs = longestGapMs(experiment.timeline.samples, 'write', began);
    say(`the update took ${ms} ms, no order was taken for ${gapMs} ms`);
    keepsTo(experiment, 'gap', gapMs);
    await allAre(experiment, newBuild.GIT_SHA);
    await promised(experiment, 100);
  } }] };
}

function back(experiment: Experiment): Check {
  return { id: 'recovered', claim: 'the former build replaces it in the same way', run: async say => {
    const { timeline, before } = experiment;
    timeline.mark('recover');
    const { ms } = await experiment.recover('upgrade');
    timeline.mark('recovered');
    say(`the update back took ${ms} ms`);
    await servedAgain(experiment, say);
    await allAre(experiment, before.version.git_sha);
  } };
}

function rolledBack(experiment: Experiment): Check {
  const { load, api } = experiment;
  const claim = 'a build that is never ready answers nobody, and is rolled back without a hand, with the reason';
  return { id: 'rolled-back', claim, run: async say => {
    experiment.timeline.mark('bad build');
    const former = experiment.before.version.git_sha;
    const builds: string[] = [];
    let isOver = false;
    const asking = (async () => {
      while (!isOver) {
        const seen = await api.version();
        builds.push(seen.value?.git_sha ?? describe(seen));
        await pause(50);
      }
    })();
    const { told, ms } = await experiment.inject('bad-upgrade').finally(async () => {
      isOver = true;
      await asking;
    });
    const { exit = null, stderr = '' } = told?.[0] ?? {};
    say(`rolled back after ${ms} ms: ${stderr}`);
    say(`version meanwhile: ${countWords(builds)}`);
    if (exit !== 1) throw new Broken(`a bad build: wanted exit 1, saw exit ${exit}`);
    // the task of the service that failed, and what it said
    if (!/orders_api\S* on \S+: \S/.test(stderr)) {
      throw new Broken(`a bad build: wanted the reason of its task, saw ${stderr}`);
    }
    if (builds.some(sha => sha !== former)) {
      throw new Broken(`version: wanted ${former} only, saw ${countWords(builds)}`);
    }
    await allAre(experiment, former);
    await promised(experiment, 100);
    await load.stop();
    keepsTo(experiment, 'rollBack', ms);
  } };
}

/** Whoever is asked: the router sends each connection to another replica. */
async function allAre({ api }: Experiment, wanted: string): Promise<void> {
  for (let i = 1; i <= 12; i += 1) {
    const seen = await api.version();
    const sha = seen.value?.git_sha ?? describe(seen);
    if (sha !== wanted) throw new Broken(`version: wanted the build ${wanted} on each connection, saw ${sha}`);
  }
}
