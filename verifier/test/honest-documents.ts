// What the honest service says of itself for machines: /openapi.json and /metrics.

type Told = { asked: readonly string[]; database: boolean; identity: Record<string, string> };
type Reply = { status: number; headers: Record<string, string>; body: string };

/** For one of these two paths. */
export function documentsOf(path: string, honest: Told): Reply {
  return path === '/metrics' ? metrics(honest) : openapi(honest);
}

function openapi({ identity }: Told): Reply {
  const gets = ['/health', '/ready', '/version', '/orders/{id}', '/openapi.json', '/metrics'];
  const paths = { ...Object.fromEntries(gets.map(path => [path, { get: {} }])), '/order': { post: {} } };
  const body = JSON.stringify({ openapi: '3.1.0', info: { title: 'Orders', version: identity['version'] }, paths });
  return { status: 200, headers: { 'content-type': 'application/json' }, body };
}

function metrics({ asked, database, identity }: Told): Reply {
  const { version, git_sha, node, started_at = '' } = identity;
  const health = asked.filter(ask => ask === 'GET /health').length;
  const body = [
    '# HELP http_requests_total Answers given', '# TYPE http_requests_total counter',
    `http_requests_total{method="GET",route="/health",status="200"} ${health}`,
    '# HELP service_ready Whether /ready says 200', '# TYPE service_ready gauge', `service_ready ${Number(database)}`,
    '# HELP dependency_up Whether a dependency answers', '# TYPE dependency_up gauge',
    `dependency_up{dependency="database"} ${Number(database)}`,
    '# HELP process_start_time_seconds Start', '# TYPE process_start_time_seconds gauge',
    `process_start_time_seconds ${Date.parse(started_at) / 1_000}`,
    '# HELP build_info What is running', '# TYPE build_info gauge',
    `build_info{version="${version}",git_sha="${git_sha}",node="${node}"} 1`, '',
  ].join('\n');
  return { status: 200, headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }, body };
}
