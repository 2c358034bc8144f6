// The sabotaged builds: of the compiled service one text each is replaced by another, and somebody has to see it.

/** `by`: the drills that may see it, in turn, when `make verify` does not, also not after a restart. */
export type Mutation = { name: string; file: string; from: string; to: string; by?: readonly string[] };

const endpoints = 'orders/endpoints.js';
const order = 'orders/order.js';
const store = 'database/store.js';
const readiness = 'database/readiness.js';
const problem = 'http/problem.js';
const server = 'http/server.js';
const service = 'service.js';
const main = 'main.js';
const config = 'config.js';

const place = 'const placed = await store.place(order, request.left).catch(error => translate(error, found));';
const findOrder = 'const order = orderId && await store.find(orderId, request.left).catch(error => translate(error));';
const known = `${findOrder}\n    if (!order)\n`;
const health = "handler: always({ status: 'alive' })";
const version = 'handler: always(parts.version)';
const probe = 'const probe = (leaving ? readiness.last() : null) ?? await readiness.check();';
const isReady = "if (status === 'ready')\n        return { status: 200, body };";
const cached = 'if (last && performance.now() - askedMs < maxAgeMs && !(last.up && doubted))';
const shown = "symbol, side, qty: Number(qty), created_at: createdAt };";
const running = "await run(parsed.config, log);";
const keyOf = 'key: key === null ? null : `key:${key}`';
const leaving = 'await new Promise(resolve => setTimeout(resolve, graceMs));\n        await layer.finish();';

/** What a service would do that remembers keys by itself: `keep` says what is done with the answer. */
const remember = (keep: string): string => `const now = Date.now(), before = key === null ? undefined : keys.get(key);
            const placed = before ?? await store.place({ ...order, key: null }, request.left)
                .catch(error => translate(error, found));
            if (key !== null && before === undefined) ${keep};`;
const keys = (name: string, keep: string, by: readonly string[]): Mutation => (
  { name, file: endpoints, from: place, to: `const keys = globalThis.keys ??= new Map();\n${remember(keep)}`, by }
);

