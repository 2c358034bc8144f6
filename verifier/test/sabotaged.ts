// A stack on plain processes whose service can be sabotaged: a copy of what this checkout runs, and who sees what.
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../client/until.ts';
import { root } from '../programs/program.ts';
import { brokenOf } from '../results/point.ts';
import type { Mutation } from './mutations.ts';
import { start } from './program.ts';
import { openRealStack } from './real-stack.ts';

/** `by`: who was red, and at which check; undefined: nobody was. `trouble`: somebody could not look at all. */
export type Seen = { by: string | undefined; trouble: string | undefined };
const unseen: Seen = { by: undefined, trouble: undefined };
export type Sabotaged = {
  /** Starts this build, or the honest one, lets the judges look until one is red, and says which. */
  judge: (mutation: Mutation | undefined, drills: readonly string[]) => Promise<Seen>;
  remove: () => Promise<void>;
};

/** Of what is not there exactly once, nothing is known: a mutation that changes nothing would look like a survivor. */
export function mutate(text: string, { name, file, from, to }: Mutation): string {
  const parts = text.split(from);
  if (parts.length !== 2) throw new Error(`${name}: ${file} has its text ${parts.length - 1} times: ${from}`);
  return parts.join(to);
}

/** The compiled service of this checkout. */
export function compiled(file: string): string {
  return readFileSync(join(root, 'service/dist', file), 'utf8');
}

/** Up when it resolves. `remove` leaves nothing. */
export async function openSabotaged(more: Record<string, string> = {}): Promise<Sabotaged> {
  const copy = copyCheckout();
  const forget = (): void => rmSync(copy, { recursive: true });
  const stack = await openRealStack('process', more, copy).catch((error: unknown) => {
    forget();
    throw error;
  });
  const run = async (program: string, args: string[] = []): Promise<Seen> => {
    const { code, points, stderr } = await start(join(copy, `verifier/dist/${program}.js`), args, stack.env).ended;
    const [first] = brokenOf(points);
    const { rung = '', check = '' } = first?.id ?? {};
    const by = code === 1 ? `${[program, ...args].join(' ')}: ${rung} ${check}`.trim() : undefined;
    return { by, trouble: code === 0 || code === 1 ? undefined : `${program} ended with ${code}: ${stderr}` };
  };
  // one that never becomes ready is for verify to see; one that never answers is no build at all
  const up = async (): Promise<Seen> => {
    if ('done' in await stack.control.up()) return unseen;
    // it was rolled back; where nothing runs it stays, to be looked at
    await stack.control.halt();
    const outcome = await stack.control.up();
    if ('done' in outcome) return unseen;
    const health = () => fetch(`http://127.0.0.1:${stack.env['ORDERS_PORT']}/health`).then(() => true, () => false);
    const answers = await until(health, Boolean, 5_000).catch(() => false);
    return answers ? unseen : { by: undefined, trouble: `it does not start: ${JSON.stringify(outcome)}` };
  };
  const restart = async (): Promise<Seen> => {
    await stack.control.inject('control', 'service-down');
    const outcome = await stack.control.recover('control');
    return 'done' in outcome ? unseen : { by: undefined, trouble: `no restart: ${JSON.stringify(outcome)}` };
  };
  const judge: Sabotaged['judge'] = async (mutation, drills) => {
    const honest = mutation && compiled(mutation.file);
    const file = mutation && join(copy, 'service/dist', mutation.file);
    if (mutation && honest && file) writeFileSync(file, mutate(honest, mutation));
    const judges = [
      up, () => run('verify'), restart, async () => seenAgain(await run('verify')),
      ...drills.map(name => () => run('drill', [name])),
    ];
    try {
      for (const look of judges) {
        const seen = await look();
        if (seen.by ?? seen.trouble) return seen;
      }
      return unseen;
    } finally {
      if (honest && file) writeFileSync(file, honest);
      // what a liar has promised is no promise of the next one
      rmSync(join(stack.state, 'ledger'), { recursive: true, force: true });
    }
  };
  const remove = async (): Promise<void> => {
    await stack.remove();
    forget();
  };
  return { judge, remove };
}

function seenAgain({ by, trouble }: Seen): Seen {
  return { by: by && `${by}, after a restart`, trouble };
}

/** What of this checkout the programs need; the service in it is nobody else's. */
function copyCheckout(): string {
  const copy = mkdtempSync(join(tmpdir(), 'orders-sabotaged-'));
  const parts = readdirSync(root).filter(name => !['node_modules', '.git', '.state'].includes(name));
  for (const part of parts) cpSync(join(root, part), join(copy, part), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  return copy;
}
