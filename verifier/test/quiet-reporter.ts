// What `make test` prints: on a terminal the file that has just ended, of what broke all, and at the end the totals.
import { relative } from 'node:path';
import { inspect } from 'node:util';
import { openProgress } from '../results/terminal.ts';

type Event = {
  type: string;
  data: {
    name?: string; nesting?: number; file?: string; message?: string; skip?: string | boolean;
    details?: { error?: Error & { cause?: unknown; failureType?: string } };
  };
};

/** Totals that are worth a line; what is nought on every good day is none. */
const totals = /^(tests|pass|fail|cancelled|skipped|duration_ms) /;

export default async function* report(source: AsyncIterable<Event>): AsyncGenerator<string> {
  const progress = openProgress(process.stderr, process.env);
  const inCi = !['', '0', 'false', undefined].includes(process.env['CI']);
  const said = new Map<string, string[]>();
  const skips = new Map<string, number>();
  const broken = new Set<string>();
  for await (const { type, data } of source) {
    const file = relative(process.cwd(), data.file ?? '');
    if (type === 'test:start' && data.nesting === 0) progress.show(file || (data.name ?? ''));
    if (type === 'test:stderr' || type === 'test:stdout') said.set(file, [...said.get(file) ?? [], data.message ?? '']);
    if (type === 'test:pass' && data.skip !== undefined && data.skip !== false) {
      const why = data.skip === true ? 'no reason' : data.skip;
      skips.set(why, (skips.get(why) ?? 0) + 1);
    }
    if (type === 'test:fail' && !isAbove(data)) {
      progress.hide();
      broken.add(file);
      yield `not ok ${file}: ${data.name}\n${indented(reasonOf(data))}\n`;
    }
    if (type === 'test:diagnostic' && totals.test(data.message ?? '')) {
      progress.close();
      yield `# ${data.message}\n`;
    }
  }
  progress.close();
  for (const file of broken) {
    const words = said.get(file);
    if (words !== undefined) yield `# ${file} said:\n${indented(words.join(''))}\n`;
  }
  for (const [why, many] of skips) yield `# SKIP ${why} (${many === 1 ? '1 test' : `${many} tests`})\n`;
  if (skips.size > 0 && inCi) {
    yield 'not ok in CI nothing is skipped: install what is missing\n';
    // nothing has failed, so node:test itself would end with 0
    process.exitCode = 1;
  }
}

/** A test that broke only because one inside it did: that one has been reported. */
function isAbove({ details }: Event['data']): boolean {
  return details?.error?.failureType === 'subtestsFailed';
}

function reasonOf({ details }: Event['data']): string {
  const seen = details?.error?.cause ?? details?.error;
  if (!(seen instanceof Error) || seen.stack === undefined) return inspect(seen);
  // where node:test itself was is nobody's question
  return seen.stack.split('\n').filter(line => !/^ +at .*node:internal/.test(line)).join('\n');
}

function indented(text: string): string {
  return text.trimEnd().split('\n').map(line => `    ${line}`).join('\n');
}
