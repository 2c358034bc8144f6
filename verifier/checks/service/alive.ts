// The rung `alive`: HTTP/1.1 is spoken well to every client and on every connection, and no answer is another's.
import { randomUUID } from 'node:crypto';
import { describe, timeOf, troubleOf } from '../../client/api.ts';
import type { Answer } from '../../client/api.ts';
import { announcesEnd, askInTurn, tell, userAgents } from '../../client/http.ts';
import type { Ask } from '../../client/http.ts';
import { askOrdinarily } from '../../client/ordinary.ts';
import { broken } from '../climb.ts';
import type { Check } from '../climb.ts';
import type { Looking } from './service.ts';

const CONNECTIONS = 20;
const QUICK_MS = 2_000;

export function isAlive(looking: Looking): Check[] {
  const ms = looking.scaled(QUICK_MS);
  const check = (id: string, claim: string, run: (looking: Looking, say: Say) => Promise<void>): Check => (
    { id, claim, run: say => run(looking, say) }
  );
  const often = `on each of ${CONNECTIONS} connections`;
  return [
    check('health-200', `health is 200 within ${ms} ms ${often}, whatever the database does`, isHealthy),
    check('head-like-get', 'HEAD has the head of GET and no body', hasHeads),
    check('any-client', 'every client is served alike, whatever it calls itself', servesEveryClient),
    check('keep-alive', 'a connection serves several requests, unless an answer says that it closes', keepsAlive),
    check('own-answers', 'each answer is its own: its time moves on, its request id is new or the caller\'s', isFresh),
  ];
}

type Say = (line: string) => void;

async function isHealthy(looking: Looking): Promise<void> {
  for (let i = 1; i <= CONNECTIONS; i += 1) {
    const answer = await looking.quick.health();
    if (answer.value === undefined) throw notAlive(looking, answer, `on connection ${i}`);
    // who answers now has to answer at the end
    if (i === 1) await remember(looking);
  }
}

/** Whatever is wrong with /version is found where it is looked at. */
export async function remember(looking: Looking): Promise<void> {
  const version = (await looking.quick.version()).value;
  if (version !== undefined) looking.first ??= { version, atMs: performance.now() };
}

async function hasHeads({ at, quick }: Looking): Promise<void> {
  const cases = [['/health', 'content-type', 'content-length'], ['/version', 'content-type']] as const;
  for (const [path, ...names] of cases) {
    const [get, head] = [await quick.raw({ path }), await quick.raw({ method: 'HEAD', path })];
    const finding = likeGet(get, head, names);
    if (finding !== null) throw broken(at('alive'), `HEAD ${path} ${finding.wanted}`, finding.saw);
  }
}

/** Whether HEAD has the status of GET, and these headers as well. */
export function likeGet(
  get: Answer<unknown>, head: Answer<unknown>, names: readonly string[],
): { wanted: string; saw: string } | null {
  const tellHead = (answer: Answer<unknown>) =>
    [describe(answer), ...names.map(name => headerOf(answer, name))].join(', ');
  const [wanted, saw] = [tellHead(get), tellHead(head)];
  const unflawed = get.trouble === undefined && head.trouble === undefined && head.sight.state === 'answered';
  return unflawed && wanted === saw ? null : { wanted: `as GET: ${wanted}`, saw };
}

export function headerOf({ sight }: Answer<unknown>, name: string): string {
  return `${name} ${sight.state === 'answered' ? sight.headers.get(name) ?? 'missing' : 'missing'}`;
}

async function servesEveryClient(looking: Looking, say: Say): Promise<void> {
  const { at, quick, scaled, target } = looking;
  for (const agent of userAgents) {
    const answer = await quick.raw({ path: '/health', headers: { 'user-agent': agent } });
    if (answer.status !== 200 || answer.trouble) throw notAlive(looking, answer, `for ${agent || 'no user agent'}`);
  }
  const opinion = await askOrdinarily(target, '/health', scaled(QUICK_MS));
  if ('forbidden' in opinion) return say(`${at('alive')}: fetch never asks at port ${target.port}; the others did`);
  if ('trouble' in opinion) throw broken(at('alive'), '200 for fetch', opinion.trouble);
  if (opinion.status !== 200) throw broken(at('alive'), '200 for fetch', String(opinion.status));
}

async function keepsAlive({ at, scaled, seen, target }: Looking): Promise<void> {
  const paths = ['/health', '/version', '/health'] as const;
  const deadlineMs = scaled(QUICK_MS);
  const [first, ...others] = paths.map((path): Ask => ({ path, deadlineMs }));
  if (first === undefined) return;
  const sights = await askInTurn(target, [first, ...others], paths.length * deadlineMs);
  const words = sights.map(sight => {
    const trouble = sight.state === 'answered' ? sight.flaw ?? troubleOf(sight, seen) : undefined;
    return `${tell(sight)}${trouble === undefined ? '' : ` but ${trouble}`}`;
  });
  const last = sights.at(-1);
  const ended = last?.state === 'answered' && announcesEnd(last);
  if (words.every(word => word === '200') && (sights.length === paths.length || ended)) return;
  throw broken(at('alive'), `200 for each of ${paths.join(' ')} on one connection`, words.join(', '));
}

async function isFresh(looking: Looking): Promise<void> {
  const { at, quick, span } = looking;
  const given = randomUUID();
  const own = await quick.raw({ path: '/health', headers: { 'x-request-id': given } });
  if (own.status !== 200 || own.trouble) throw notAlive(looking, own, 'with a request id');
  const saw = headerOf(own, 'x-request-id');
  if (saw !== `x-request-id ${given}`) throw broken(at('alive'), `the caller's request id ${given}`, saw);
  const began = performance.now();
  let [last, moved]: [Answer<unknown>, boolean] = [own, false];
  // a clock of whole seconds has moved on by then
  const spanMs = span(1_100);
  while (!moved && performance.now() - began < spanMs) {
    last = await quick.health();
    if (last.value === undefined) throw notAlive(looking, last, 'again');
    moved = timeOf(last) > timeOf(own);
    await new Promise(resolve => { setTimeout(resolve, 50); });
  }
  if (moved || spanMs < 1_100) return;
  throw broken(at('alive'), `a Date later than ${new Date(timeOf(own)).toUTCString()} after ${spanMs} ms`,
    headerOf(last, 'date'));
}

function notAlive({ at }: Looking, answer: Answer<unknown>, where: string): Error {
  const saw = `${describe(answer)} after ${answer.sight.ms} ms ${where}`;
  return broken(at('alive'), '200 {"status":"alive"}', saw);
}
