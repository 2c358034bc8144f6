// The Kubernetes manifests as kustomize builds them, and a strict validator: what the schema does not know is an error.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { must, root, runIn } from './stack.ts';
import { lacking } from './tools.ts';

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
export type Manifest = {
  apiVersion: string; kind: string; metadata: { name: string; namespace?: string; labels?: Record<string, string> };
  [key: string]: Json;
};
export type Schema = {
  $ref?: string; type?: string; format?: string; pattern?: string; enum?: string[];
  required?: string[]; properties?: Record<string, Schema>; additionalProperties?: Schema; items?: Schema;
};
/** `kinds` leads from `apps/v1 Deployment` to the name of its definition. */
export type Schemas = { kinds: Record<string, string>; definitions: Record<string, Schema> };

export const overlays = ['small', 'production'] as const;
const python = '/usr/bin/python3';
export const skip = lacking('kustomize', 'kustomize', ['version'])
  || lacking(python, 'python3-yaml', ['-c', 'import yaml']);

/** The two excerpts: of Kubernetes, and of the Prometheus operator's own kinds. */
export function readSchemas(): Schemas {
  const [ours, theirs] = ['kubernetes', 'monitoring'].map(name => (
    JSON.parse(readFileSync(join(root, `infra/kubernetes/schema/${name}.json`), 'utf8')) as Schemas
  ));
  return {
    kinds: { ...ours?.kinds, ...theirs?.kinds }, definitions: { ...ours?.definitions, ...theirs?.definitions },
  };
}

export async function built(overlay: string): Promise<Manifest[]> {
  const { stdout } = await must(runIn(process.env, 'kustomize', ['build', `infra/kubernetes/overlays/${overlay}`]));
  return readYaml(stdout) as Manifest[];
}

/** Every document of a text. */
export function readYaml(text: string): unknown[] {
  const program = 'import json, sys, yaml; json.dump(list(yaml.safe_load_all(sys.stdin)), sys.stdout)';
  const { status, stdout, stderr } = spawnSync(python, ['-c', program], { input: text, encoding: 'utf8' });
  if (status !== 0) throw new Error(`not YAML: ${stderr}`);
  return JSON.parse(stdout) as unknown[];
}

/** `seen` gathers the names of the definitions that were needed. */
export function complaintsOf(manifest: Manifest, schemas: Schemas, seen = new Set<string>()): string[] {
  const kind = `${manifest.apiVersion} ${manifest.kind}`;
  const name = schemas.kinds[kind];
  if (name === undefined) return [`${kind} is no kind of the schema`];
  return judge(manifest, { $ref: name }, manifest.kind);

  function judge(value: Json, schema: Schema, at: string): string[] {
    if (schema.$ref !== undefined) return judge(value, definition(schema.$ref), at);
    if (!isOf(schema, value)) return [`${at} must be ${schema.format ?? schema.type}, not ${JSON.stringify(value)}`];
    if (schema.enum !== undefined && !schema.enum.includes(String(value))) {
      return [`${at} must be one of ${schema.enum.join(', ')}, not ${JSON.stringify(value)}`];
    }
    if (schema.pattern !== undefined && !new RegExp(schema.pattern).test(String(value))) {
      return [`${at} must match ${schema.pattern}, not ${JSON.stringify(value)}`];
    }
    const { items } = schema;
    if (Array.isArray(value)) {
      return items === undefined ? [] : value.flatMap((one, i) => judge(one, items, `${at}[${i}]`));
    }
    return value !== null && typeof value === 'object' ? judgeFields(value, schema, at) : [];
  }

  function judgeFields(value: Record<string, Json>, schema: Schema, at: string): string[] {
    const lost = (schema.required ?? []).filter(field => value[field] === undefined);
    return lost.map(field => `${at}.${field} is required`).concat(Object.entries(value).flatMap(([field, one]) => {
      const own = schema.properties?.[field] ?? schema.additionalProperties;
      return own === undefined ? [`${at}.${field} is no field of the schema`] : judge(one, own, `${at}.${field}`);
    }));
  }

  function definition(reference: string): Schema {
    seen.add(reference);
    const found = schemas.definitions[reference];
    if (found === undefined) throw new Error(`${reference} is not in the excerpt: see kubernetes-excerpt.ts`);
    return found;
  }
}

function isOf({ type, format }: Schema, value: Json): boolean {
  if (format === 'int-or-string') return typeof value === 'string' || Number.isInteger(value);
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value);
  return typeof value === type;
}
