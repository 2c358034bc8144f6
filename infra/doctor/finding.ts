// What a look at this host found: one of four words, a few more, and what to do. Nothing is changed and nothing sent.
import type { Context } from '../context.ts';
import { Misunderstood, messageOf } from '../platform.ts';
import type { PlatformName } from '../platform.ts';

/**
 * Only `missing` keeps a platform from being used; `unknown` is what could not be looked at. `detail` is what a program
 * said of it, `fix` what to do.
 */
export type Finding = {
  state: 'ok' | 'missing' | 'warn' | 'unknown'; says: string; detail?: string | undefined; fix?: string | undefined;
};
export type Check = { of: PlatformName | 'host'; name: string; look: (context: Context) => Promise<Finding> | Finding };
export type Seen = Finding & Pick<Check, 'of' | 'name'>;

const ASK_MS = 15_000;
/** Some ask two programs, one after the other. */
const CHECK_MS = 40_000;

export const ok = (says: string): Finding => ({ state: 'ok', says });
export const missing = (says: string, fix: string, detail?: string): Finding => (
  { state: 'missing', says, detail, fix }
);
export const warn = (says: string, fix?: string, detail?: string): Finding => ({ state: 'warn', says, detail, fix });
export const unknown = (says: string): Finding => ({ state: 'unknown', says });

/** In one line, but for its state. */
export function tellFinding({ says, detail, fix }: Finding): string {
  return `${says}${detail === undefined ? '' : ` (${detail})`}${fix === undefined ? '' : `: ${fix}`}`;
}

/** What a program says of itself; undefined when it is not there, and why else it said nothing of use. */
export async function ask({ local, settings }: Context, argv: string[]): Promise<{ said: string } | { why?: string }> {
  const { code, stdout, stderr, late } = await local.run(argv, { deadlineMs: settings.scaled(ASK_MS), cwd: '/' });
  if (code === 0) return { said: stdout.trim() };
  if (code === 127) return {};
  if (late) return { why: `${argv[0]} gives no answer within ${settings.scaled(ASK_MS) / 1_000} s` };
  return { why: stderr.trim().split('\n').at(-1) || `${argv[0]} ended with ${code}` };
}

/** All at once, each inside a deadline; what throws is not known. In the order in which they are given. */
export function see(checks: readonly Check[], context: Context): Promise<Seen[]> {
  return Promise.all(checks.map(async ({ of, name, look }) => {
    const found = await within(context.settings.scaled(CHECK_MS), async () => look(context))
      .catch((error: unknown) => {
        if (error instanceof Misunderstood) throw error;
        return unknown(`not known: ${messageOf(error).split('\n')[0]}`);
      });
    return { of, name, ...found };
  }));
}

async function within(deadlineMs: number, look: () => Promise<Finding>): Promise<Finding> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Finding>(resolve => {
    timer = setTimeout(() => resolve(unknown(`not known after ${deadlineMs / 1_000} s`)), deadlineMs);
  });
  return Promise.race([look(), late]).finally(() => clearTimeout(timer));
}
