// upgrade: under load a new build replaces the old one, and that one it; a build that cannot be ready is rolled back.
import { badBuild, newBuild } from '#infra/platform';
import type { Ended } from '#infra/platform';
import { Broken } from '../checks/climb.ts';
import type { Check, Rung } from '../checks/climb.ts';
import { describe } from '../client/api.ts';
import type { Drill } from '../experiment/drill.ts';
import { NotPossible } from '../experiment/experiment.ts';
import type { Experiment } from '../experiment/experiment.ts';
import { keepsTo, promised, servedAgain } from '../experiment/fault.ts';
import { isDurable, reckon } from '../experiment/reckoning.ts';
import { longestGapMs } from '../experiment/timeline.ts';

export const upgrade: Drill = {
  name: 'upgrade',
  title: 'under load a new build replaces the old one, and back again; a bad one is rolled back by `up`',
  runbook: {
    looksLike: 'orders are refused for a few seconds while one build drains and the other starts; `/version` names the '
      + 'new commit. If that one does not get ready, `make up` exits 1 with its reason, and the former build serves.',
    means: 'somebody typed `make up` with another build or other settings.',
    takes: 'about 30 s on plain processes, 1 to 2 minutes in containers',
    byHand: '`infra/control inject upgrade`; `infra/control inject bad-upgrade` for one that is rolled back',
    backToNormal: '`infra/control recover upgrade` brings back what served before, `make up` the build of this '
      + 'checkout. Writers repeat what was ambiguous with the same key.',
  },
  faults: ['upgrade', 'bad-upgrade'],
  successor: 'any',
  plan: experiment => ({
    fault: [{ name: 'durable', checks: [isDurable(experiment)] }, upgraded(experiment)],
    recovery: { name: 'recovery', checks: [back(experiment)] },
    afterwards: [refused(experiment), reckon(experiment)],
  }),
};

function upgraded(experiment: Experiment): Rung {
  const { load } = experiment;
  const claim = 'a new build replaces the old one, and takes orders within its budget';
  return { name: 'fault', checks: [{ id: 'upgraded', claim, run: async say => {
    if (experiment.before.facts.containers === 'tasks') throw new NotPossible('a fleet has rolling-upgrade for it');
    await load.start({ keyless: 4 });
    await promised(experiment, 100);
    await replaced(experiment, { say, step: 'upgrade', act: () => experiment.inject('upgrade') });
    await isBuild(experiment, newBuild.GIT_SHA);
    await promised(experiment, 100);
  } }] };
}

function back(experiment: Experiment): Check {
  const claim = 'the old build replaces the new one again, within the same budget';
  return { id: 'recovered', claim, run: async say => {
    const { timeline, before } = experiment;
    timeline.mark('recover');
    await replaced(experiment, { say, step: 'back', act: () => experiment.recover('upgrade') });
    timeline.mark('recovered');
    await servedAgain(experiment, say);
    await isBuild(experiment, before.version.git_sha);
  } };
}

/** `up` says why, and which build serves instead. */
function refused(experiment: Experiment): Rung {
  const { load, api } = experiment;
  const claim = 'a build that is never ready is rolled back by up itself, which fails and says why';
  return { name: 'refused', checks: [{ id: 'rolled-back', claim, run: async say => {
    const { told, ms } = await replaced(experiment, {
      say, step: 'bad build', act: () => experiment.inject('bad-upgrade'), isBad: true,
    });
    const former = experiment.before.version.git_sha;
    judge(told?.[0], former);
    const ready = await api.ready();
    if (ready.status !== 200) throw new Broken(`ready: wanted 200 once up has rolled back, saw ${describe(ready)}`);
    await isBuild(experiment, former);
    await promised(experiment, 100);
    await load.stop();
    keepsTo(experiment, 'rollBack', ms);
  } }] };
}

function judge(told: Ended | undefined, formerSha: string): void {
  const { exit = null, stderr = '' } = told ?? {};
  if (exit !== 1) throw new Broken(`up with a bad build: wanted exit 1, saw exit ${exit}`);
  for (const word of ['database_missing', formerSha]) {
    if (!stderr.includes(word)) throw new Broken(`up with a bad build: wanted it to name ${word}, saw ${stderr}`);
  }
  if (stderr.includes(badBuild.GIT_SHA)) throw new Broken('up with a bad build: it says that this one serves');
}

type Step<T> = { say: (line: string) => void; step: string; act: () => Promise<T>; isBad?: boolean };

/** Says how long nobody's order was taken. While a bad build is tried that is part of what a rollback takes. */
async function replaced<T extends { ms: number }>(
  experiment: Experiment, { say, step, act, isBad = false }: Step<T>,
): Promise<T> {
  const { timeline, wait } = experiment;
  const began = timeline.mark(step === 'upgrade' ? 'inject' : step);
  const done = await act();
  const ended = timeline.mark(step === 'upgrade' ? 'injected' : `${step} done`);
  // an order of before may wait for an answer that was lost with the old one
  timeline.renew();
  await wait({
    what: 'orders', wanted: 'one taken', withinMs: 20_000,
    look: async () => timeline.samples.some(({ probe, grade, fromMs }) => (
      probe === 'write' && grade === 'good' && fromMs >= ended
    )),
    good: taken => taken, tell: () => 'none',
  });
  const gapMs = longestGapMs(timeline.samples, 'write', began);
  say(`${step}: control took ${done.ms} ms, no order was taken for ${gapMs} ms`);
  if (!isBad) keepsTo(experiment, 'gap', gapMs);
  return done;
}

async function isBuild({ api }: Experiment, wanted: string): Promise<void> {
  const seen = await api.version();
  const sha = seen.value?.git_sha ?? describe(seen);
  if (sha !== wanted) throw new Broken(`version: wanted the build ${wanted}, saw ${sha}`);
}
