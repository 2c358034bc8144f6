// What the service promises to callers: OpenAPI 3.1, by hand. A test holds it to the route table and to real answers.
import { codes } from '../http/problem.ts';

/** Equal to the version in package.json, which does not travel into the image; a test compares them. */
export const version = '0.2.0';

const text = { type: 'string' };
const moment = { type: 'string', format: 'date-time' };
const reasons = [
  'connection_refused', 'unreachable', 'timeout', 'connection_lost', 'credentials_rejected', 'database_missing',
  'too_many_connections', 'starting_up', 'shutting_down', 'read_only', 'schema_failed',
  'schema_newer', 'not_durable', 'protocol_error', 'unknown',
];
const fields = {
  symbol: { type: 'string', pattern: '^[A-Z][A-Z0-9.-]{0,15}$' },
  side: { enum: ['buy', 'sell'] },
};
const digits = 'At most 15 digits, before and after the point together. More are refused, never rounded.';
const quantity = {
  type: 'number', minimum: 1e-15, maximum: 999_999_999_999_999,
  description: `Above 0, in any notation of JSON: 1e-7 and 0.0000001 are the same. ${digits}`,
};
// 0 and a fraction; or whole; or both, where the lookahead counts the digits up to the zeros that do not matter.
const plainDecimal = {
  type: 'string',
  pattern: '^(?:0\\.(?=0*[1-9])[0-9]{1,15}0*|[1-9][0-9]{0,14}(?:\\.0+)?|'
    + '(?=(?:[0-9]\\.?){1,15}0*$)[1-9][0-9]*\\.[0-9]+)$',
  description: `A plain decimal above 0, without sign, exponent or leading zeros. ${digits}`,
};
const uuid = { type: 'string', format: 'uuid' };

const schemas = {
  Health: closed({ status: { const: 'alive' } }),
  Readiness: closed({
    status: { enum: ['ready', 'unready', 'draining'] },
    checks: closed({
      database: closed({
        status: { enum: ['up', 'down'] }, reason: { enum: reasons }, latency_ms: { type: 'number' }, since: moment,
      }, ['reason']),
    }),
  }),
  Version: closed({
    service: text, env: text, version: text, log_level: { enum: ['debug', 'info', 'warn', 'error'] },
    git_sha: text, build_time: text, instance_id: uuid, started_at: moment, node: text,
  }),
  NewOrder: closed({ ...fields, qty: { oneOf: [quantity, plainDecimal] } }),
  Order: closed({ order_id: uuid, status: { const: 'accepted' }, ...fields, qty: quantity, created_at: moment }),
  Problem: closed({
    type: text, title: { type: 'string', description: 'The phrase of the HTTP status; the code says what happened.' },
    status: { type: 'integer' }, code: { enum: codes }, detail: text, request_id: text, field: text, order_id: uuid,
  }, ['field', 'order_id']),
};

const parameters = {
  key: {
    name: 'Idempotency-Key', in: 'header', required: false,
    schema: {
      type: 'string',
      pattern: '^(?:[A-Za-z0-9._~:\\/+=@\\-]{1,255}|"(?:[ !#-\\[\\]-~]|\\\\["\\\\]){1,255}")$',
    },
    description: '1 to 255 characters: bare from A-Z a-z 0-9 . _ ~ : / + = @ -, or printable ASCII in double quotes '
      + '(\\" for ", \\\\ for \\). Both spell the same key, which gets its first answer again while the order is kept.',
  },
  id: { name: 'id', in: 'path', required: true, schema: uuid, description: 'A UUID (RFC 9562), in either case.' },
};

const order = answer('Order', 'The order as it was stored');
const retryLater = { 'Retry-After': { schema: { type: 'integer' } } };

export const openapi = {
  openapi: '3.1.0',
  info: { title: 'Orders', version, description: 'Takes orders, keeps them, and tells the truth about itself.' },
  paths: {
    '/health': { get: operation('Is the process alive? Asks nobody else.', { 200: answer('Health', 'It is') }) },
    '/ready': {
      get: operation('Can orders be placed now?', {
        200: answer('Readiness', 'Yes'), 503: { ...answer('Readiness', 'No, and why'), headers: retryLater },
      }),
    },
    '/version': { get: operation('Which build, and which process of it?', { 200: answer('Version', 'This one') }) },
    '/order': {
      post: {
        ...operation('Place an order', {
          201: { ...order, headers: { Location: { schema: { type: 'string', format: 'uri-reference' } } } },
          ...problems(400, 409, 413, 415, 422, 503),
        }),
        description: 'The fields come in the query or as a JSON body, not in both.',
        parameters: [
          { name: 'symbol', in: 'query', schema: fields.symbol }, { name: 'side', in: 'query', schema: fields.side },
          { name: 'qty', in: 'query', schema: plainDecimal }, parameters.key,
        ],
        requestBody: { required: false, content: { 'application/json': { schema: ref('NewOrder') } } },
      },
    },
    '/orders/{id}': {
      get: { ...operation('Read an order', { 200: order, ...problems(404, 503) }), parameters: [parameters.id] },
    },
    '/openapi.json': {
      get: operation('This document', { 200: plain('OpenAPI 3.1', 'application/json', { type: 'object' }) }),
    },
    '/metrics': { get: operation('Figures for Prometheus', { 200: plain('Text format 0.0.4', 'text/plain', text) }) },
  },
  components: { schemas },
};

function closed(properties: object, optional: string[] = []): object {
  const required = Object.keys(properties).filter(name => !optional.includes(name));
  return { type: 'object', required, properties, additionalProperties: false };
}

function ref(schema: keyof typeof schemas): object {
  return { $ref: `#/components/schemas/${schema}` };
}

function answer(schema: keyof typeof schemas, description: string): { description: string; content: object } {
  return plain(description, 'application/json', ref(schema));
}

function plain(description: string, type: string, schema: object): { description: string; content: object } {
  return { description, content: { [type]: { schema } } };
}

function problems(...statuses: number[]): object {
  const told = plain('A problem (RFC 9457); its code says which', 'application/problem+json', ref('Problem'));
  return Object.fromEntries(statuses.map(status => [status, status === 503 ? { ...told, headers: retryLater } : told]));
}

function operation(summary: string, responses: object): { summary: string; responses: object } {
  return { summary, responses: { ...responses, default: Object.values(problems(400))[0] } };
}
