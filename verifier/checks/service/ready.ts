// The rung `ready`: readiness says the same for a while, and the metrics say it too.
import { describe } from '../../client/api.ts';
import type { Answer, Readiness } from '../../client/api.ts';
import { Late, until } from '../../client/until.ts';
import type { Expect } from '../../options.ts';
import { broken } from '../climb.ts';
import type { Check } from '../climb.ts';
import { readMetrics } from './documents.ts';
import type { Looking } from './service.ts';

const EVERY_MS = 75;
// A machine that is busy may cost one look; who falls again is not steady.
const FALLS = 1;
const METRICS_MS = 2_000;

export function saysReady(looking: Looking, expect: Expect): Check[] {
  const wanted = expect === 'ready' ? 200 : 503;
  const [deadlineMs, spanMs] = [looking.scaled(10_000), looking.span(1_500)];
  const reason = expect === 'ready' ? '' : ' with a known reason';
  return [
    {
      id: 'readiness',
      claim: `readiness is ${wanted}${reason} within ${deadlineMs} ms, and stays so for ${spanMs} ms`,
      run: () => staysSo(looking, { wanted, deadlineMs, spanMs }),
    },
    { id: 'ready-in-metrics', claim: 'metrics agree with readiness', run: () => isInMetrics(looking, expect) },
  ];
}

type Steady = { wanted: 200 | 503; deadlineMs: number; spanMs: number };

async function staysSo({ at, soon }: Looking, { wanted, deadlineMs, spanMs }: Steady): Promise<void> {
  const began = performance.now();
  let [falls, since]: [number, number | undefined] = [0, undefined];
  for (;;) {
    const answer = await soon.ready();
    const now = performance.now();
    const finding = judgeReady(answer, wanted);
    if (finding !== null && since !== undefined) {
      falls += 1;
      const saw = `${finding} after ${Math.round(now - since)} ms of ${wanted}`;
      if (falls > FALLS) throw broken(at('ready'), `${wanted} for ${spanMs} ms`, saw);
    }
    since = finding === null ? since ?? now : undefined;
    if (since !== undefined && now - since >= spanMs) return;
    if (now - began > deadlineMs + spanMs || (since === undefined && now - began > deadlineMs)) {
      throw broken(at('ready'), String(wanted), `${finding ?? describe(answer)} for ${Math.round(now - began)} ms`);
    }
    await new Promise(resolve => { setTimeout(resolve, EVERY_MS); });
  }
}

/** null: as wanted. */
function judgeReady(answer: Answer<Readiness>, wanted: 200 | 503): string | null {
  const { sight, status, value } = answer;
  if (value === undefined || status !== wanted) return tellReady(answer);
  if (wanted === 503 && value.status !== 'unready') return tellReady(answer);
  if (status === 200 || sight.state !== 'answered') return null;
  const later = sight.headers.get('retry-after');
  return /^[1-9][0-9]*$/.test(later ?? '') ? null : `503 with Retry-After ${later ?? 'missing'}`;
}

function tellReady(answer: Answer<Readiness>): string {
  const { value } = answer;
  if (value === undefined || answer.status === 200) return describe(answer);
  return `${describe(answer)} ${value.status} (${value.reason ?? 'no reason'})`;
}

async function isInMetrics(looking: Looking, expect: Expect): Promise<void> {
  const wanted = expect === 'ready' ? 1 : 0;
  const names = ['service_ready', ...expect === 'ready' ? ['dependency_up dependency="database"'] : []];
  const look = async () => {
    const metrics = await readMetrics(looking, 'ready');
    return names.map(name => `${name} ${metrics.get(name) ?? 'missing'}`).join(', ');
  };
  const wish = names.map(name => `${name} ${wanted}`).join(', ');
  try {
    await until(look, saw => saw === wish, looking.scaled(METRICS_MS));
  } catch (error) {
    throw error instanceof Late ? broken(looking.at('ready'), `metrics with ${wish}`, String(error.last)) : error;
  }
}
