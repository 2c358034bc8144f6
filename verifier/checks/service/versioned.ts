// The rung `versioned`: the service says truthfully which build and which process it is, in every place that tells it.
import { describe, timeOf } from '../../client/api.ts';
import type { Answer, Version } from '../../client/api.ts';
import { isCommit } from './build.ts';
import type { Wanted } from './build.ts';
import { broken } from '../climb.ts';
import type { Check } from '../climb.ts';
import { remember } from './alive.ts';
import { metricsTellTheTruth, openapiTellsTheTruth } from './documents.ts';
import type { Looking } from './service.ts';

const CONNECTIONS = 20;
/** A crash loop slower than that is not one that a look of seconds can see. */
const WATCHED_MS = 2_600;
const SERVICE = 'orders';
// What is built on one machine is started on another, and their clocks may differ.
const CLOCKS_MS = 86_400_000;

export function isVersioned(looking: Looking): Check[] {
  return [
    {
      id: 'one-instance',
      claim: looking.fleet
        ? `one build answers on each of ${CONNECTIONS} connections, from no more instances than there are replicas`
        : `version names build and instance, the same on each of ${CONNECTIONS} connections`,
      run: say => isOneInstance(looking, say),
    },
    {
      id: 'commit',
      claim: 'it is built from the sources of this checkout, or from the commit that COMMIT names',
      skip: async () => {
        const wanted = await looking.build().catch(() => undefined);
        return wanted !== undefined && 'unknown' in wanted ? wanted.unknown : undefined;
      },
      run: async () => isBuiltFrom(looking, await looking.build()),
    },
    { id: 'openapi', claim: 'openapi.json is the description of this build', run: () => openapiTellsTheTruth(looking) },
    { id: 'metrics', claim: 'metrics are of this build and count requests', run: () => metricsTellTheTruth(looking) },
  ];
}

/** Climbed last of all: whoever answered first still answers, and did so all the time. */
export function isStillThere(looking: Looking): Check {
  const watchedMs = looking.span(WATCHED_MS);
  return {
    id: 'same-instance',
    claim: looking.fleet
      ? `no more instances answer than there are replicas, for at least ${watchedMs} ms`
      : `the instance that answered first answers last, at least ${watchedMs} ms later`,
    run: async () => {
      await remember(looking);
      const { first } = looking;
      if (first === undefined) throw lacking(looking, await looking.quick.version());
      do {
        const answer = await looking.quick.version();
        if (answer.value === undefined) throw lacking(looking, answer);
        await needKnown(looking, first.version, answer.value);
        await new Promise(resolve => { setTimeout(resolve, 50); });
      } while (performance.now() - first.atMs < watchedMs);
    },
  };
}

async function isOneInstance(looking: Looking, say: (line: string) => void): Promise<void> {
  const { at, quick } = looking;
  const first = await quick.version();
  const { value } = first;
  if (value === undefined) throw lacking(looking, first);
  const finding = judgeVersion(value, timeOf(first));
  if (finding !== null) throw broken(at('versioned'), finding.wanted, finding.saw);
  for (let i = 2; i <= CONNECTIONS; i += 1) {
    const again = await quick.version();
    if (again.value === undefined) throw lacking(looking, again);
    await needKnown(looking, value, again.value);
  }
  await needKnown(looking, looking.first?.version ?? value, value);
  const replicas = await looking.replicas();
  if (replicas !== undefined) say(`${at('versioned')}: ${looking.answered.size} of ${replicas} replicas answered`);
  const { service, version, git_sha, instance_id, started_at } = value;
  say(`${at('versioned')}: ${service} ${version}, commit ${git_sha}, instance ${instance_id} since ${started_at}`);
}

/** Whether these fields can be true at this time of the service's clock. null: they can. */
export function judgeVersion(version: Version, nowMs: number): { wanted: string; saw: string } | null {
  const { service, git_sha, build_time, started_at } = version;
  const [started, built] = [Date.parse(started_at), Date.parse(build_time)];
  if (service !== SERVICE) return { wanted: `service ${SERVICE}`, saw: `service ${service}` };
  if (/^(dev|development|local|none|unknown)$/i.test(git_sha)) return { wanted: 'a commit', saw: `git_sha ${git_sha}` };
  // Date has whole seconds
  if (started > nowMs + 2_000) {
    const clock = `while its own clock says ${new Date(nowMs).toISOString()}`;
    const way = 'if that clock was set back, set it right';
    return { wanted: 'a start in the past', saw: `started_at ${started_at} ${clock}; ${way}` };
  }
  if (built > started + CLOCKS_MS) return { wanted: `a build before ${started_at}`, saw: `build_time ${build_time}` };
  return null;
}

async function isBuiltFrom(looking: Looking, wanted: Wanted): Promise<void> {
  const answer = await looking.quick.version();
  const { value } = answer;
  if (value === undefined) throw lacking(looking, answer);
  if ('unknown' in wanted) return;
  const { commit, version = value.version } = wanted;
  if (isCommit(value.git_sha, commit) && value.version === version) return;
  const saw = `commit ${value.git_sha}, version ${value.version}`;
  throw broken(looking.at('versioned'), `commit ${commit}, version ${version} (make up starts it)`, saw);
}

/** One service is always the same instance. Of a fleet any may answer, each of the same build and never restarted. */
async function needKnown(looking: Looking, first: Version, again: Version): Promise<void> {
  const replicas = await looking.replicas();
  if (replicas === undefined) {
    needEqual(looking, first, again);
    return;
  }
  const { instance_id: id, started_at } = again;
  needEqual(looking, first, { ...again, instance_id: first.instance_id, started_at: first.started_at });
  const { answered, at } = looking;
  const before = answered.get(id);
  answered.set(id, again);
  // one that takes another's place is one too many
  if (answered.size > replicas) throw broken(at('versioned'), `${replicas} replicas`, [...answered.keys()].join(' '));
  if (before !== undefined && before.started_at !== started_at) needEqual(looking, before, again);
}

function needEqual({ at }: Looking, first: Version, again: Version): void {
  const names = Object.keys(first) as (keyof Version)[];
  const changed = names.filter(name => first[name] !== again[name]);
  if (changed.length === 0) return;
  const tell = (version: Version) => changed.map(name => `${name} ${version[name]}`).join(', ');
  throw broken(at('versioned'), `${tell(first)} again`, tell(again));
}

function lacking({ at }: Looking, answer: Answer<Version>): Error {
  return broken(at('versioned'), '200 with every field', `${describe(answer)} after ${answer.sight.ms} ms`);
}
