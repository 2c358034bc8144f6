// report.html: what one run found, for people. Verdict and what to do first, then every thing that was looked at.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ladder as everyRung, rungs } from '../checks/rungs.ts';
import { endingOf } from '../evidence/result.ts';
import type { Ending, Kept, Result } from '../evidence/result.ts';
import { brokenOf, checksOf } from '../results/point.ts';
import { stateOf } from '../results/verdict.ts';
import type { Watched } from '../results/watched.ts';
import { html } from './html.ts';
import type { Content, Html } from './html.ts';
import { page, stateMark, table } from './page.ts';
import type { Section, State } from './page.ts';
import { runbookFor } from './runbook.ts';
import { timelineChart } from './timeline-chart.ts';

export type Reported = { result: Result; watched: readonly Watched[]; root: string };

/** How a run's end is shown. */
export const endings: Record<Ending, State> = {
  held: 'good', broken: 'bad', 'could not run': 'bad', interrupted: 'weak',
};

/** The whole page; `root` is the checkout whose RUNBOOK.md is quoted. */
export async function runPage({ result, watched, root }: Reported): Promise<string> {
  const runbook = await readFile(join(root, 'RUNBOOK.md'), 'utf8').catch(() => '');
  const { program, started, platform } = result;
  const title = `${program} ${endingOf(result)}${platform === null ? '' : ` on ${platform}`}`;
  const checks = checksOf(result.points) as Kept[];
  const broken = brokenOf(result.points);
  const advice = runbookFor(runbook, {
    rungs: [...new Set(broken.filter(({ id }) => id.drill === undefined).map(({ id }) => id.rung ?? ''))],
    drills: [...new Set(broken.map(({ id }) => id.drill ?? ''))],
    words: broken.flatMap(({ error }) => error?.match(/[a-z_]+/g) ?? []),
  });
  const isSkipped = (drill: string) => result.points.some(one => (
    isWhole(one) && one.id.drill === drill && one.skip !== undefined
  ));
  const sections: (Section | undefined)[] = [
    section('broken', 'What is broken', broken.map(brokenCheck)),
    section('todo', 'What the runbook says', advice.map(one => html`<div class="runbook">${one}</div>\n`)),
    section('ladder', program === 'verify' ? 'The ladder, top rung first' : 'What was looked at', [ladder(result)]),
    section('matrix', 'What verify said while a fault was in place', matrixOf(result)),
    section('times', 'Times against budgets', timesOf(result)),
    section('timeline', 'Timeline', watched.filter(({ drill }) => !isSkipped(drill)).map(timelineChart)),
    section('checks', 'Every check', checks.length === 0 ? [] : [checkTable(checks)]),
    { id: 'run', title: 'The run', body: runData(result) },
  ];
  return page({
    title: `${title}, ${started}`, sections: sections.filter(one => one !== undefined),
    lead: html`<h1>${title}</h1>\n<p class="soft"><time datetime="${started}">${tellTime(started)}</time>, ${
      tellSpan(result.ms)}${result.nodes.length > 0 ? `, ${result.nodes.join(' ')}` : ''}</p>\n${verdictOf(result)}`,
  });
}

/** `2026-11-25 17:18:10 UTC`. */
export function tellTime(iso: string): string {
  return `${iso.slice(0, 19).replace('T', ' ')} UTC`;
}

function section(id: string, title: string, body: readonly Content[]): Section | undefined {
  return body.length === 0 ? undefined : { id, title, body };
}

function verdictOf(result: Result): Html {
  const state = endings[endingOf(result)];
  const why = result.cannotRun ?? result.fault;
  return html`<div class="verdict ${state}" role="status">
<p>${stateMark(state, endingOf(result))}${why === null ? '' : html`: ${why}`}</p>
<p class="said">${result.verdict.replace(/^verdict: /, '')}</p>
</div>`;
}

function brokenCheck({ claim, error, said }: Kept | ReturnType<typeof brokenOf>[number]): Html {
  return html`<h3>${stateMark('bad', 'broken')} <span>${claim}</span></h3>\n<pre>${error ?? 'no reason'}</pre>\n${
    said.length === 0 ? '' : html`<p class="said">${said.join(' · ')}</p>\n`}`;
}

const states: Record<string, State> = { yes: 'good', no: 'bad', '–': 'none', skipped: 'none' };
const words: Record<string, string> = { yes: 'held', no: 'broken', '–': 'not looked at', skipped: 'skipped' };

/** The rungs of the contract, top first; else the criteria, the drills, or the steps of a single drill, in order. */
function ladder({ program, points }: Result): Html {
  const single = new Set(points.map(({ id }) => id.drill)).size === 1;
  const groupOf = ({ id }: Kept) => (single ? undefined : id.drill) ?? id.rung ?? '';
  const names: readonly string[] = program === 'verify' ? rungsOf(points).toReversed()
    : [...new Set(points.map(groupOf).filter(Boolean))];
  return html`<ol class="ladder"${program === 'verify' ? html` reversed` : ''}>
${names.map(name => {
    const own = points.filter(point => groupOf(point) === name);
    // of a drill that is not possible here some checks were made all the same
    const notRun = own.find(one => isWhole(one))?.skip;
    const state = notRun === undefined ? stateOf(own) : 'skipped';
    const looked = checksOf(own).filter(({ skip }) => skip === undefined);
    const reason = notRun ?? [...new Set(own.map(({ skip }) => skip ?? '').filter(Boolean))].join('; ');
    const held = looked.filter(one => one.held).length;
    const checks = looked.length === 1 ? 'check' : 'checks';
    const more = looked.length > 0 && state !== 'skipped' ? `${held} of ${looked.length} ${checks} held` : reason;
    return html`<li class="${states[state] ?? 'none'}"><span class="name">${name}</span> ${
      stateMark(states[state] ?? 'none', words[state] ?? state)}${more === '' ? '' : html`
<span class="more">${more}</span>`}</li>
`;
  })}</ol>
`;
}

