// What the operator asks for: the verifier's own variables on top of those that the whole project documents.
import type { Target } from '#infra/platform';
import { oneOf, openReader, readSettings, whole } from '#infra/settings';
import type { Env, Settings } from '#infra/settings';
import { parseTargets } from './client/address.ts';

export type Expect = 'ready' | 'unready';
export type Options = Settings & {
  /** Given by TARGETS and taken at their word; empty when control is to be asked. */
  targets: Target[];
  expect: Expect;
  /** A skip for any reason but a broken rung is red. */
  strict: boolean;
  /** The commit that the service must be built from, where it is not this checkout's. */
  commit: string | undefined;
  /** Of a long ledger every order is asked for, not a sample. */
  all: boolean;
  /** Base images that were built here (make images OFFLINE=1) are what was asked for: told, and no skip. */
  standIns: boolean;
  /** How often a drill that kills does so; without it as often as that drill itself says. */
  kills: number | undefined;
};

/** Reads these variables and what infra/settings.ts reads: every complaint at once, no value guessed. */
export function readOptions(env: Env, root: string): { options: Options } | { complaints: string[] } {
  const { read, complaints } = openReader(env);
  const own = {
    targets: read('TARGETS', parseTargets, []),
    expect: read('EXPECT', oneOf('ready', 'unready'), 'ready' as const),
    strict: read('STRICT', oneOf('0', '1'), '0') === '1',
    commit: read('COMMIT', parseCommit, undefined),
    all: read('ALL', oneOf('0', '1'), '0') === '1',
    standIns: read('ORDERS_STAND_INS', oneOf('0', '1'), '0') === '1',
    kills: read('KILLS', whole(1, 100), undefined),
  };
  const others = readSettings(env, root);
  if ('complaints' in others) return { complaints: [...complaints, ...others.complaints] };
  return complaints.length > 0 ? { complaints } : { options: { ...others.settings, ...own } };
}

function parseCommit(text: string): { is: string } | string {
  return /^[\w.-]{7,64}$/.test(text) ? { is: text } : 'a commit as /version tells it, or at least 7 letters of one';
}
