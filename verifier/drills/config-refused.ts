// config-refused: a service with a setting missing, malformed or misspelt refuses to start, names it, and stays down.
import { randomUUID } from 'node:crypto';
import { misspell } from '#infra/platform';
import type { Ended, Spoilt } from '#infra/platform';
import { Broken } from '../checks/climb.ts';
import type { Check, Rung } from '../checks/climb.ts';
import type { Drill } from '../experiment/drill.ts';
import type { Experiment } from '../experiment/experiment.ts';
import { recoverFault } from '../experiment/fault.ts';
import { logsKeepSecret } from '../experiment/secret.ts';

const required = [
  'PORT', 'HOST', 'DATABASE_HOST', 'DATABASE_PORT', 'DATABASE_NAME', 'DATABASE_USER', 'DATABASE_PASSWORD_FILE',
];
/** Also some that may be left out: there a slip that is ignored would go unnoticed. */
const slips = ['DATABASE_HOST', 'DATABASE_PASSWORD', 'READY_TIMEOUT_MS', 'DRAIN_GRACE_MS'];
const EX_CONFIG = 78;
const budgets = { refusedMs: 1_000, refusedInContainerMs: 5_000 };

export const configRefused: Drill = {
  name: 'config-refused',
  title: 'a second service is started with each required setting missing, malformed, or misspelt',
  runbook: {
    looksLike: 'the service ends at once with exit code 78 and lists every complaint on stderr; '
      + 'it is not started again and again.',
    means: 'a required variable is missing, malformed or misspelt.',
    takes: 'about 5 s, 17 s in containers',
    byHand: '`infra/control inject config-refused PORT missing`',
    backToNormal: 'nothing to undo: the drill spoils only a throw-away second instance. '
      + 'In production: correct the setting that is named, then `make up`.',
  },
  faults: ['config-refused'],
  budgets,
  successor: 'same',
  plan: experiment => {
    const attempts = openAttempts(experiment);
    const misspelt = slips.map(variable => attempts.of({ variable, how: 'misspelt' }));
    return {
      fault: [
        ...required.map(variable => refused(variable, attempts)),
        { name: 'misspelt', checks: misspelt.map(({ spoilt: { variable }, run }) => ({
          id: variable,
          claim: `${misspell(variable)} is refused with exit ${EX_CONFIG}, by name, without its value`,
          run,
        })) },
      ],
      recovery: recoverFault(experiment, 'config-refused'),
      afterwards: [{ name: 'secret', checks: [logsKeepSecret(experiment)] }],
    };
  },
};

function refused(variable: string, attempts: Attempts): Rung {
  return { name: variable, checks: (['missing', 'malformed'] as const).map(how => ({
    id: how,
    claim: `${how} it is refused with exit ${EX_CONFIG}, by name`,
    run: attempts.of({ variable, how }).run,
  })) };
}

type Wrong = Spoilt & { value: string };
type Attempts = { of: (spoilt: Spoilt) => { spoilt: Spoilt; run: Check['run'] } };

/** All are started with the first that is looked at: it is one container that costs most. */
function openAttempts(experiment: Experiment): Attempts {
  const planned: Wrong[] = [];
  const told = new Set<string>();
  let first: Promise<Ended[]> | undefined;
  const start = async (some: readonly Wrong[]) => (await experiment.inject('config-refused', some)).told ?? [];
  return {
    of: given => {
      const spoilt = withValue(given);
      const i = planned.push(spoilt) - 1;
      const begin = async () => (await (first ??= start(planned)))[i];
      return { spoilt, run: say => refusesInTime({ experiment, told, begin, again: start }, spoilt, say) };
    },
  };
}

/** Of another value each time, so that nobody can know the complaint beforehand. */
function withValue(spoilt: Spoilt): Wrong {
  return { ...spoilt, value: `/${randomUUID()}%` };
}

/** `told`: every complaint so far. */
type Refusal = {
  experiment: Experiment; told: Set<string>; begin: () => Promise<Ended | undefined>;
  again: (some: readonly Wrong[]) => Promise<Ended[]>;
};

// The quickest of three counts: how long a start takes is the machine's affair, how long it thinks the service's.
async function refusesInTime(refusal: Refusal, first: Wrong, say: (line: string) => void): Promise<void> {
  const { experiment, told, begin, again } = refusal;
  const { containers } = experiment.before.facts;
  const lateMs = experiment.scaled(containers ? budgets.refusedInContainerMs : budgets.refusedMs);
  const at = `${first.variable} ${first.how}`;
  let quickestMs = Infinity;
  for (let tries = 0; tries < 3 && quickestMs > lateMs; tries += 1) {
    const spoilt = tries === 0 ? first : withValue(first);
    const ended = tries === 0 ? await begin() : (await again([spoilt]))[0];
    const complaint = complaintOf(at, ended);
    const fault = faultIn(complaint, spoilt);
    if (fault !== undefined) throw new Broken(`${at}: wanted ${fault}, saw ${complaint}`);
    if (tries === 0 && told.has(complaint)) throw new Broken(`${at}: wanted a complaint of its own, saw ${complaint}`);
    told.add(complaint);
    quickestMs = Math.min(quickestMs, ended?.ms ?? Infinity);
    say(`${quickestMs} ms, ${complaint}`);
  }
  if (quickestMs > lateMs) throw new Broken(`${at}: wanted it refused within ${lateMs} ms, saw ${quickestMs} ms`);
}

/** One setting is wrong, so there is one complaint. */
function complaintOf(at: string, ended: Ended | undefined): string {
  if (ended === undefined) throw new Broken(`${at}: how it ended is not known`);
  const { exit, stderr } = ended;
  if (exit !== EX_CONFIG) throw new Broken(`${at}: wanted exit ${EX_CONFIG}, saw ${exit}: ${stderr}`);
  const [complaint, ...more] = stderr.split('\n').filter(line => line.startsWith('config: '));
  if (complaint !== undefined && more.length === 0) return complaint;
  throw new Broken(`${at}: wanted one complaint, saw ${stderr.trim() || 'none'}`);
}

/** What a complaint should have been; undefined when it is as it should be. */
function faultIn(complaint: string, { variable, how, value = '' }: Spoilt): string | undefined {
  const named = complaint.split(/[^A-Z_]+/);
  const wanted = how === 'misspelt' ? misspell(variable) : variable;
  if (!named.includes(wanted)) return `a complaint that names ${wanted}`;
  const others = required.filter(name => name !== variable && named.includes(name));
  if (others.length > 0) return `a complaint of ${variable} only`;
  if (how === 'malformed' && !complaint.includes(value)) return `a complaint that quotes ${value}`;
  if (how === 'misspelt' && complaint.includes(value)) return 'a complaint that keeps the value to itself';
  return undefined;
}