/** `online` only where there were machines to look at. */
function rungsOf(points: Result['points']): string[] {
  return everyRung.filter(rung => rung !== 'online' || points.some(({ id }) => id.rung === rung));
}

function isWhole({ id }: Kept): boolean {
  return id.drill !== undefined && id.check === undefined;
}

/** A row a fault, a column a rung. */
function matrixOf({ drills }: Result): Html[] {
  const cell = (state: string) => stateMark(states[state] ?? 'none', state === '–' ? 'blocked' : state);
  const rows = drills.flatMap(({ drill, ladder }) => (
    ladder === null ? [] : [[drill, ...rungs.map(rung => cell(ladder[rung]))]]
  ));
  const caption = 'Bottom rung first, blocked by the one that is broken';
  return rows.length === 0 ? [] : [table(caption, ['Fault', ...rungs], rows)];
}

function timesOf({ drills }: Result): Html[] {
  const rows = drills.flatMap(({ drill, node, times }) => times.map(({ what, ms, withinMs }) => {
    const late = ms === null || ms > withinMs;
    return [
      `${drill} on ${node}: ${what}`, number(ms), number(withinMs),
      html`${stateMark(late ? 'bad' : 'good', late ? 'over' : 'within')}${budgetBar(ms, withinMs)}`,
    ];
  }));
  return rows.length === 0 ? [] : [table('Measured, and what was allowed (SCALE included)',
    ['What', 'Measured', 'Allowed', 'Of the budget'], rows)];
}

/** How much of a budget was used; the word beside it says the rest. */
function budgetBar(ms: number | null, withinMs: number): Html {
  const percent = ms === null ? Infinity : Math.round(100 * ms / withinMs);
  const label = ms === null ? 'never' : `${percent} % of the budget`;
  return html`<svg role="img" aria-label="${label}" height="10">
<rect class="track" x="0" y="1" width="100%" height="8"/>
<rect class="${percent > 100 ? 'bad' : 'good'}" x="0" y="1" width="${Math.min(100, percent)}%" height="8"/></svg>`;
}

/** Errors first, then what was skipped, then what held; each in the order of the run. */
function checkTable(checks: readonly Kept[]): Html {
  const rank = ({ held, skip }: Kept) => skip !== undefined ? 1 : held ? 2 : 0;
  const rows = checks.toSorted((one, other) => rank(one) - rank(other)).map(point => {
    const { id, claim, held, skip, error, said, ms } = point;
    const [state, word] = skip !== undefined ? ['none', 'skipped'] as const : held ? ['good', 'held'] as const
      : ['bad', 'broken'] as const;
    const name = [id.node, id.drill, id.rung, id.check].filter(Boolean).join(' / ');
    const more = [skip, ...said].filter(Boolean).join(' · ');
    return [
      stateMark(state, word),
      [
        html`${claim}<br><code class="soft">${name}</code>`, more === '' ? '' : html`<div class="said">${more}</div>`,
        error === undefined || held ? '' : html`<div class="error">${error}</div>`,
      ],
      html`<span class="soft number">${ms} ms</span>`,
    ];
  });
  return table('Every check, broken ones first', ['State', 'Check', 'Took'], rows);
}

function runData(result: Result): Html {
  const { id, within, platform, nodes, commit, versions, settings, exit, missing, started, ms } = result;
  const { scale, strict, expect, kills, targets } = settings;
  const data: [string, Content][] = [
    ['Evidence', html`<code>${id}</code>`], ['Started', tellTime(started)], ['Took', tellSpan(ms)], ['Exit code', exit],
    ['Platform', platform ?? 'unknown'], ['Nodes', nodes.join(', ') || 'none of ours'], ['Commit', commit ?? 'unknown'],
    ['Verifier', versions.verifier], ['Node', versions.node],
    ['Settings', `SCALE=${scale} STRICT=${strict ? 1 : 0} EXPECT=${expect}${kills === null ? '' : ` KILLS=${kills}`}${
      targets.length > 0 ? ` TARGETS=${targets.join(',')}` : ''}`],
    ...within === null ? [] : [['Part of', html`<code>${within}</code>`] as [string, Content]],
    ...Object.entries(missing).map(([part, why]): [string, Content] => [`No ${part}`, why]),
  ];
  return html`<dl>${data.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>\n`)}</dl>
<p class="soft">Beside this page: <code>result.json</code>, <code>junit.xml</code>, <code>run.tap</code>, and where
there were any <code>timeline.ndjson</code>, <code>facts-before.json</code>, <code>facts-after.json</code> and
<code>logs/</code>.</p>
`;
}

function number(ms: number | null): Html {
  return html`<span class="number">${ms === null ? 'never' : `${ms} ms`}</span>`;
}

/** `312 ms`, `3.9 s`. */
export function tellSpan(ms: number): string {
  return ms < 1_000 ? `${ms} ms` : `${(ms / 1_000).toFixed(1)} s`;
}
