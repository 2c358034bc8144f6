// Which route a request means: 404, 405 with Allow, OPTIONS, HEAD where GET is, 415. Knows no route itself.
import { answerTrouble, Problem } from './problem.ts';
import type { Handler, Reply, Request } from './reply.ts';

export type Params = Record<string, string>;
export type Route = {
  method: 'GET' | 'POST'; path: string; takesJson?: boolean;
  handler: (request: Request, params: Params) => Reply | Promise<Reply>;
};

// RFC 9110 §8.3: spaces and tabs around `;`, names and charsets in either case, a value may be a quoted string.
const jsonInUtf8 = /^application\/json(?:[ \t]*;(?:[ \t]*charset=(?:utf-8|"\\?u\\?t\\?f\\?-\\?8"))?)*[ \t]*$/i;

/** `{name}` in a path means one segment. Paths are compared as they were sent: `/%68ealth` is not `/health`. */
export function createRouter(routes: Route[]): Handler {
  const find = openLookup(routes);
  return request => {
    const found = find(request.path);
    const route = request.path === '*' ? undefined : found[0]?.route.path;
    try {
      const reply = answer(request, found);
      if (!('then' in reply)) return name(reply, route);
      return reply.then(given => name(given, route), trouble => name(answerTrouble(trouble, request.id), route));
    } catch (trouble) {
      return name(answerTrouble(trouble, request.id), route);
    }
  };
}

function name(reply: Reply, route: string | undefined): Reply {
  if (route !== undefined) reply.route = route;
  return reply;
}

type Found = { route: Route; params: Params };

function openLookup(routes: Route[]): (path: string) => Found[] {
  const plain = new Map<string, Found[]>([['*', routes.map(route => ({ route, params: {} }))]]);
  for (const route of routes) plain.set(route.path, [...(plain.get(route.path) ?? []), { route, params: {} }]);
  const templates = routes.filter(({ path }) => path.includes('{'));
  const patterns = templates.map(route => ({ route, pattern: route.path.split('/') }));
  return path => plain.get(path) ?? patterns.flatMap(({ route, pattern }) => {
    const params = match(pattern, path.split('/'));
    return params ? [{ route, params }] : [];
  });
}

function match(pattern: string[], segments: string[]): Params | null {
  if (pattern.length !== segments.length) return null;
  const params: Params = {};
  for (const [at, part] of pattern.entries()) {
    const segment = segments[at] ?? '';
    if (part.startsWith('{')) params[part.slice(1, -1)] = segment;
    else if (part !== segment) return null;
  }
  return params;
}

function answer(request: Request, found: Found[]): Reply | Promise<Reply> {
  const method = request.method === 'HEAD' ? 'GET' : request.method;
  const hit = request.path === '*' ? undefined : found.find(({ route }) => route.method === method);
  if (!hit) return answerWithout(request, found);
  if (request.body.length > 0) checkMediaType(request, hit.route);
  return hit.route.handler(request, hit.params);
}

function answerWithout(request: Request, found: Found[]): Reply {
  if (found.length === 0) throw new Problem('not_found', 'there is nothing at this path');
  const methods = found.flatMap(({ route }) => (route.method === 'GET' ? ['GET', 'HEAD'] : [route.method]));
  const headers = { Allow: [...new Set(['OPTIONS', ...methods])].sort().join(', ') };
  if (request.method === 'OPTIONS') return { status: 204, headers };
  throw new Problem('method_not_allowed', `this path takes ${headers.Allow}`, { headers });
}

function checkMediaType({ headers }: Request, { takesJson }: Route): void {
  const code = 'unsupported_media_type';
  if (!takesJson) throw new Problem(code, 'this path takes no body');
  if (!jsonInUtf8.test(headers['content-type'] ?? '')) {
    throw new Problem(code, 'a body must be application/json in UTF-8');
  }
  if ((headers['content-encoding'] ?? 'identity').toLowerCase() !== 'identity') {
    throw new Problem(code, 'a body must not be compressed', { headers: { 'Accept-Encoding': 'identity' } });
  }
}
