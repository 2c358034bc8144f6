// Which route a request means: 404, 405 with Allow, OPTIONS, HEAD where GET is, 415. Knows no route itself.
import { answerTrouble, Problem } from './problem.ts';
import type { Handler, Reply, Request } from './reply.ts';

export type Params = Record<string, string>;
export type Route = {
  method: 'GET' | 'POST'; path: string; takesJson?: boolean;
  handler: (request: Request, params: Params) => Reply | Promise<Reply>;
};

/** `{name}` in a path stands for one segment. Paths are compared as they were sent: `/%68ealth` is not `/health`. */
export function createRouter(routes: Route[]): Handler {
  const find = openLookup(routes);
  return async request => {
    const found = find(request.path);
    const path = request.path === '*' ? undefined : found[0]?.route.path;
    try {
      const reply = await answer(request, found);
      return path === undefined ? reply : { route: path, ...reply };
    } catch (trouble) {
      const reply = answerTrouble(trouble, request.id);
      return path === undefined ? reply : { route: path, ...reply };
    }
  };
}

type Found = { route: Route; params: Params };

function openLookup(routes: Route[]): (path: string) => Found[] {
  const plain = new Map<string, Found[]>([['*', routes.map(route => ({ route, params: {} }))]]);
  for (const route of routes) plain.set(route.path, [...(plain.get(route.path) ?? []), { route, params: {} }]);
  const patterns = routes.filter(({ path }) => path.includes('{')).map(route => ({ route, pattern: route.path.split('/') }));
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
  const allowed = new Set(['OPTIONS', ...found.flatMap(({ route }) => (route.method === 'GET' ? ['GET', 'HEAD'] : [route.method]))]);
  const headers = { Allow: [...allowed].sort().join(', ') };
  if (request.method === 'OPTIONS') return { status: 204, headers };
  throw new Problem('method_not_allowed', `this path takes ${headers.Allow}`, { headers });
}

function checkMediaType({ headers }: Request, route: Route): void {
  const type = (headers['content-type'] ?? '').toLowerCase().replaceAll(' ', '');
  const plain = ['application/json', 'application/json;charset=utf-8', 'application/json;charset="utf-8"'].includes(type);
  if (!route.takesJson || !plain || (headers['content-encoding'] ?? 'identity') !== 'identity') {
    throw new Problem('unsupported_media_type', 'a body must be application/json in UTF-8, not compressed');
  }
}
