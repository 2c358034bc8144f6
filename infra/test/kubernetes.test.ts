// The Kubernetes manifests without a cluster: valid, agreeing with each other, the service and the other stacks.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { complaintsOf, readSchemas } from './manifest-schema.ts';
import { built, environmentOf, one, overlays, podOf, readYaml, skip, some } from './manifests.ts';
import type { Deployment, Json, Labels, Manifest, Selector } from './manifests.ts';
import { root, runIn } from './stack.ts';

type Peer = { podSelector?: { matchLabels?: Labels }; namespaceSelector?: Selector; ipBlock?: { cidr: string } };
type Ports = { protocol: string; port: number | string }[];
type Policy = {
  podSelector: { matchLabels?: Labels }; policyTypes: string[];
  ingress?: { from: Peer[]; ports: Ports }[]; egress?: { to: Peer[]; ports: Ports }[];
};
type Service = { selector: Labels; ports: [{ name: string; port: number; targetPort: string }] };
type Monitor = {
  selector: Selector; endpoints: [{ port: string; path: string; interval: string; scrapeTimeout: string }];
};
type Route = { path: string; pathType: string; backend: { service: { name: string; port: { name: string } } } };
type Ingress = { rules: { http: { paths: Route[] } }[] };

const text = (path: string) => readFileSync(join(root, path), 'utf8');
const yaml = (path: string) => readYaml(text(path))[0] ?? assert.fail(path);
const sets = skip === false
  ? await Promise.all(overlays.map(async name => ({ name, all: await built(name) }))) : [];
const isWithin = (part: Labels, whole: Labels) => Object.entries(part).every(([key, value]) => whole[key] === value);

/** What the pods are given, and for the rest what the service takes by itself. */
function settingOf(all: Manifest[], name: string): number {
  const [, fallback] = new RegExp(`^\\| \`${name}\` \\| (\\d+) \\|`, 'm').exec(text('service/REFERENCE.md')) ?? [];
  return Number(environmentOf(all)[name] ?? fallback ?? assert.fail(`${name} has no default`));
}

