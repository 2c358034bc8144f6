// `--help` and `--version` of every program, and the nearest to a name that is misspelt.
import { readCheckout } from '../evidence/checkout.ts';
import { printText } from '../results/terminal.ts';
import { root } from './program.ts';

/** Answers on stdout, with the exit code, before anything else is read; undefined when neither was asked for. */
export async function answerHelp(name: string, args: readonly string[], usage: string): Promise<number | undefined> {
  const [only, ...more] = args;
  if (more.length > 0) return undefined;
  if (only === '--help') return printText(usage);
  if (only !== '--version') return undefined;
  const { version, commit } = await readCheckout(root);
  return printText(`${name} ${version}, commit ${commit ?? 'unknown'}`);
}

/** The known name that is nearest, when it is near enough to be meant. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const far = (one: string) => distance(name, one);
  const [best] = known.toSorted((one, other) => far(one) - far(other));
  return best !== undefined && far(best) <= Math.max(2, Math.floor(best.length / 4)) ? best : undefined;
}

/** How many letters have to be put in, left out, changed, or swapped with the next one. */
function distance(from: string, to: string): number {
  const rows: number[][] = [Array.from({ length: to.length + 1 }, (_, i) => i)];
  for (let i = 1; i <= from.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= to.length; j += 1) {
      const at = (up: number, left: number) => (up === 0 ? row : rows[i - up])?.[j - left] ?? Infinity;
      const changed = from[i - 1] === to[j - 1] ? 0 : 1;
      const swapped = from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1] ? at(2, 2) + 1 : Infinity;
      row.push(Math.min(at(1, 0) + 1, at(0, 1) + 1, at(1, 1) + changed, swapped));
    }
    rows.push(row);
  }
  return rows.at(-1)?.at(-1) ?? Infinity;
}
