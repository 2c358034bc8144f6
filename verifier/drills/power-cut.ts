// power-cut: everything loses its power at once while four writers post; what was promised was on disk by then.
import type { Facts } from '#infra/platform';
import { Broken } from '../checks/climb.ts';
import type { Rung } from '../checks/climb.ts';
import type { Drill } from '../experiment/drill.ts';
import type { Experiment } from '../experiment/experiment.ts';
import { keepsTo, promised, seeInPlace } from '../experiment/fault.ts';
import { isDurable, nothingLost, servedUnderLoad } from '../experiment/reckoning.ts';

const CUTS = 5;

export const powerCut: Drill = {
  name: 'power-cut',
  title: 'the power of service and database is cut while four writers post orders (KILLS=5 times)',
  runbook: {
    looksLike: 'nothing answers, then 503 with `starting_up` until the database has read its log.',
    means: 'the machine, or its disk, has lost its power: what was not on disk yet is gone. '
      + 'The file system of the database\'s own disk is shut down without its journal, then all is killed '
      + '(vagrant: the whole machine is switched off).',
    takes: 'about 15 s with five cuts (30 s in containers); needs `make up ORDERS_DISK_MB=256` on process and docker, '
      + 'elsewhere it is reported as not run',
    byHand: '`infra/control inject power-cut`',
    backToNormal: '`infra/control recover power-cut`, or `make up`: the disk reads its journal, the database its log. '
      + 'No accepted order is lost; writers repeat what was ambiguous with the same key.',
  },
  faults: ['power-cut'],
  successor: 'any',
  plan: experiment => ({
    fault: [{ name: 'durable', checks: [isDurable(experiment)] }, cut(experiment)],
    recovery: servedUnderLoad(experiment),
    afterwards: [{ name: 'reckoning', checks: [nothingLost(experiment)] }],
  }),
};

function cut(experiment: Experiment): Rung {
  const { kills = CUTS, load } = experiment;
  const claim = `the power is cut ${kills === 1 ? 'once' : `${kills} times`} under four writers, and all comes back`;
  return { name: 'fault', checks: [{ id: 'cut', claim, run: async say => {
    const { timeline } = experiment;
    let before = await experiment.facts();
    await load.start({ writers: 4 });
    timeline.mark('inject');
    for (let turn = 1; turn <= kills; turn += 1) {
      await promised(experiment, 100);
      await experiment.inject('power-cut');
      await seeInPlace(experiment, 'power-cut');
      timeline.mark('recover');
      const { ms } = await experiment.recover('power-cut');
      timeline.mark('recovered');
      // the way to the service was gone as well: an answer of before may never come
      timeline.renew();
      say(`cut ${turn}: everything ran again after ${ms} ms, ${load.count('acked')} orders were promised by then`);
      keepsTo(experiment, 'up', ms);
      const now = await experiment.facts();
      startedAgain(before, now);
      before = now;
    }
  } }] };
}

/** What had no power has started since: the database, and with it its machine where that is what was switched off. */
function startedAgain(before: Facts, now: Facts): void {
  const { started_at: last } = before.db;
  const { started_at: since } = now.db;
  if (since === null || since === last) throw new Broken(`the database: wanted a start after ${last}, saw ${since}`);
  if (now.platform !== 'vagrant' || now.boot_id !== before.boot_id) return;
  throw new Broken(`the machine: wanted another boot than before the cut, saw boot ${now.boot_id} still`);
}
