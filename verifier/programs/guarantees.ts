// Prints every guarantee with what proves it, and when, where and with what verdict each proof was last seen.
import { join } from 'node:path';
import { messageOf } from '#infra/platform';
import { oneOf, openReader, readSettings } from '#infra/settings';
import type { Env } from '#infra/settings';
import { readRuns } from '../evidence/folder.ts';
import type { Result } from '../evidence/result.ts';
import { guarantees as all } from '../guarantees/map.ts';
import type { Guarantee } from '../guarantees/map.ts';
import { lastSeen, nameOf, unprovenIn } from '../guarantees/proofs.ts';
import type { LastSeen } from '../guarantees/proofs.ts';
import { answerHelp } from './help.ts';
import { root } from './program.ts';

const usage = `usage: node verifier/dist/guarantees.js
Prints every guarantee of the specification and README with its proofs: when, where and how each was last seen.
  CHECK=1        exit 1 unless every proof ran exactly once, and held, in the last acceptance; a drill that is not
                 on its list, when it was last run for that commit on that platform
  ORDERS_STATE=  another state folder
Exit 0 printed, 1 unproven, 2 not understood.`;

/**
 * Lines for people on stdout. Exit 0 printed; with CHECK=1 1 when a proof did not run exactly once, and hold, in the
 * last acceptance; 2 not understood.
 */
export async function guarantees({ args, env }: { args: readonly string[]; env: Env }): Promise<number> {
  process.stdout.on('error', () => undefined);
  const answered = await answerHelp('guarantees', args, usage);
  if (answered !== undefined) return answered;
  const { read, complaints } = openReader(env);
  const isCheck = read('CHECK', oneOf('0', '1'), '0') === '1';
  const settings = readSettings(env, root);
  if ('complaints' in settings) complaints.push(...settings.complaints);
  if (args.length > 0) complaints.push('no arguments are taken, but CHECK=1 and ORDERS_STATE are');
  if ('complaints' in settings || complaints.length > 0) return tell(complaints.join('; '), 2);
  try {
    const runs = (await readRuns(join(settings.settings.state, 'evidence'))).map(({ result }) => result);
    process.stdout.write(`${tellAll(all, runs).join('\n')}\n`);
    const unproven = isCheck ? unprovenIn(all, runs) : [];
    unproven.forEach(line => tell(line, 1));
    return unproven.length === 0 ? 0 : 1;
  } catch (error) {
    return tell(messageOf(error), 1);
  }
}

/** A heading for each source, a line for each guarantee, one for each of its proofs. */
function tellAll(rows: readonly Guarantee[], runs: readonly Result[]): string[] {
  return rows.flatMap(({ from, says, proofs }, i) => {
    const seen = proofs.map(proof => lastSeen(proof, runs));
    const rehearsed = seen.some(({ last, real }) => last?.platform === 'process' && real === undefined);
    return [
      ...rows[i - 1]?.from === from ? [] : [...i === 0 ? [] : [''], from],
      `  ${says}${rehearsed ? ' (seen in rehearsal only)' : ''}`,
      ...seen.map(one => `    ${tellSeen(one).padEnd(44)} ${nameOf(one.proof)}`),
    ];
  });
}

function tellSeen({ proof, last, real }: LastSeen): string {
  if ('test' in proof) return 'by every make test';
  if (last === undefined) return 'not seen yet';
  const { started, platform, held } = last;
  const rehearsal = real === undefined && platform === 'process' ? ', rehearsal' : '';
  return `${held ? 'held  ' : 'broken'} ${started.slice(0, 16).replace('T', ' ')} ${platform}${rehearsal}`;
}

function tell(why: string, exit: number): number {
  process.stderr.write(`guarantees: ${why}\n`);
  return exit;
}
