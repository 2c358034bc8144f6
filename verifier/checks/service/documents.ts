// What the service says of itself for machines: /openapi.json and /metrics, held against what it answers.
import { describe } from '../../client/api.ts';
import type { Answer, Version } from '../../client/api.ts';
import { broken } from '../climb.ts';
import type { RungName } from '../rungs.ts';
import { headerOf } from './alive.ts';
import type { Looking } from './service.ts';

const paths: Record<string, string> = {
  '/health': 'get', '/ready': 'get', '/version': 'get', '/order': 'post', '/orders/{id}': 'get', '/openapi.json': 'get',
  '/metrics': 'get',
};

export async function openapiTellsTheTruth({ at, quick }: Looking): Promise<void> {
  const answer = await get(quick.raw, '/openapi.json', 'application/json', at('versioned'));
  const version = (await quick.version()).value?.version;
  const document = fieldsOf(answer.sight.state === 'answered' ? answer.sight.json : undefined);
  const said = fieldsOf(document['paths']);
  const missing = Object.entries(paths).filter(([path, method]) => fieldsOf(said[path])[method] === undefined);
  const wanted = (wish: string, saw: unknown) => broken(at('versioned'), `openapi.json ${wish}`, JSON.stringify(saw));
  if (!/^3\.1\./.test(String(document['openapi']))) throw wanted('of version 3.1', document['openapi']);
  if (missing.length > 0) throw wanted(`with ${missing.map(([path]) => path).join(' ')}`, Object.keys(said));
  const told = fieldsOf(document['info'])['version'];
  if (told !== version) throw wanted(`of ${version}`, told);
}

export type Metrics = ReadonlyMap<string, number>;

/** It names this build, started when /version says, and counts: what was asked in between is there. */
export async function metricsTellTheTruth(looking: Looking): Promise<void> {
  const { at, quick } = looking;
  const asks = 3;
  const wanted = (wish: string, saw: string) => broken(at('versioned'), `metrics with ${wish}`, saw);
  const replicas = await looking.replicas();
  if (replicas !== undefined && replicas > 1) return countTogether(looking, replicas);
  const before = await readMetrics(looking, 'versioned');
  for (let i = 0; i < asks; i += 1) await quick.health();
  const after = await readMetrics(looking, 'versioned');
  const version = (await quick.version()).value;
  if (version === undefined) throw broken(at('versioned'), 'a version', 'none');
  needBuild(version, after, wanted);
  const [was, is] = [before.get(series) ?? 0, after.get(series) ?? 0];
  if (is < was + asks) throw wanted(`${series} ${asks} above ${was}`, String(is));
  needStart(version, after.get('process_start_time_seconds'), wanted);
}

const series = 'http_requests_total method="GET" route="/health" status="200"';
const TURNS = 20;

/** Each replica is of this build and counts what it has answered: together they count all that was asked. */
async function countTogether(looking: Looking, replicas: number): Promise<void> {
  const { at, quick, answered } = looking;
  const wanted = (wish: string, saw: string) => broken(at('versioned'), `metrics with ${wish}`, saw);
  const version = (await quick.version()).value;
  if (version === undefined) throw broken(at('versioned'), 'a version', 'none');
  const total = async () => {
    const counts = new Map<number, number>();
    for (let i = 0; i < TURNS * replicas && counts.size < replicas; i += 1) {
      const metrics = await readMetrics(looking, 'versioned');
      needBuild(version, metrics, wanted);
      const start = metrics.get('process_start_time_seconds') ?? NaN;
      const known = [version, ...answered.values()];
      needStart(known.find(one => isStart(one, start)) ?? version, start, wanted);
      counts.set(start, metrics.get(series) ?? 0);
    }
    if (counts.size === replicas) return [...counts.values()].reduce((sum, count) => sum + count, 0);
    throw broken(at('versioned'), `metrics of ${replicas} replicas`, `those of ${counts.size}`);
  };
  const was = await total();
  for (let i = 0; i < TURNS; i += 1) await quick.health();
  const is = await total();
  if (is < was + TURNS) throw wanted(`${series} ${TURNS} above ${was}`, String(is));
}

// A process lives some time before it listens, and longer on a machine that is busy.
const STARTING_MS = 60_000;

function needStart(version: Version, seconds = NaN, wanted: Wanting): void {
  if (isStart(version, seconds)) return;
  throw wanted(`process_start_time_seconds of about ${version.started_at}`, String(seconds));
}

function isStart(version: Version, seconds: number): boolean {
  return Math.abs(Date.parse(version.started_at) - seconds * 1_000) <= STARTING_MS;
}

type Wanting = (wish: string, saw: string) => Error;

function needBuild(version: Version, metrics: Metrics, wanted: Wanting): void {
  const [build] = [...metrics.keys()].filter(name => name.startsWith('build_info '));
  for (const label of [`version="${version.version}"`, `git_sha="${version.git_sha}"`, `node="${version.node}"`]) {
    if (!build?.includes(label)) throw wanted(`build_info ${label}`, build ?? 'none');
  }
}

/** Every sample, by its name and sorted labels with spaces between. Broken when a line is none of text format 0.0.4. */
export async function readMetrics({ at, quick }: Looking, rung: RungName): Promise<Metrics> {
  const answer = await get(quick.raw, '/metrics', 'text/plain', at(rung));
  const parsed = parseMetrics(answer.sight.state === 'answered' ? answer.sight.text : '');
  if (typeof parsed === 'string') throw broken(at(rung), 'metrics in the text format 0.0.4', parsed);
  return parsed;
}

/** The samples, or the line that is none. */
export function parseMetrics(text: string): Metrics | string {
  const samples = new Map<string, number>();
  const types = new Set<string>();
  if (!text.endsWith('\n')) return 'no end of the last line';
  for (const line of text.slice(0, -1).split('\n')) {
    const [, named] = /^# TYPE ([a-z_]+) (?:counter|gauge|histogram)$/.exec(line) ?? [];
    if (named !== undefined) types.add(named);
    if (line.startsWith('# ')) continue;
    const [, series = '', name = '', value = ''] = sample.exec(line) ?? [];
    const family = types.has(name) ? name : name.replace(/_(bucket|sum|count)$/, '');
    // in whatever order its labels stand
    const key = [name, ...(series.match(new RegExp(label, 'g')) ?? []).sort()].join(' ');
    if (series === '' || !types.has(family) || samples.has(key)) return JSON.stringify(line.slice(0, 120));
    samples.set(key, value === '+Inf' ? Infinity : Number(value));
  }
  return samples;
}

const label = String.raw`[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*"`;
const number = String.raw`-?[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?|\+Inf`;
const sample = new RegExp(String.raw`^(([a-z_]+)(?:\{${label}(?:,${label})*\})?) (${number})$`);

type Get = Looking['quick']['raw'];

async function get(raw: Get, path: string, type: string, at: string): Promise<Answer<never>> {
  const answer = await raw({ path });
  const [saw] = headerOf(answer, 'content-type').replace('content-type ', '').split(';');
  if (answer.status === 200 && answer.trouble === undefined && saw === type) return answer;
  throw broken(at, `200 with ${type} for ${path}`, `${describe(answer)} with ${saw}`);
}

function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}
