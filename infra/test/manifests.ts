// The Kubernetes manifests as kustomize builds them.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { must, runIn } from './stack.ts';
import { lacking } from './tools.ts';

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
export type Manifest = {
  apiVersion: string; kind: string; metadata: { name: string; namespace?: string; labels?: Labels };
  [key: string]: Json;
};
export type Labels = Record<string, string>;
export type Selector = { matchLabels: Labels };
type Probe = {
  httpGet: { path: string; port: string }; periodSeconds: number; timeoutSeconds: number; failureThreshold: number;
};
type Container = {
  name: string; image: string; ports: { name: string; containerPort: number }[];
  envFrom: { configMapRef: { name: string } }[];
  startupProbe: Probe; livenessProbe: Probe; readinessProbe: Probe;
  resources: Record<'requests' | 'limits', { cpu: string; memory: string }>;
  securityContext: Record<string, Json>; volumeMounts: { name: string; mountPath: string }[];
};
type Pod = {
  automountServiceAccountToken: boolean; enableServiceLinks: boolean; securityContext: Record<string, Json>;
  terminationGracePeriodSeconds: number; containers: [Container];
  topologySpreadConstraints: { topologyKey: string; whenUnsatisfiable: string; labelSelector: Selector }[];
  tolerations: { key: string; operator: string; effect: string; tolerationSeconds: number }[];
  volumes: [{ name: string; secret: { secretName: string; items: [{ key: string; path: string }] } }];
};
export type Deployment = {
  replicas: number; selector: Selector; strategy: { rollingUpdate: { maxSurge: number; maxUnavailable: number } };
  template: { metadata: { labels: Labels }; spec: Pod };
};

export const overlays = ['small', 'production'] as const;
const python = '/usr/bin/python3';
export const skip = lacking('kustomize', 'kustomize, from Debian 13 on', ['version'])
  || lacking(python, 'python3-yaml', ['-c', 'import yaml']);

export async function built(overlay: string): Promise<Manifest[]> {
  const building = runIn(process.env, 'kustomize', ['build', `infra/kubernetes/overlays/${overlay}`]);
  const { stdout, stderr } = await must(building);
  assert.equal(stderr, '', 'it warns of what a later version will not take');
  return readYaml(stdout) as Manifest[];
}

export const some = <T>(all: Manifest[], kind: string) =>
  all.filter(one => one.kind === kind).map(one => ({ name: one.metadata.name, spec: one['spec'] as T }));
export const one = <T>(all: Manifest[], kind: string, name = 'orders') =>
  some<T>(all, kind).find(found => found.name === name)?.spec ?? assert.fail(`no ${kind} ${name}`);
export const podOf = (all: Manifest[]) => one<Deployment>(all, 'Deployment').template.spec;

/** The settings that the pods are given. */
export function environmentOf(all: Manifest[]): Record<string, string> {
  const [{ envFrom }] = podOf(all).containers;
  const map = all.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === envFrom[0]?.configMapRef.name);
  return map?.['data'] as Record<string, string> | undefined ?? assert.fail('the pods have no settings');
}

/** Every document of a text. */
export function readYaml(text: string): unknown[] {
  const program = 'import json, sys, yaml; json.dump(list(yaml.safe_load_all(sys.stdin.buffer)), sys.stdout)';
  const { status, stdout, stderr } = spawnSync(python, ['-I', '-c', program], { input: text, encoding: 'utf8' });
  if (status !== 0) throw new Error(`not YAML: ${stderr}`);
  return JSON.parse(stdout) as unknown[];
}
