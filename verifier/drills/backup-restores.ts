// backup-restores: the tables are lost after a backup was taken under load, and all that it had comes back from it.
import type { Backup, Outcome } from '#infra/platform';
import { Broken } from '../checks/climb.ts';
import type { Check } from '../checks/climb.ts';
import { choose, compare } from '../checks/lasting.ts';
import { readLedger } from '../checks/ledger.ts';
import type { Drill } from '../experiment/drill.ts';
import type { Experiment } from '../experiment/experiment.ts';
import { injectFault, promised, servedAgain, staysObservable } from '../experiment/fault.ts';
import type { Attempt } from '../experiment/load.ts';
import { discard, findLost, isDurable, reckon } from '../experiment/reckoning.ts';
import { markOf, recoveredMs } from '../experiment/timeline.ts';
import { counted } from '../results/point.ts';

const budgets = { restoredMs: 30_000 };

export const backupRestores: Drill = {
  name: 'backup-restores',
  title: 'a backup is taken under load, the tables are lost, and the backup brings the orders back',
  runbook: {
    looksLike: 'everything answers and new orders are taken, but look-ups of accepted orders are 404; `make verify` is '
      + 'red at `lasting`.',
    means: 'the tables of the database are gone, and the service has made empty ones.',
    takes: 'about 20 s',
    byHand: '`infra/control inject tables-lost`',
    backToNormal: '`infra/control recover tables-lost` after the drill or an `inject` puts the tables back, with the '
      + 'orders that came meanwhile. A real loss comes back from a backup: see Backup and restore.',
  },
  faults: ['tables-lost'],
  budgets,
  red: ['lasting'],
  successor: 'same',
  plan: experiment => {
    const taken: Taken = { before: [], backup: undefined };
    return {
      fault: [
        { name: 'durable', checks: [isDurable(experiment)] },
        { name: 'backup', checks: [isTaken(experiment, taken)] },
        ...injectFault(experiment, 'tables-lost'),
        { name: 'meanwhile', checks: staysObservable(experiment) },
      ],
      recovery: { name: 'recovery', checks: [restored(experiment, taken), putBack(experiment)] },
      afterwards: [reckon(experiment), { name: 'tidy', checks: [removed(experiment, taken)] }],
    };
  },
};

/** `before`: acknowledged before the dump began. */
type Taken = { before: readonly Attempt[]; backup: Backup | undefined };

const isAcked = ({ fate }: Attempt): boolean => fate === 'acked';
/** All that was answered so far, to the writers and to the probe `write`. */
const answered = ({ load, attempts }: Experiment): Attempt[] => [...load.attempts, ...attempts].filter(isAcked);

function isTaken(experiment: Experiment, taken: Taken): Check {
  return { id: 'taken', claim: 'a backup is taken while sixteen writers post orders', run: async say => {
    const { load, control, target, timeline, backups, kept } = experiment;
    await load.start();
    try {
      await promised(experiment, 200);
      taken.before = answered(experiment);
      timeline.mark('backup');
      const { file, orders, bytes, ms } = taken.backup = done('backup', await control.backup(target.node, backups));
      kept.add(file);
      say(`${file}: ${counted(orders, 'order')} in ${bytes} bytes, made and read back in ${ms} ms`);
      const wanted = new Set(taken.before.map(({ orderId }) => orderId)).size;
      if (orders < wanted) throw new Broken(`backup: wanted the ${wanted} orders promised before it, saw ${orders}`);
      await promised(experiment, 50);
    } finally {
      await load.stop();
    }
  } };
}