export const mutations: readonly Mutation[] = [
  // ---- readiness and liveness ----
  { name: 'readiness is constant', file: endpoints, from: probe, by: ['db-down'],
    to: 'const probe = { up: true, latencyMs: 1, since: new Date().toISOString() };' },
  { name: 'readiness is cached for a minute', file: readiness, from: cached, by: ['db-down'],
    to: 'if (last && performance.now() - askedMs < 60000)' },
  { name: 'readiness once good stays good', file: readiness, from: cached, to: 'if (last?.up)', by: ['db-down'] },
  { name: 'readiness once bad stays bad', file: readiness, from: cached, to: 'if (last && !last.up)', by: ['db-down'] },
  { name: 'readiness by select 1', file: store, from: 'if (sight?.read_only)',
    by: ['read-only', 'right-revoked'],
    to: 'return;\n    if (sight?.read_only)' },
  { name: 'readiness does not see a missing right', file: store, from: 'if (!sight.usable)', to: 'if (false)',
    by: ['right-revoked'] },
  { name: 'readiness gives one reason for all', file: endpoints, from: "reason: reason ?? 'unknown'",
    to: "reason: 'connection_refused'", by: ['bad-credentials'] },
  { name: 'readiness is 503 nine times of ten', file: endpoints, from: isReady,
    to: "if (status === 'ready' && (globalThis.asked = (globalThis.asked ?? 0) + 1) % 10 === 1) return { "
      + "status: 200, body };" },
  { name: 'readiness is 503 once in ten times', file: endpoints, from: isReady,
    to: "if (status === 'ready' && (globalThis.asked = (globalThis.asked ?? 0) + 1) % 10 !== 0) return { "
      + "status: 200, body };" },
  { name: 'health is readiness', file: endpoints, from: health, by: ['db-down'],
    to: "handler: async () => ({ status: (await parts.store.readiness.check()).up ? 200 : 503, body: { status: "
      + "'alive' } })" },
  { name: 'health asks the database', file: endpoints, from: health, by: ['db-hung'],
    to: "handler: async () => { await parts.store.find('00000000-0000-7000-8000-000000000000').catch(() => null);\n"
      + "return { status: 200, body: { status: 'alive' } }; }" },
  { name: 'health dies at every second request', file: endpoints, from: health,
    to: "handler: () => ({ status: (globalThis.beat = !globalThis.beat) ? 200 : 500, body: { status: 'alive' } })" },
  { name: 'health says degraded', file: endpoints, from: health, by: ['db-down'],
    to: "handler: async () => ({ status: 200, body: { status: (await parts.store.readiness.check()).up ? "
      + "'alive' : 'degraded' } })" },
  { name: 'crashes every 2.5 s', file: main, from: running, by: ['db-down'],
    to: `setTimeout(() => process.exit(1), 2500);\n    ${running}` },
  // ---- what answers ----
  { name: 'another build at every tenth ask', file: endpoints, from: version,
    to: "handler: () => ({ status: 200, body: (globalThis.asks = (globalThis.asks ?? 0) + 1) % 10 === 0\n"
      + "? { ...parts.version, git_sha: '0'.repeat(40), instance_id: '00000000-0000-4000-8000-000000000000' } : "
      + "parts.version })" },
  { name: 'another instance at every ask', file: endpoints, from: version,
    to: 'handler: () => ({ status: 200, body: { ...parts.version, instance_id: crypto.randomUUID() } })' },
  { name: 'another commit', file: service, from: 'git_sha: service.gitSha', to: "git_sha: 'f'.repeat(40)" },
  { name: 'another service', file: service, from: 'service: service.name', to: "service: 'payments'" },
  { name: 'started in the future', file: service, from: 'started_at: new Date().toISOString()',
    to: 'started_at: new Date(Date.now() + 86400000).toISOString()' },
  { name: 'no metrics', file: endpoints, from: "path: '/metrics'", to: "path: '/metrix'" },
  { name: 'no openapi.json', file: endpoints, from: "path: '/openapi.json'", to: "path: '/openapi.yaml'" },
  { name: 'DELETE is taken', file: 'http/router.js', from: "const method = request.method === 'HEAD' ? 'GET'",
    to: "const method = request.method === 'HEAD' || request.method === 'DELETE' ? 'GET'" },
  { name: 'answers as text/html', file: 'http/reply.js', from: "'Content-Type': 'application/json'",
    to: "'Content-Type': 'text/html'" },
  { name: 'unknown paths are 200', file: 'http/router.js', to: 'return { status: 200, body: {} };',
    from: "throw new Problem('not_found', 'there is nothing at this path');" },
  { name: 'one request id for all', file: server, from: '-${ownIds.count.toString(36)}', to: '-0' },
  { name: 'connections are closed without a word', file: server, from: '            res.end(text);',
    to: "            res.once('finish', () => req.socket.end()), res.end(text);" },
  { name: 'answers begin with a byte order mark', file: 'http/reply.js', from: "? body : JSON.stringify(body);",
    to: "? `\\ufeff${body}` : `\\ufeff${JSON.stringify(body)}`;" },
  { name: 'readiness is told twice in one answer', file: endpoints, from: isReady,
    to: `if (status === 'ready')
        return { status: 200, body: JSON.stringify(body).replace('{', '{"status":"unready",') };` },
  // ---- orders ----
  { name: 'acknowledged before stored', file: endpoints, from: place, by: ['db-down', 'mid-flight'],
    to: 'const placed = { ...order, createdAt: new Date().toISOString() };\n'
      + '            store.place(order).catch(() => undefined);' },
  { name: 'ids from the clock alone', file: order, from: 'randomUUID().slice(15)', by: ['drain', 'mid-flight'],
    to: "'000-8000-000000000000'" },
  { name: 'the id in the answer is another one', file: endpoints, from: 'order_id: orderId,',
    to: 'order_id: orderId.replace(/.$/, c => c === "0" ? "1" : "0"),' },
  { name: 'qty through a 32-bit float', file: endpoints, from: shown,
    to: 'symbol, side, qty: Math.fround(Number(qty)), created_at: createdAt };' },
  { name: 'qty to eight decimals', file: endpoints, from: shown,
    to: 'symbol, side, qty: Number(Number(qty).toFixed(8)), created_at: createdAt };' },
  { name: 'qty of at most a million', file: endpoints, from: shown,
    to: 'symbol, side, qty: Math.min(1000000, Number(qty)), created_at: createdAt };' },
  { name: 'a symbol has at most eight letters', file: endpoints, from: 'return { order_id: orderId, status',
    to: 'symbol = symbol.slice(0, 8);\n    return { order_id: orderId, status' },
  { name: 'everything is bought', file: endpoints, from: shown,
    to: "symbol, side: 'buy', qty: Number(qty), created_at: createdAt };" },
  { name: 'created in 1970', file: endpoints, from: 'created_at: createdAt };',
    to: 'created_at: new Date(0).toISOString() };' },
  { name: 'created when it is asked for', file: endpoints, from: 'created_at: createdAt };',
    to: 'created_at: new Date().toISOString() };' },
  { name: 'a body that is no JSON is an order', file: order, to: "return readQuery('symbol=BTC&side=buy&qty=1');",
    from: "throw new Problem('invalid_json', 'the body is not JSON');" },
  { name: 'too many digits are taken and rounded', file: order, to: 'if (false) {',
    from: 'if (digits.length + Math.max(power, 0) > maxDigits || -power > maxDigits) {' },
  { name: 'unknown fields are ignored', file: order, from: 'if (!names.includes(name))', to: 'if (false)' },
  { name: 'a negative qty is taken', file: order, from: "const { kind, text } = need(fields, 'qty');",
    to: "let { kind, text } = need(fields, 'qty');\n    text = text.replace(/^-/, '');" },
  { name: 'any id is an order', file: endpoints, from: findOrder,
    to: `let ${findOrder.slice(6)}\n    `
      + "order ||= { orderId: id, symbol: 'BTC', side: 'buy', qty: '1', createdAt: new Date().toISOString() };" },
  { name: 'an unknown id is a fault of ours', file: endpoints, from: known,
    to: `${findOrder}\n    if (!order) throw new Error('no such order');\n    if (!order)\n` },
  { name: 'orders are kept in memory', file: endpoints, from: place, by: ['restart-keeps-orders'],
    to: 'const kept = globalThis.kept ??= new Map(), same = [...kept.values()].find(one => key !== null && '
      + 'one.key === order.key);\n'
      + '            const placed = same ?? { ...order, createdAt: new Date().toISOString() };\n'
      + '            kept.set(placed.orderId, placed);\n            store.find = async id => kept.get(id) ?? null;' },
  { name: 'orders are read from memory', file: endpoints, from: place, by: ['restart-keeps-orders'],
    to: `${place}\n            (globalThis.kept ??= new Map()).set(placed.orderId, placed);\n`
      + '            store.find = async id => globalThis.kept.get(id) ?? null;' },
  { name: 'refused orders are stored later', file: endpoints, from: place, by: ['db-down'],
    to: `const later = () => void store.place(order).catch(() => setTimeout(later, 500));
            ${place.replace('error => translate', 'error => later() ?? translate')}` },
  { name: 'commits are not waited for', file: 'database/connection.js', from: "synchronous_commit: 'on'",
    to: "synchronous_commit: 'off'", by: ['mid-flight'] },
  { name: 'commits are not waited for, and readiness is silent', file: store, by: ['mid-flight'],
    from: 'const rows = await run(sql => sql `\n        insert',
    to: "await run(sql => sql.unsafe('set synchronous_commit = off'));\n            const rows = await run(sql "
      + "=> sql `\n        insert" },
  // ---- keys ----
  { name: 'keys are dropped', file: endpoints, from: keyOf, to: 'key: null' },
  keys('keys are remembered in memory', 'keys.set(key, placed)', ['process-killed', 'mid-flight']),
  keys('keys are forgotten after a second', 'keys.set(key, placed), setTimeout(() => keys.delete(key), 1000)', []),
  { name: 'one key twice at once gives two orders', file: endpoints, by: ['db-down'],
    from: "const key = parseKey(request.headers['idempotency-key']);",
    to: `let key = parseKey(request.headers['idempotency-key']);
        const own = key, busy = globalThis.busy ??= new Set();
        if (own !== null && busy.has(own)) key = null;
        else if (own !== null) busy.add(own), setTimeout(() => busy.delete(own), 20);` },
  { name: 'a replay names another place', file: endpoints, from: 'Location: `/orders/${placed.orderId}`',
    to: 'Location: `/orders/${orderId}`' },
  { name: 'every try stores an order of its own', file: store, by: ['mid-flight', 'db-restart-storm'],
    from: 'const list = (value)', to: `for (const one of orders) {
                one.tries = (one.tries ?? 0) + 1;
                if (one.tries > 1) one.orderId = crypto.randomUUID(), one.key = key(one) + one.tries;
            }
            const list = (value)` },
  // ---- refusals ----
  { name: 'readiness without Retry-After', file: endpoints, from: "headers: { 'Retry-After': '1' }", to: 'headers: {}',
    by: ['db-down'] },
  { name: 'refusals without Retry-After', file: problem, from: "{ 'Retry-After': '1' }", to: '{}', by: ['db-down'] },
  { name: 'Retry-After: soon', file: problem, from: "{ 'Retry-After': '1' }", to: "{ 'Retry-After': 'soon' }",
    by: ['db-down'] },
  { name: 'refusals are HTML', file: problem, from: "'application/problem+json'", to: "'text/html'", by: ['db-down'] },
  { name: 'unknown outcomes without order_id', file: endpoints, from: '{ orderId }) });', to: '{}) });',
    by: ['db-hung', 'mid-flight'] },
  { name: 'unknown outcomes are reported as refusals', file: store, by: ['db-hung', 'mid-flight'],
    from: "writes && error.maybeApplied ? 'unknown' : kind", to: "kind === 'unknown' ? 'unavailable' : kind" },
  { name: 'a refusal holds up the loop', file: endpoints, from: "const reason = `${error.reason} ${error.code}`;",
    by: ['db-down'],
    to: 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2000);\n    const reason = '
      + '`${error.reason} ${error.code}`;' },
  // ---- stopping, starting ----
  { name: 'a drain cuts what is in flight', file: service, from: leaving, to: 'layer.closeAll();', by: ['drain'] },
  { name: 'a drain closes the door at once', file: service, from: leaving, to: 'await layer.finish();', by: ['drain'] },
  { name: 'a drain is not announced', file: service, from: "become('draining', { reason: 'draining' });", to: '',
    by: ['drain'] },
  { name: 'a drain without Connection: close', file: service, from: 'layer.sayClose();', to: '', by: ['drain'] },
  { name: 'a drain ends with 1', file: service, from: "return end === 'left' ? 0 : 1;", to: 'return 1;',
    by: ['drain'] },
  { name: 'SIGTERM ends it at once', file: main, from: 'const code = await (await opening).drain();',
    to: 'const code = 0;', by: ['drain'] },
  { name: 'misspelt settings are accepted', file: config, from: 'reader.complainOfStrangers();', to: '',
    by: ['config-refused'] },
  { name: 'a missing port is 8000', file: config, from: "from.whole('PORT', 1, 65_535)",
    to: "from.whole('PORT', 1, 65_535, 8000)",
    by: ['config-refused'] },
  { name: 'a refused configuration ends with 1', file: main, from: 'process.exitCode = 78;',
    to: 'process.exitCode = 1;',
    by: ['config-refused'] },
  { name: 'the password is in the log', file: service,
    from: "log.info('listening', { host: config.server.host, port, ...build });",
    to: "log.info('listening', { host: config.server.host, port, ...build, password: config.database.password });",
    by: ['config-refused', 'bad-credentials'] },
];
