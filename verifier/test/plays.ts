// What platforms do, for better or worse, in drills against a fake system: upgrades, cuts, drains, refusals.
import { newBuild } from '#infra/platform';
import type { Spoilt } from '#infra/platform';
import { until } from '../client/until.ts';
import { factsOf } from './fake-system.ts';
import type { Play } from './fake-system.ts';
import { commit, withFields } from './honest.ts';
import type { Lie } from './honest.ts';

/** A platform that brings builds up: what the new one calls itself, what is said of the bad one. */
export function upgrading(
  { sha = newBuild.GIT_SHA, stderr = `503 database_missing; rolled back to ${commit}`, loses = false } = {},
): { lie: Lie; play: Play } {
  let now = commit;
  return {
    lie: (reply, { path }) => path === '/version' ? withFields(reply, { git_sha: now }) : reply,
    play: (verb, [fault], { honest: { orders } }) => {
      if (verb === 'inject' && fault === 'bad-upgrade') return { done: [{ exit: 1, ms: 1, stderr }] };
      if (verb === 'inject') now = sha;
      if (verb === 'recover') now = commit;
      const lost = [...orders.keys()].slice(loses && verb === 'recover' ? -20 : orders.size);
      lost.forEach(id => orders.delete(id));
      return undefined;
    },
  };
}

/** How many of the cuts the database, and its machine, have noticed. */
export function cutting({ platform = 'process', starts = Infinity, boots = Infinity } = {}): Play {
  let cuts = 0;
  return (verb, _args, system) => {
    if (verb === 'recover') cuts += 1;
    if (verb !== 'facts') return undefined;
    const facts = factsOf(system);
    const db = { ...facts['db'] as object, started_at: `start ${Math.min(cuts, starts)}` };
    return { done: { ...facts, platform, boot_id: `boot ${Math.min(cuts, boots)}`, db } };
  };
}

/** Drains in good order until that was heard forty times, and keeps its connections. */
export function draining(): { lie: Lie; play: Play } {
  let [drains, heard] = [false, 0];
  return {
    lie: (reply, { path }) => {
      if (!drains || path !== '/ready') return reply;
      heard += 1;
      const refused = { ...reply, status: 503, headers: { ...reply.headers, 'retry-after': '1' } };
      return withFields(refused, { status: 'draining' });
    },
    play: async (verb, [fault]) => {
      if (verb !== 'inject' || fault !== 'drain') return undefined;
      drains = true;
      await until(async () => heard, many => many >= 40, 20_000);
      drains = false;
      return { done: [{ exit: 0, ms: 500, stderr: '' }] };
    },
  };
}

export function complaint({ variable, how, value }: Spoilt): string {
  if (how === 'missing') return `config: ${variable} is required`;
  if (how === 'malformed') return `config: ${variable} must be something else, not "${value}"`;
  return `config: ${variable.replace(/(.)(.)$/, '$2$1')} is not a variable of this service, is ${variable} meant?`;
}

/** A platform that starts a second service with a setting spoilt; it says what `says` gives, or starts. */
export function refuses(says: (spoilt: Spoilt) => string): Play {
  return (verb, [fault, spoilt]) => {
    if (verb !== 'inject' || fault !== 'config-refused') return undefined;
    const each = (spoilt as Spoilt[]).map(says);
    return { done: each.map(stderr => ({ exit: stderr === '' ? null : 78, ms: 90, stderr })) };
  };
}