/** Nobody writes from the loss to the end: a stack that has orders again is not restored into. */
function restored(experiment: Experiment, taken: Taken): Check {
  const claim = 'the backup brings back every order acknowledged before it began, unchanged and once';
  return { id: 'restored', claim, run: async say => {
    const { control, target, timeline, scaled, measured, find } = experiment;
    const { file, ledger } = taken.backup ?? { file: '', ledger: '' };
    const since = answered(experiment).filter(one => !taken.before.includes(one));
    const beganMs = await experiment.withoutWrites(async () => {
      // what came since the loss is set aside with the rest
      await experiment.inject('tables-lost');
      await tablesAreEmpty(experiment);
      const began = timeline.mark('restore');
      const { orders, ms } = done('restore', await control.restore(target.node, file));
      say(`${counted(orders, 'order')} restored in ${ms} ms`);
      return began;
    });
    const ms = await servedSince(experiment, beganMs);
    measured.push({ what: 'restored', ms, withinMs: scaled(budgets.restoredMs) });
    const why = [await findLost(experiment, taken.before, say), await findBroken(experiment, ledger, say)];
    const gone = await Promise.all(since.map(async ({ orderId = '' }) => (await find(orderId)).status === 404));
    const ageMs = markOf(timeline, 'inject') - markOf(timeline, 'backup');
    const lost = counted(gone.filter(Boolean).length, 'order');
    say(`RPO: ${lost} of the ${since.length} acknowledged since the backup began are not in it; it began ${ageMs} ms `
      + 'before the tables were lost');
    say(`RTO: ${ms} ms from the beginning of the restore to ready and the next order taken`);
    if (ms > scaled(budgets.restoredMs)) why.push(`restored after ${ms} ms, wanted ${scaled(budgets.restoredMs)} ms`);
    const told = why.filter(one => one !== undefined);
    if (told.length > 0) throw new Broken(told.join('; '));
  } };
}

function done<T>(verb: string, outcome: Outcome<T>): T {
  if ('done' in outcome) return outcome.done;
  throw new Broken(`${verb}: ${'failed' in outcome ? outcome.failed : outcome.impossible}`);
}

/** When readiness was 200 and an order was taken, in ms since then. */
async function servedSince({ wait, timeline }: Experiment, beganMs: number): Promise<number> {
  const probes = ['ready', 'write'] as const;
  const seen = await wait({
    what: 'clients', wanted: 'ready, and the next order taken', withinMs: 20_000,
    look: async () => probes.map(probe => recoveredMs(timeline.samples, probe, beganMs)),
    good: all => all.every(ms => ms !== null), tell: all => probes.map((probe, i) => `${probe} ${all[i]}`).join(', '),
  });
  return Math.max(...seen.map(ms => ms ?? Infinity));
}

/** The ledger as it was when the dump began: what earlier runs of verify were promised. */
async function findBroken({ find }: Experiment, ledger: string, say: (line: string) => void) {
  const promises = choose((await readLedger(ledger)).promised, Math.random());
  const told: string[] = [];
  for (const one of promises) {
    const saw = compare(one, await find(one.order_id));
    if (saw !== null) told.push(`order ${one.order_id} of the ledger: ${saw}`);
  }
  say(`${counted(promises.length, 'promise')} of the ledger asked for, ${told.length} not kept`);
  return told[0];
}

/** The service makes its tables anew as soon as somebody asks whether it is ready. */
async function tablesAreEmpty({ wait, before, find }: Experiment): Promise<void> {
  await wait({
    what: 'tables', wanted: 'to be there and empty', withinMs: 10_000,
    look: () => find(before.order.orderId), good: ({ status }) => status === 404, tell: ({ status }) => String(status),
  });
}

function putBack(experiment: Experiment): Check {
  return { id: 'recovered', claim: 'tables-lost is recovered', run: async say => {
    const { timeline } = experiment;
    timeline.mark('recover');
    const { ms } = await experiment.recover('tables-lost');
    timeline.mark('recovered');
    say(`recover tables-lost took ${ms} ms`);
    await servedAgain(experiment, say);
  } };
}

function removed({ kept }: Experiment, taken: Taken): Check {
  return { id: 'removed', claim: 'the backup of this drill is removed', run: async () => {
    await discard(taken.backup?.files ?? []);
    kept.clear();
  } };
}
