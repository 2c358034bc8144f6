// disk-full: the database has no room for another order; it still answers, and gives out what it has.
import type { Check, Rung } from '../checks/climb.ts';
import type { Drill } from '../experiment/drill.ts';
import type { Experiment } from '../experiment/experiment.ts';
import { injectFault, meanwhile, promised, recoverFault } from '../experiment/fault.ts';
import { reckon } from '../experiment/reckoning.ts';

export const diskFull: Drill = {
  name: 'disk-full',
  title: 'the disk of the database is full: no order can be stored, those that are stored can be read',
  runbook: {
    looksLike: '`/health` and `/ready` 200, new orders 503, look-ups 200; `make verify` is red at `usable`.',
    means: 'the file system of the database is full. With `ORDERS_DISK_MB=` the drill really fills it, to the last '
      + 'byte; else it fills none, and before each insert the server writes to `/dev/full`, so that the caller gets '
      + 'the kernel\'s own error.',
    takes: 'about 15 s; it says which of the two it was',
    byHand: '`infra/control inject disk-full`',
    backToNormal: 'make room, then nothing else is to be done. `infra/control recover disk-full` after the drill '
      + 'or an `inject`.',
  },
  faults: ['disk-full'],
  red: ['usable'],
  successor: 'same',
  plan: experiment => ({
    fault: [
      { name: 'load', checks: [written(experiment)] },
      ...injectFault(experiment, 'disk-full'),
      meanwhile(experiment, { ready: 'unseen', refused: ['write'] }),
    ],
    recovery: writtenAgain(experiment),
    afterwards: [reckon(experiment)],
  }),
};

function written(experiment: Experiment): Check {
  return { id: 'written', claim: 'two writers post orders, then and all the while', run: async say => {
    const { disk_mb } = await experiment.facts();
    say(disk_mb === null ? 'the database has no disk of its own: each insert writes to /dev/full'
      : `the database has a disk of its own, of ${disk_mb} MB: it is filled to the last byte`);
    await experiment.load.start({ writers: 2 });
    await promised(experiment, 20);
  } };
}

function writtenAgain(experiment: Experiment): Rung {
  const { name, checks } = recoverFault(experiment, 'disk-full');
  const again: Check = { id: 'written-again', claim: 'the writers go on', run: async () => {
    await promised(experiment, 20);
    await experiment.load.stop();
  } };
  return { name, checks: [...checks, again] };
}
