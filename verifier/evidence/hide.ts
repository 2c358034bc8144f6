// What of a log belongs to a run, and what must never be kept of any text: passwords, however they are spelt.

const hidden = '[hidden]';
/**
 * Each keeps what stands before the secret. `password authentication failed` and `..._PASSWORD_FILE` are none, nor is
 * the list that facts have of users: `"with_password": []`.
 */
const secrets: readonly RegExp[] = [
  /((?:(?<!with_)password|passwd|passphrase|secret|token)\\?["']?\s*[=:]\s*\\?["']?)[^\s"'\\,;})<&]+/gi,
  /(\bpassword\s+(?:'|&#39;|\\u0027))(?:(?!'|&#39;|\\u0027).)+/gi,
  /(\bauthorization\\?["']?\s*:\s*(?:basic|bearer)\s+)[A-Za-z0-9+/=._~-]+/gi,
  /(\b[a-z][a-z+]{2,}:\/\/[^\s/:@"']*:)[^\s/@"']+(?=@)/gi,
];

/** The same text without the value of anything that is called a secret. */
export function hideSecrets(text: string): string {
  return secrets.reduce((safe, secret) => safe.replace(secret, `$1${hidden}`), text);
}

/** The lines from the first that was written at `sinceMs` or later; all of them when none tells its time. */
export function linesSince(lines: readonly string[], sinceMs: number): string[] {
  const times = lines.map(timeOf);
  if (times.every(Number.isNaN)) return [...lines];
  const first = times.findIndex(time => time >= sinceMs);
  return first < 0 ? [] : lines.slice(first);
}

const timed = /^(?:\{"time":")?(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d(?:\.\d+)?)(?:Z"| (?:UTC|GMT|Etc\/UTC))/;

/** Of a line of the service (JSON) or of PostgreSQL, in ms; NaN when it has none. */
function timeOf(line: string): number {
  const [, day, clock] = timed.exec(line) ?? [];
  return day === undefined ? NaN : Date.parse(`${day}T${clock}Z`);
}