for (const { name, all } of sets) {
  test(`${name}: every manifest is valid, in a namespace of its own`, () => {
    const schemas = readSchemas();
    assert.deepEqual(all.flatMap(manifest => complaintsOf(manifest, schemas)), []);
    const spaces = all.map(({ kind, metadata }) => kind === 'Namespace' ? metadata.name : metadata.namespace);
    assert.deepEqual([...new Set(spaces)], ['orders']);
  });

  test(`${name}: what one manifest names, another has`, () => {
    const { selector, template } = one<Deployment>(all, 'Deployment');
    const { labels } = template.metadata;
    const service = one<Service>(all, 'Service');
    const selectors = [
      selector.matchLabels, service.selector,
      one<{ selector: Selector }>(all, 'PodDisruptionBudget').selector.matchLabels,
      one<Policy>(all, 'NetworkPolicy').podSelector.matchLabels ?? assert.fail('it selects every pod'),
      ...template.spec.topologySpreadConstraints.map(({ labelSelector }) => labelSelector.matchLabels),
    ];
    assert.deepEqual(selectors.filter(own => Object.keys(own).length === 0 || !isWithin(own, labels)), []);
    const [api] = template.spec.containers;
    assert.deepEqual(api.ports.map(port => port.name), ['http']);
    const { startupProbe, livenessProbe, readinessProbe } = api;
    const ports = [startupProbe, livenessProbe, readinessProbe].map(({ httpGet }) => httpGet.port);
    assert.deepEqual([...ports, service.ports[0].targetPort], Array(4).fill('http'));
    assert.equal(api.ports[0]?.containerPort, settingOf(all, 'PORT'));
    for (const { http } of some<Ingress>(all, 'Ingress').flatMap(({ spec }) => spec.rules)) {
      const paths = http.paths.map(({ path, pathType }) => `${pathType} ${path}`);
      assert.deepEqual(paths, ['Exact /order', 'Prefix /orders', 'Exact /openapi.json']);
      for (const { backend } of http.paths) {
        assert.deepEqual(backend.service, { name: 'orders', port: { name: service.ports[0].name } });
      }
    }
  });

  test(`${name}: the image is a digest, and nothing secret is in the manifests`, () => {
    const pod = podOf(all);
    assert.match(pod.containers[0].image, /@sha256:[0-9a-f]{64}$/);
    assert.deepEqual(some(all, 'Secret'), []);
    assert.equal(environmentOf(all)['DATABASE_PASSWORD'], undefined);
    const [mount] = pod.containers[0].volumeMounts;
    const [volume] = pod.volumes;
    assert.equal(mount?.name, volume.name);
    assert.equal(`${mount?.mountPath}/${volume.secret.items[0].path}`, environmentOf(all)['DATABASE_PASSWORD_FILE']);
  });

  test(`${name}: the service accepts its settings, and not with one misspelt`, async t => {
    const folder = await mkdtemp(join(tmpdir(), 'orders-kubernetes-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const password = join(folder, 'password');
    await writeFile(password, 'a secret\n');
    const env = { PATH: process.env['PATH'], ...environmentOf(all), DATABASE_PASSWORD_FILE: password };
    const check = (given: NodeJS.ProcessEnv) => runIn(given, process.execPath, ['service/dist/main.js', '--check']);
    assert.deepEqual(await check(env), { code: 0, stdout: '', stderr: '' });
    const refused = await check({ ...env, DATABASE_HSOT: 'db' });
    assert.equal(refused.code, 78, refused.stderr);
  });

  test(`${name}: pods are restricted, as their namespace demands`, () => {
    const space = all.find(({ kind }) => kind === 'Namespace');
    assert.equal(space?.metadata.labels?.['pod-security.kubernetes.io/enforce'], 'restricted');
    const pod = podOf(all);
    assert.deepEqual([pod.automountServiceAccountToken, pod.enableServiceLinks], [false, false]);
    assert.deepEqual(pod.securityContext, {
      runAsNonRoot: true, runAsUser: 65_532, runAsGroup: 65_532, fsGroup: 65_532,
      seccompProfile: { type: 'RuntimeDefault' },
    });
    assert.deepEqual(pod.containers.map(({ securityContext }) => securityContext), [{
      allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] },
    }]);
    assert.deepEqual(Object.keys(pod).filter(key => /^(host|initContainers|shareProcess)/.test(key)), []);
    assert.match(text('Dockerfile'), /^USER 65532:65532$/m);
  });

  test(`${name}: each probe asks what it should, within the service's own deadlines`, () => {
    const { startupProbe, livenessProbe, readinessProbe } = podOf(all).containers[0];
    const paths = [startupProbe, livenessProbe, readinessProbe].map(({ httpGet }) => httpGet.path);
    assert.deepEqual(paths, ['/health', '/health', '/ready']);
    const own = /--interval=(\d+)s --timeout=(\d+)s --start-period=(\d+)s --retries=(\d+)/.exec(text('Dockerfile'));
    const [, interval, timeout, start, retries] = own?.map(Number) ?? assert.fail('the image has no check');
    const { periodSeconds, timeoutSeconds, failureThreshold } = livenessProbe;
    assert.deepEqual([periodSeconds, timeoutSeconds, failureThreshold], [interval, timeout, retries]);
    assert.ok(periodSeconds * failureThreshold * 1000 > settingOf(all, 'WATCHDOG_MS'), 'the watchdog comes first');
    assert.ok(startupProbe.periodSeconds * startupProbe.failureThreshold >= (start ?? Infinity));
    assert.ok(readinessProbe.timeoutSeconds * 1000 > settingOf(all, 'READY_TIMEOUT_MS'), 'the reason is heard');
    const untold = readinessProbe.failureThreshold * (readinessProbe.periodSeconds + readinessProbe.timeoutSeconds);
    assert.ok(untold * 1000 <= settingOf(all, 'DRAIN_GRACE_MS'), 'a pod that leaves is unready before it refuses');
  });

  test(`${name}: limits and room to drain are those of the Compose stack`, () => {
    type Box = { mem_limit: string; memswap_limit: string; cpus: number; stop_grace_period: string };
    const { api: box } = (yaml('infra/docker-compose.yml') as { services: { api: Box } }).services;
    const pod = podOf(all);
    const { limits, requests } = pod.containers[0].resources;
    assert.deepEqual([limits.memory, limits.cpu], [box.mem_limit.replace('m', 'Mi'), String(box.cpus)]);
    assert.equal(requests.memory, limits.memory, 'memory that may be used is there');
    const defaults = all.map(one => one.kind === 'ConfigMap' ? { ...one, data: {} } : one);
    const room = Number.parseInt(box.stop_grace_period) * 1000 - settingOf(defaults, 'DRAIN_DEADLINE_MS');
    assert.ok(room > 0);
    assert.equal(pod.terminationGracePeriodSeconds * 1000 - settingOf(all, 'DRAIN_DEADLINE_MS'), room);
    const left = (of: Manifest[]) => settingOf(of, 'DRAIN_DEADLINE_MS') - settingOf(of, 'DRAIN_GRACE_MS');
    assert.equal(left(all), left(defaults), 'what is in flight has as long as on one machine');
  });

  test(`${name}: a rollout never has fewer pods, nor more connections than a database has`, () => {
    const { replicas, strategy } = one<Deployment>(all, 'Deployment');
    assert.deepEqual(strategy.rollingUpdate, { maxSurge: 1, maxUnavailable: 0 });
    const each = settingOf(all, 'DATABASE_WRITE_CONNECTIONS') + settingOf(all, 'DATABASE_READ_CONNECTIONS') + 1;
    assert.ok((replicas + 1) * each <= 97, 'max_connections of 100, less three for the superuser');
  });

  test(`${name}: a node that is drained or lost takes one pod, and never keeps another from starting`, () => {
    const { selector: _, ...budget } = one<{ selector: Selector }>(all, 'PodDisruptionBudget');
    assert.deepEqual(budget, { maxUnavailable: 1, unhealthyPodEvictionPolicy: 'AlwaysAllow' });
    const { topologySpreadConstraints, tolerations } = podOf(all);
    assert.deepEqual(topologySpreadConstraints.map(({ topologyKey, whenUnsatisfiable }) => [
      topologyKey, whenUnsatisfiable,
    ]), [['kubernetes.io/hostname', 'ScheduleAnyway'], ['topology.kubernetes.io/zone', 'ScheduleAnyway']]);
    assert.deepEqual(tolerations, ['not-ready', 'unreachable'].map(state => (
      { key: `node.kubernetes.io/${state}`, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 30 }
    )));
  });

  test(`${name}: callers reach the one port, and the service its database and DNS`, () => {
    const nobody = one<Policy>(all, 'NetworkPolicy', 'nobody');
    assert.deepEqual(nobody, { podSelector: {}, policyTypes: ['Ingress', 'Egress'] });
    const { ingress = [], egress = [], policyTypes } = one<Policy>(all, 'NetworkPolicy');
    assert.deepEqual(policyTypes, ['Ingress', 'Egress']);
    assert.deepEqual(ingress.map(({ ports }) => ports), [[{ protocol: 'TCP', port: 'http' }]]);
    const callers = ingress.flatMap(({ from }) => from);
    assert.ok(callers.every(peer => peer.podSelector ?? peer.namespaceSelector), 'whoever calls is a pod');
    assert.deepEqual(egress.map(({ ports }) => ports), [
      [{ protocol: 'TCP', port: settingOf(all, 'DATABASE_PORT') }],
      [{ protocol: 'UDP', port: 53 }, { protocol: 'TCP', port: 53 }],
    ]);
    const [database, dns] = egress.map(({ to }) => to);
    assert.deepEqual(database?.map(peer => Object.keys(peer)), [['ipBlock']]);
    const [address = '', bits = ''] = database?.[0]?.ipBlock?.cidr.split('/') ?? [];
    assert.ok(isIP(address) > 0 && /^[1-9]\d{0,2}$/.test(bits), 'an address and its bits, not a name or the world');
    assert.equal(dns?.length, 1);
  });
}

