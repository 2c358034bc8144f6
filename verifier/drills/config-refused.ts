// config-refused: a service with a setting missing or malformed refuses to start, names it, and stays down.
import type { Ended, Spoilt } from '#infra/platform';
import { Broken } from '../checks/climb.ts';
import type { Rung } from '../checks/climb.ts';
import type { Drill } from '../experiment/drill.ts';
import type { Experiment } from '../experiment/experiment.ts';
import { recoverFault } from '../experiment/fault.ts';

const required = [
  'PORT', 'HOST', 'DATABASE_HOST', 'DATABASE_PORT', 'DATABASE_NAME', 'DATABASE_USER', 'DATABASE_PASSWORD_FILE',
];
const ways = ['missing', 'malformed'] as const;
const EX_CONFIG = 78;
const budgets = { refusedMs: 1_000, refusedInContainerMs: 5_000, servedMs: 2_000 };

export const configRefused: Drill = {
  name: 'config-refused',
  title: 'a second service is started with each required setting missing, then malformed',
  runbook: {
    looksLike: 'the service ends at once with exit code 78 and lists every complaint on stderr; '
      + 'it is not started again and again.',
    means: 'a required variable is missing, malformed or misspelt.',
    takes: 'about 30 s',
    byHand: '`infra/control inject config-refused PORT missing`',
    backToNormal: 'nothing to undo: the drill spoils only a throw-away second instance. '
      + 'In earnest: correct the setting that is named, then `make up`.',
  },
  faults: ['config-refused'],
  budgets,
  successor: 'same',
  plan: experiment => ({
    fault: required.map(variable => refused(experiment, variable)),
    recovery: recoverFault(experiment, 'config-refused', budgets),
  }),
};

function refused(experiment: Experiment, variable: string): Rung {
  return { name: variable, checks: ways.map(how => ({
    id: how,
    claim: `${how} it is refused with exit ${EX_CONFIG}, by name`,
    run: say => refusesInTime(experiment, { variable, how }, say),
  })) };
}

// The quickest of three counts: how long a start takes is the machine's affair, how long it thinks the service's.
async function refusesInTime(experiment: Experiment, spoilt: Spoilt, say: (line: string) => void): Promise<void> {
  const { containers } = experiment.before.facts;
  const lateMs = experiment.scaled(containers ? budgets.refusedInContainerMs : budgets.refusedMs);
  let quickestMs = Infinity;
  for (let tries = 0; tries < 3 && quickestMs > lateMs; tries += 1) {
    const { ms, complaints } = complaintsOf(spoilt, (await experiment.inject('config-refused', spoilt)).told);
    quickestMs = Math.min(quickestMs, ms);
    say(`${ms} ms, ${complaints.join('; ')}`);
  }
  if (quickestMs <= lateMs) return;
  const { variable, how } = spoilt;
  throw new Broken(`${variable} ${how}: wanted the refusal within ${lateMs} ms, saw it after ${quickestMs} ms`);
}

function complaintsOf({ variable, how }: Spoilt, ended: Ended | undefined): { ms: number; complaints: string[] } {
  if (ended === undefined) throw new Broken(`${variable} ${how}: how it ended is not known`);
  const { exit, ms, stderr } = ended;
  if (exit !== EX_CONFIG) throw new Broken(`${variable} ${how}: wanted exit ${EX_CONFIG}, saw ${exit}: ${stderr}`);
  const complaints = stderr.split('\n').filter(line => line.startsWith('config: '));
  const named = complaints.some(line => line.split(/[^A-Z_]+/).includes(variable));
  if (!named) throw new Broken(`${variable} ${how}: wanted a complaint that names it, saw ${stderr}`);
  return { ms, complaints };
}
