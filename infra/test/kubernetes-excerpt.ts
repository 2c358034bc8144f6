// Writes what the manifests need of Kubernetes' schema: node infra/dist/test/kubernetes-excerpt.js SWAGGER_JSON
// The file is api/openapi-spec/swagger.json of Kubernetes, or of Debian's source package as `source` says below.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { complaintsOf, readSchemas } from './manifest-schema.ts';
import type { Schema } from './manifest-schema.ts';
import { built, overlays } from './manifests.ts';
import { root } from './stack.ts';

type Kind = { group: string; version: string; kind: string };
type Published = { definitions: Record<string, Schema & { 'x-kubernetes-group-version-kind'?: Kind[] }> };

const source = 'Kubernetes 1.30: kubernetes/swagger.json.unprocessed of python-kubernetes 30.1.0 (Debian 13, sources)';
const sha256 = '86dce48e9e83e503bef07a693656dd0e6a4420c00ce2ab7bb65609571bb38b86';

const path = process.argv[2] ?? stop('the path of swagger.json is required');
const bytes = readFileSync(path);
const sum = createHash('sha256').update(bytes).digest('hex');
if (sum !== sha256) stop(`${path} has the SHA-256 ${sum}, not ${sha256} (${source})`);

const published = JSON.parse(bytes.toString('utf8'), (key, value: unknown) => {
  if (key === '$ref') return String(value).replace('#/definitions/', '');
  const isTalk = key === 'description' && typeof value === 'string';
  return isTalk || /^x-kubernetes-(?!group-version-kind)/.test(key) ? undefined : value;
}) as Published;
const all = { ...readSchemas() };
for (const [name, { 'x-kubernetes-group-version-kind': kinds, ...schema }] of Object.entries(published.definitions)) {
  all.definitions[name] = schema;
  if (kinds?.length === 1) for (const one of kinds) all.kinds[kindOf(one)] = name;
}
const seen = new Set<string>();
const manifests = (await Promise.all(overlays.map(built))).flat();
for (const manifest of manifests) complaintsOf(manifest, all, seen);

const ours = [...seen].filter(name => published.definitions[name] !== undefined).toSorted();
const lines = ours.map(name => `    ${JSON.stringify(name)}: ${JSON.stringify(all.definitions[name])}`);
const kinds = Object.fromEntries(Object.entries(all.kinds).filter(([, name]) => ours.includes(name)).toSorted());
writeFileSync(join(root, 'infra/kubernetes/schema/kubernetes.json'), `{
  "source": ${JSON.stringify(source)},
  "sha256": "${sha256}",
  "kinds": ${JSON.stringify(kinds)},
  "definitions": {
${lines.join(',\n')}
  }
}
`);

function kindOf({ group, version, kind }: Kind): string {
  return `${group === '' ? '' : `${group}/`}${version} ${kind}`;
}

function stop(why: string): never {
  process.stderr.write(`kubernetes-excerpt: ${why}\n`);
  process.exit(2);
}
