// A strict validator of Kubernetes manifests: what the schema does not know is an error.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Json, Manifest } from './manifests.ts';
import { root } from './stack.ts';

export type Schema = {
  $ref?: string; type?: string; format?: string; pattern?: string; enum?: string[];
  required?: string[]; properties?: Record<string, Schema>; additionalProperties?: Schema; items?: Schema;
};
/** `kinds` leads from `apps/v1 Deployment` to the name of its definition. */
export type Schemas = { kinds: Record<string, string>; definitions: Record<string, Schema> };

/** The two excerpts: of Kubernetes, and of the Prometheus operator's own kinds. */
export function readSchemas(): Schemas {
  const [ours, theirs] = ['kubernetes', 'monitoring'].map(name => (
    JSON.parse(readFileSync(join(root, `infra/kubernetes/schema/${name}.json`), 'utf8')) as Schemas
  ));
  return {
    kinds: { ...ours?.kinds, ...theirs?.kinds }, definitions: { ...ours?.definitions, ...theirs?.definitions },
  };
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
