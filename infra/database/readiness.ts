// What /ready says is wrong with the database, and which of it no waiting will change once `up` has set that up.

/** How long a build that is being started may say so. */
export const HOPELESS_MS = 5_000;
const hopeless = [
  'credentials_rejected', 'database_missing', 'schema_failed', 'schema_newer', 'not_durable', 'protocol_error',
];

/** Told the body of every answer of /ready: true once it was hopeless all the time for `limitMs`. */
export function watchHope(limitMs: number): (body: string) => boolean {
  let since: number | undefined;
  return body => {
    since = hopeless.includes(reasonIn(body)) ? since ?? performance.now() : undefined;
    return since !== undefined && performance.now() - since >= limitMs;
  };
}

/** Empty where there is none. */
export function reasonIn(body: string): string {
  return /"reason":"([a-z_]+)"/.exec(body)?.[1] ?? '';
}
