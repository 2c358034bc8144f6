// The index over all runs that are kept, newest first, with the trend of each drill's recovery.
import { endingOf } from '../evidence/result.ts';
import type { Result } from '../evidence/result.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import { page, stateMark, table } from './page.ts';
import { endings, tellSpan, tellTime } from './run-page.ts';
import { trendChart } from './trend-chart.ts';
import type { Trend } from './trend-chart.ts';

/** The whole page, to lie beside the folders of the runs; `results` are oldest first. */
export function indexPage(results: readonly Result[]): string {
  const newest = results.toReversed();
  const trends = trendsOf(results);
  const { length } = results;
  return page({
    title: `Evidence of ${length} ${length === 1 ? 'run' : 'runs'}`,
    lead: html`<h1>Evidence of ${length} ${length === 1 ? 'run' : 'runs'}</h1>\n<p class="soft">${
      tellTime(results[0]?.started ?? '')} to ${tellTime(newest[0]?.started ?? '')}</p>`,
    sections: [
      { id: 'runs', title: 'Runs, newest first', body: table('Every run that is kept',
        ['Started', 'Program', 'Ended', 'Platform', 'Took', 'Verdict'], newest.map(row)) },
      { id: 'trend', title: 'How long recovery takes', body: trends.length === 0
        ? html`<p>No drill is among these runs: <code>make drill DRILL=db-down</code>.</p>` : trends.map(trendChart) },
    ],
  });
}

function row(result: Result): (Html | string)[] {
  const { id, program, started, platform, ms, verdict, fault, cannotRun } = result;
  const ending = endingOf(result);
  return [
    html`<a class="number" href="${id}/report.html">${tellTime(started)}</a>`, program,
    stateMark(endings[ending], ending), platform ?? 'unknown', html`<span class="number">${tellSpan(ms)}</span>`,
    cannotRun ?? fault ?? verdict.replace(/^verdict: /, ''),
  ];
}

/** One for each time that a drill is held to, on each platform. */
function trendsOf(results: readonly Result[]): Trend[] {
  const trends = new Map<string, Trend>();
  for (const { started, platform, drills } of results) {
    for (const { drill, times } of drills) {
      for (const { what, ms, withinMs } of times) {
        const name = `${drill} on ${platform ?? 'unknown'}: ${what}`;
        const trend = trends.get(name) ?? { name, seen: [] };
        trends.set(name, trend);
        trend.seen.push({ started, ms, withinMs });
      }
    }
  }
  return [...trends.values()];
}
