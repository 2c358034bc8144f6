// The Idempotency-Key of the IETF draft: its spelling, and which keys are being worked on right now.
import { Problem } from '../http/problem.ts';

/** Bare or as a quoted sf-string; both spell the same key. null when absent. Throws Problem invalid_idempotency_key. */
export function parseKey(header: string | string[] | undefined): string | null {
  if (header === undefined) return null;
  const text = String(header);
  const quoted = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\]){1,255})"$/.exec(text);
  const key = quoted ? (quoted[1] ?? '').replace(/\\(["\\])/g, '$1') : text;
  if (quoted || /^[A-Za-z0-9._~:/+=@-]{1,255}$/.test(key)) return key;
  const rule = 'bare from A-Z a-z 0-9 . _ ~ : / + = @ -, or printable ASCII in double quotes';
  throw new Problem('invalid_idempotency_key', `Idempotency-Key must be 1 to 255 characters: ${rule}`);
}

/** Runs work unless the same key is running already. It holds as many keys as there are requests in flight. */
export function createKeyring(): <T>(key: string | null, work: () => Promise<T>) => Promise<T> {
  const running = new Set<string>();
  return async (key, work) => {
    if (key === null) return work();
    if (running.has(key)) throw new Problem('idempotency_key_in_use', 'a request with this key is still running');
    running.add(key);
    try {
      return await work();
    } finally {
      running.delete(key);
    }
  };
}
