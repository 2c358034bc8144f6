// Names the page of the newest run, or an index over all of them; opens it where there is a desktop.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { messageOf } from '#infra/platform';
import { oneOf, openReader, readSettings } from '#infra/settings';
import type { Env, Settings } from '#infra/settings';
import { readRuns, writeBeside } from '../evidence/folder.ts';
import type { Run } from '../evidence/folder.ts';
import { indexPage } from '../report/index-page.ts';
import { answerHelp } from './help.ts';
import { root } from './program.ts';

export type ReportProgram = { args: readonly string[]; env: Env; isTerminal: boolean };

const usage = `usage: node verifier/dist/report.js
Names the page of the newest run of verify, drill, prove or acceptance, and opens it on a desktop.
  ALL=1          an index over all runs that are kept, with the trend of each drill's times
  ORDERS_STATE=  another state folder
Exit 0 named, 1 there is none, 2 not understood.`;

/** A path on stdout. Exit 0 named, 1 there is nothing to name, 2 not understood. */
export async function report({ args, env, isTerminal }: ReportProgram): Promise<number> {
  const answered = await answerHelp('report', args, usage);
  if (answered !== undefined) return answered;
  const { read, complaints } = openReader(env);
  const all = read('ALL', oneOf('0', '1'), '0') === '1';
  const settings = readSettings(env, root);
  if ('complaints' in settings) complaints.push(...settings.complaints);
  if (args.length > 0) complaints.push('no arguments are taken, but ALL=1 and ORDERS_STATE are');
  if ('complaints' in settings || complaints.length > 0) return tell(complaints.join('; '), 2);
  try {
    const path = await pageOf(settings.settings, all);
    if (path === undefined) return tell('there is no evidence yet: make verify or make drill leaves some', 1);
    process.stdout.write(`${path}\n`);
    const opener = isTerminal ? openerOf(env) : undefined;
    if (opener !== undefined) open(opener, path, settings.settings.env, env);
    return 0;
  } catch (error) {
    return tell(messageOf(error), 1);
  }
}

async function pageOf({ state }: Settings, all: boolean): Promise<string | undefined> {
  const evidence = join(state, 'evidence');
  const runs = await readRuns(evidence);
  // what another run has started is a part of that run
  const newest = runs.findLast(({ result }) => result.within === null) ?? runs.at(-1);
  if (newest === undefined) return undefined;
  return all ? writeBeside(evidence, 'index.html', indexPage(runs.map(({ result }: Run) => result)))
    : join(newest.folder, 'report.html');
}

/** What opens a page on this desktop; undefined where there is none. */
function openerOf(env: Env): string | undefined {
  if (process.platform === 'darwin') return 'open';
  return env['DISPLAY'] || env['WAYLAND_DISPLAY'] ? 'xdg-open' : undefined;
}

/** Whether it opens is no matter of ours: the path has been named. */
function open(opener: string, path: string, env: Env, { DISPLAY, WAYLAND_DISPLAY, XAUTHORITY }: Env): void {
  const child = spawn(opener, [path], {
    env: { ...env, DISPLAY, WAYLAND_DISPLAY, XAUTHORITY }, stdio: 'ignore', detached: true,
  });
  child.on('error', () => undefined);
  child.unref();
}

function tell(why: string, exit: number): number {
  process.stderr.write(`report: ${why}\n`);
  return exit;
}
