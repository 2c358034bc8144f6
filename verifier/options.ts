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
  /** How often a drill that kills does so. */
  kills: number;
};

/** Reads TARGETS EXPECT STRICT KILLS and what infra/settings.ts reads: every complaint at once, no value guessed. */
export function readOptions(env: Env, root: string): { options: Options } | { complaints: string[] } {
  const { read, complaints } = openReader(env);
  const own = {
    targets: read('TARGETS', parseTargets, []),
    expect: read('EXPECT', oneOf('ready', 'unready'), 'ready' as const),
    strict: read('STRICT', oneOf('0', '1'), '0') === '1',
    kills: read('KILLS', whole(1, 100), 3),
  };
  const others = readSettings(env, root);
  if ('complaints' in others) return { complaints: [...complaints, ...others.complaints] };
  return complaints.length > 0 ? { complaints } : { options: { ...others.settings, ...own } };
}