test('alert rules and scraping are those of infra/prometheus, of this service only', { skip }, () => {
  const { groups } = yaml('infra/prometheus/alerts.yml') as { groups: { rules: { expr: string }[] }[] };
  const { all } = sets.find(({ name }) => name === 'production') ?? assert.fail('there is no production');
  assert.deepEqual(one<Json>(all, 'PrometheusRule'), { groups });
  // the Prometheus of a cluster has metrics of everybody under such names
  const expressions = groups.flatMap(({ rules }) => rules.map(({ expr }) => expr));
  const metrics = expressions.map(expr => expr.match(/\b(up|[a-z]+_[a-z_]+)\b/g)?.length);
  assert.deepEqual(expressions.map(expr => expr.match(/\{job="orders"/g)?.length), metrics);
  type Scraping = {
    global: { scrape_interval: string }; scrape_configs: [{ job_name: string; scrape_timeout: string }];
  };
  const { global, scrape_configs: [scraped] } = yaml('infra/prometheus/prometheus.yml') as Scraping;
  const { selector, endpoints } = one<Monitor>(all, 'ServiceMonitor');
  const service = all.find(({ kind }) => kind === 'Service') ?? assert.fail('there is no Service');
  assert.equal(service.metadata.name, scraped.job_name, 'the operator names the job after the Service');
  assert.ok(isWithin(selector.matchLabels, service.metadata.labels ?? {}));
  assert.deepEqual(endpoints, [{
    port: (service['spec'] as Service).ports[0].name, path: '/metrics', interval: global.scrape_interval,
    scrapeTimeout: scraped.scrape_timeout,
  }]);
});

test('a slip in a manifest is a complaint that names its place', { skip }, () => {
  const schemas = readSchemas();
  const [{ all } = assert.fail('there is no overlay')] = sets;
  const deployment = all.find(({ kind }) => kind === 'Deployment') ?? assert.fail('there is no Deployment');
  const spoilt = (from: RegExp, to: string) => {
    const changed = JSON.stringify(deployment).replace(from, to);
    assert.notEqual(changed, JSON.stringify(deployment));
    return complaintsOf(JSON.parse(changed) as Manifest, schemas);
  };
  const pod = 'Deployment.spec.template.spec';
  assert.deepEqual(spoilt(/"readinessProbe"/, '"readynessProbe"'), [
    `${pod}.containers[0].readynessProbe is no field of the schema`,
  ]);
  assert.deepEqual(spoilt(/"replicas":1/, '"replicas":"1"'), ['Deployment.spec.replicas must be int32, not "1"']);
  assert.deepEqual(spoilt(/"name":"api",/, ''), [`${pod}.containers[0].name is required`]);
  assert.deepEqual(spoilt(/"value":"1"/, '"value":1'), [`${pod}.dnsConfig.options[0].value must be string, not 1`]);
  assert.deepEqual(spoilt(/"runAsNonRoot":true/, '"runAsNonRoot":"yes"'), [
    `${pod}.securityContext.runAsNonRoot must be boolean, not "yes"`,
  ]);
  assert.deepEqual(spoilt(/"apps\/v1"/, '"apps/v1beta1"'), ['apps/v1beta1 Deployment is no kind of the schema']);
  const monitor = { endpoints: [{ port: 'http', interval: '5 s', honour: true }], selector: {} };
  const custom = { apiVersion: 'monitoring.coreos.com/v1', kind: 'ServiceMonitor', metadata: { name: 'a' } };
  assert.deepEqual(complaintsOf({ ...custom, spec: monitor }, schemas).map(said => said.split(' ')[0]), [
    'ServiceMonitor.spec.endpoints[0].interval', 'ServiceMonitor.spec.endpoints[0].honour',
  ]);
});
